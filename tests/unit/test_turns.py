"""Whoever waits for a thread to move hears of it, and waits no longer than it said."""

import asyncio

from actors.turns import Turn


async def test_a_wait_for_a_move_ends_with_the_move():
    turn = Turn()
    waiting = [asyncio.create_task(turn.moved(within=60)) for _ in range(3)]
    await asyncio.sleep(0)
    turn.tell()
    await asyncio.gather(*waiting)


async def test_a_wait_that_was_in_vain_is_a_wait_again():
    turn = Turn()
    for _ in range(3):
        waiting = asyncio.create_task(turn.moved(within=0.001))
        await asyncio.sleep(0)
        assert not waiting.done()
        await waiting
