"""Two event loops in one process, and the one place where they meet."""

import asyncio
import os
import signal
import sys
import threading

import pytest

from actors.userloop import EXIT_COPY, Courier, StoppedError, UserLoop


@pytest.fixture
def user():
    loop = UserLoop("test")
    yield loop
    loop.stop()


async def test_work_runs_in_another_thread_and_its_result_comes_home(user):
    async def work():
        return threading.get_ident()

    assert await user.run(work) != threading.get_ident()


async def test_what_the_work_raises_comes_home(user):
    async def work():
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        await user.run(work)


async def test_a_task_has_ended_when_its_work_has_and_not_when_it_was_cancelled(user):
    begun, may_end, cleaned = threading.Event(), threading.Event(), threading.Event()

    async def work():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(may_end.wait)
            cleaned.set()

    task = user.start(work)
    await asyncio.to_thread(begun.wait)
    task.cancel()
    ended = asyncio.ensure_future(task.ended())
    await user.run(_nothing)
    assert not ended.done()
    may_end.set()
    with pytest.raises(StoppedError):
        await ended
    assert cleaned.is_set()


async def test_a_cancel_before_the_first_step_ends_it(user):
    async def work():
        raise AssertionError("was run")

    task = user.start(work)
    task.cancel()
    with pytest.raises(StoppedError):
        await task.ended()


async def test_a_node_that_exits_fails_and_the_loop_lives_on(user):
    async def work():
        sys.exit(3)

    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        await user.run(work)
    assert await user.run(_nothing) is None


async def test_what_is_sent_comes_in_order_and_before_the_end(user):
    received = []
    courier = Courier(received.append)

    async def work():
        for number in range(1000):
            courier.send(number)
            if number % 100 == 0:
                await asyncio.sleep(0)

    await user.run(work)
    assert received == list(range(1000))


async def _nothing():
    return None


async def test_a_copy_of_the_process_does_not_go_on_with_the_loop(user, tmp_path):
    steps = tmp_path / "steps"

    async def work():
        if (child := os.fork()) == 0:
            signal.alarm(5)  # whatever becomes of it, it ends
        await asyncio.sleep(0)
        with steps.open("a") as told:
            told.write("on\n")
        return child

    child = await user.run(work)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == EXIT_COPY
    assert steps.read_text() == "on\n"
