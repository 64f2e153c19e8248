"""Which ids the Platform dialect takes: UUIDs, and whatever thread the gateway dialect has made."""

import re

from actors.runtime import Runtime
from storage.errors import InvalidError, RunNotFoundError, ThreadNotFoundError
from storage.records import Assistant, Run

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def check(kind: str, given: str) -> None:
    if not UUID.fullmatch(given):
        raise InvalidError(f"Invalid {kind} ID: must be a UUID")


async def check_thread(runtime: Runtime, thread_id: str) -> None:
    """A thread made under another form of id is served all the same."""
    if UUID.fullmatch(thread_id):
        return
    try:
        await runtime.thread(thread_id)
    except ThreadNotFoundError:
        check("thread", thread_id)


async def check_run(runtime: Runtime, thread_id: str, run_id: str) -> None:
    await check_thread(runtime, thread_id)
    check("run", run_id)


async def run(runtime: Runtime, thread_id: str, run_id: str, *, lately: bool = False) -> Run:
    """A run as this dialect knows it: one that was rolled back is gone."""
    await check_run(runtime, thread_id, run_id)
    found = await runtime.run(thread_id, run_id, lately=lately)
    if found.rolled_back:
        raise RunNotFoundError(run_id)
    return found


async def assistant(runtime: Runtime, name: str) -> Assistant:
    """By id or by the name of a graph."""
    if not UUID.fullmatch(name) and name not in runtime.graph_ids:
        raise InvalidError(
            f"Invalid assistant: '{name}'. Must be either:\n- A valid assistant UUID, or\n"
            f"- One of the registered graphs: {', '.join(runtime.graph_ids)}"
        )
    return await runtime.assistant(name)
