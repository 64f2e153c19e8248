"""Answers that take their time: heartbeats, a gateway that stops, a client that goes."""

import asyncio
from contextlib import aclosing

import pytest

from actors.errors import RunEndedError
from storage.errors import UnavailableError
from web.answers import Beat, LongAnswers
from web.stopping import BrokenOffError, GatewayStoppingError, Stopping

OFTEN = Beat(b"beat", 0.001)
NEVER = Beat(b"beat", 3600)


class Source:
    """Says what it is given when it is given it, and knows whether it was closed."""

    def __init__(self):
        self.said: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.silent, self.closed = asyncio.Event(), asyncio.Event()

    async def chunks(self):
        try:
            while chunk := await self._next():
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            await asyncio.sleep(0)  # closing takes its time, as it does over a network
            self.closed.set()

    async def _next(self):
        if self.said.empty():
            self.silent.set()
        return await self.said.get()


class Left:
    """What is done when a client goes, and whether it was."""

    def __init__(self, error=None):
        self.seen, self.error = asyncio.Event(), error

    async def __call__(self):
        self.seen.set()
        if self.error:
            raise self.error


async def read(body, into):
    async with aclosing(body):
        async for chunk in body:
            into.append(chunk)


async def test_what_the_source_says_is_answered_and_then_it_ends():
    source, chunks = Source(), []
    for chunk in (b"one", b"two", None):
        source.said.put_nowait(chunk)
    await read(LongAnswers(Stopping()).body(source.chunks(), NEVER), chunks)
    assert chunks == [b"one", b"two"]
    await source.closed.wait()


async def test_silence_is_filled_with_heartbeats_and_loses_nothing():
    source = Source()
    async with aclosing(LongAnswers(Stopping()).body(source.chunks(), OFTEN)) as body:
        assert [await anext(body) for _ in range(3)] == [b"beat"] * 3
        source.said.put_nowait(b"one")
        while (chunk := await anext(body)) == b"beat":
            pass
        assert chunk == b"one"


async def test_a_gateway_that_stops_breaks_a_silent_answer_and_cancels_nothing():
    source, stopping, left = Source(), Stopping(), Left()
    answers = LongAnswers(stopping)
    reading = asyncio.create_task(read(answers.body(source.chunks(), NEVER, left), []))
    await source.silent.wait()
    stopping.begin()
    with pytest.raises(GatewayStoppingError):
        await reading
    await source.closed.wait()
    await answers.settled()
    assert not left.seen.is_set()


async def test_a_gateway_that_stops_says_farewell_before_it_breaks_an_answer_and_only_then():
    source, stopping, chunks = Source(), Stopping(), []
    source.said.put_nowait(b"one")
    reading = asyncio.create_task(read(LongAnswers(stopping).body(source.chunks(), NEVER, None, b"bye"), chunks))
    await source.silent.wait()
    stopping.begin()
    with pytest.raises(GatewayStoppingError):
        await reading
    assert chunks == [b"one", b"bye"]


async def test_an_answer_that_ends_by_itself_ends_without_a_farewell():
    source, chunks = Source(), []
    source.said.put_nowait(None)
    await read(LongAnswers(Stopping()).body(source.chunks(), NEVER, None, b"bye"), chunks)
    assert chunks == []


async def test_a_client_that_goes_as_it_is_told_farewell_is_no_client_that_goes():
    stopping, left = Stopping(), Left()
    stopping.begin()
    answers = LongAnswers(stopping)
    body = answers.body(Source().chunks(), NEVER, left, b"bye")
    assert await anext(body) == b"bye"
    await body.aclose()
    await answers.settled()
    assert not left.seen.is_set()


async def test_a_gateway_that_stops_answers_no_more():
    stopping = Stopping()
    stopping.begin()
    with pytest.raises(GatewayStoppingError):
        await read(LongAnswers(stopping).body(Source().chunks(), NEVER), [])


async def test_a_client_that_goes_in_silence_is_noticed_at_once():
    source, left, answers = Source(), Left(), LongAnswers(Stopping())
    source.said.put_nowait(b"one")
    reading = asyncio.create_task(read(answers.body(source.chunks(), NEVER, left), []))
    await source.silent.wait()
    reading.cancel()
    await left.seen.wait()
    await source.closed.wait()


async def test_a_client_that_goes_while_it_is_written_to_is_noticed_too():
    source, left, answers = Source(), Left(), LongAnswers(Stopping())
    source.said.put_nowait(b"one")
    body = answers.body(source.chunks(), NEVER, left)
    await anext(body)
    await body.aclose()
    await left.seen.wait()
    await source.closed.wait()


async def test_an_answer_that_is_cut_while_the_gateway_stops_is_no_client_that_goes():
    source, left, stopping = Source(), Left(), Stopping()
    source.said.put_nowait(b"one")
    answers = LongAnswers(stopping)
    body = answers.body(source.chunks(), NEVER, left)
    await anext(body)
    stopping.begin()
    await body.aclose()
    await answers.settled()
    assert not left.seen.is_set()


async def test_a_client_that_goes_is_no_error_when_its_run_has_just_ended(caplog):
    source, left, answers = Source(), Left(RunEndedError()), LongAnswers(Stopping())
    source.said.put_nowait(b"one")
    body = answers.body(source.chunks(), NEVER, left)
    await anext(body)
    await body.aclose()
    await answers.settled()
    assert left.seen.is_set()
    assert not caplog.records


async def test_a_cancel_that_fails_after_the_client_has_gone_is_logged(caplog):
    source, left, answers = Source(), Left(UnavailableError()), LongAnswers(Stopping())
    source.said.put_nowait(b"one")
    body = answers.body(source.chunks(), NEVER, left)
    await anext(body)
    await body.aclose()
    await answers.settled()
    assert "After a client had gone" in caplog.text


async def test_an_answer_that_ends_by_itself_leaves_nothing_behind():
    source, left, answers = Source(), Left(), LongAnswers(Stopping())
    source.said.put_nowait(None)
    await read(answers.body(source.chunks(), NEVER, left), [])
    await answers.settled()
    assert not left.seen.is_set()


async def test_an_answer_whose_runtime_is_away_is_broken_off_not_ended():
    source = Source()
    source.said.put_nowait(UnavailableError("the ledger is restarting"))
    with pytest.raises(BrokenOffError):
        await read(LongAnswers(Stopping()).body(source.chunks(), NEVER), [])


async def test_a_short_wait_answers_what_was_asked():
    async def asked():
        return 7

    assert await LongAnswers(Stopping()).promptly(asked()) == 7


async def test_a_short_wait_is_refused_when_the_gateway_stops():
    stopping, source = Stopping(), Source()
    waiting = asyncio.create_task(LongAnswers(stopping).promptly(source._next()))
    await source.silent.wait()
    stopping.begin()
    with pytest.raises(UnavailableError):
        await waiting
