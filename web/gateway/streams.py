"""Answers of the gateway dialect that take their time: streams and waits, and where they are found again."""

from collections.abc import AsyncGenerator
from urllib.parse import urlencode

import msgspec
from litestar.response import Stream

from actors.runtime import Parts, UntilEnded
from storage.records import Run, RunStatus
from web.answers import Beat, Leave
from web.dependencies import Gate
from web.gateway import schemas, wire
from web.joining import Wish
from web.sse import MEDIA_TYPE, Reader, frames, has_had_all, nothing_new


def place(run: Run) -> dict[str, str]:
    """Clients read the run's id off the end of it."""
    return {"Content-Location": f"/api/threads/{run.thread_id}/runs/{run.run_id}"}


def stream(
    gate: Gate,
    run: Run,
    source: AsyncGenerator[bytes, None],
    *,
    leave: Leave | None,
    again: dict[str, str] | None = None,
) -> Stream:
    """An event stream. Its `Location` is relative to the client's base URL, which ends in `/api`."""
    query = f"?{urlencode(again)}" if again else ""
    location = f"/threads/{run.thread_id}/runs/{run.run_id}/stream{query}"
    beat = Beat(wire.HEARTBEAT, gate.settings.gateway_heartbeat)
    headers = {**wire.HEADERS, **place(run), "Location": location}
    body = gate.answers.body(source, beat, leave, _wire(gate).reconnect(run.run_id))
    return Stream(body, media_type=MEDIA_TYPE, headers=headers)


def wait(gate: Gate, run: Run, ended: UntilEnded, *, leave: Leave | None) -> Stream:
    """One JSON value, with empty lines in front of it while it is waited for."""
    beat = Beat(b"\n", gate.settings.gateway_heartbeat)
    body = gate.answers.body(_outcome(gate, ended), beat, leave)
    return Stream(body, media_type="application/json", headers=place(run))


def said(gate: Gate, parts: Parts, reader: Reader) -> AsyncGenerator[bytes, None]:
    return frames(parts, _wire(gate), reader)


async def join(gate: Gate, run: Run, wish: Wish) -> Stream:
    """The stream of a run that exists, as somebody wishes who comes to it or comes back."""
    source = await _follow(gate, run, wish.reader(run))
    return stream(gate, run, source, leave=gate.ending(run) if wish.cancel else None, again=wish.again)


async def _follow(gate: Gate, run: Run, reader: Reader) -> AsyncGenerator[bytes, None]:
    """What a reader has not had yet. Fails before the first byte, or not at all."""
    if has_had_all(run, reader):
        return nothing_new(_wire(gate))
    return said(gate, await gate.runtime.follow(run.thread_id, run.run_id, reader.after), reader)


async def _outcome(gate: Gate, ended: UntilEnded) -> AsyncGenerator[bytes, None]:
    """What a run leaves, once it has ended."""
    run, result = await ended()
    if run.status is RunStatus.SUCCESS:
        yield result or b"{}"
    else:
        yield msgspec.json.encode(schemas.outcome(run, result, mask_errors=gate.settings.mask_errors))


def _wire(gate: Gate) -> wire.GatewayWire:
    return wire.GatewayWire(mask_errors=gate.settings.mask_errors)
