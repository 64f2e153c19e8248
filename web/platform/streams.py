"""Answers of the Platform dialect that take their time: streams and waits, and where they are found again."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from urllib.parse import urlencode

import msgspec
from litestar.response import Stream

from actors.runtime import Parts, UntilEnded
from storage.records import Run, RunStatus
from web.answers import Beat, Leave
from web.dependencies import Gate
from web.joining import Wish
from web.platform import wire
from web.platform.schemas import Outcome
from web.shapes import failure_in
from web.sse import MEDIA_TYPE, Reader, frames, has_had_all, nothing_new


def place(run: Run) -> str:
    """Clients read the run's id off the end of it."""
    return f"/threads/{run.thread_id}/runs/{run.run_id}"


def stateless(run: Run) -> str:
    """The same, for a run whose thread is no concern of its client."""
    return f"/runs/{run.run_id}"


def stream(  # noqa: PLR0913 - what an answer is made of, by name
    gate: Gate,
    run: Run,
    source: AsyncGenerator[bytes, None],
    *,
    leave: Leave | None,
    again: dict[str, str] | None = None,
    at: Callable[[Run], str] = place,
) -> Stream:
    """An event stream. `again` is the query with which it is taken up after a break."""
    beat = Beat(wire.HEARTBEAT, gate.settings.platform_heartbeat)
    query = f"?{urlencode(again)}" if again else ""
    headers = {**wire.HEADERS, "Content-Location": at(run), "Location": f"{at(run)}/stream{query}"}
    body = gate.answers.body(source, beat, leave, _wire(gate).reconnect(run.run_id))
    return Stream(body, status_code=200, media_type=MEDIA_TYPE, headers=headers)


def wait(  # noqa: PLR0913 - as above
    gate: Gate,
    run: Run,
    source: AsyncGenerator[bytes, None],
    *,
    leave: Leave | None,
    again: dict[str, str] | None = None,
    at: Callable[[Run], str] = place,
) -> Stream:
    """One JSON value, with empty lines in front of it while it is waited for."""
    beat = Beat(b"\n", gate.settings.platform_heartbeat)
    query = f"?{urlencode(again)}" if again else ""
    headers = {"Content-Location": at(run), "Location": f"{place(run)}/join{query}"}
    return Stream(
        gate.answers.body(source, beat, leave), status_code=200, media_type="application/json", headers=headers
    )


def said(gate: Gate, parts: Parts, reader: Reader) -> AsyncGenerator[bytes, None]:
    return frames(parts, _wire(gate), reader)


async def join(gate: Gate, run: Run, wish: Wish, *, at: Callable[[Run], str] = place) -> Stream:
    """The stream of a run that exists, as somebody wishes who comes to it or comes back."""
    source = await _follow(gate, run, wish.reader(run))
    leave = gate.ending(run) if wish.cancel else None
    return stream(gate, run, source, leave=leave, again=wish.again, at=at)


async def _follow(gate: Gate, run: Run, reader: Reader) -> AsyncGenerator[bytes, None]:
    """What a reader has not had yet. Fails before the first byte, or not at all."""
    if has_had_all(run, reader):
        return nothing_new(_wire(gate))
    return said(gate, await gate.runtime.follow(run.thread_id, run.run_id, reader.after), reader)


async def outcome(gate: Gate, ended: UntilEnded) -> AsyncGenerator[bytes, None]:
    """What a run leaves, once it has ended."""
    run, result = await ended()
    if run.status in (RunStatus.ERROR, RunStatus.TIMEOUT):
        yield msgspec.json.encode(Outcome(failure_in(run, mask=gate.settings.mask_errors)))
    else:
        yield result or b"{}"


async def nothing(ended: Callable[[], Awaitable[object]]) -> AsyncGenerator[bytes, None]:
    """An empty object, once the run has ended."""
    await ended()
    yield b"{}"


def _wire(gate: Gate) -> wire.PlatformWire:
    return wire.PlatformWire(mask_errors=gate.settings.mask_errors)
