"""What lives in another process, with the methods that it has there. Knows a way to call it, and no Ray."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any, Protocol

import psutil
from msgspec.structs import replace

from actors.addresses import Home, process_id
from actors.catalog import Catalog
from actors.errors import GoneError
from actors.outcomes import Leaving, Position
from actors.runtime import StateUpdate
from storage.accounting import Event, ModelCall, Recording
from storage.conversations import Cursor, Feedback, FeedbackStats, Message, NoFeedbackError, Page, TokenUsage
from storage.errors import UnavailableError
from storage.questions import Answer, Question
from storage.records import (
    Admission,
    Assistant,
    Binding,
    Parking,
    Patch,
    Run,
    RunStatus,
    Settlement,
    Stand,
    Thread,
    Told,
    Wish,
)

PATIENCE = 60.0
"""Seconds for which a call is tried again while the ledger or the directory restarts."""

PAUSE = 0.2


class Handle(Protocol):
    """The way to an object in another process. Its methods raise what the object's raise.

    GoneError: the process has ended. UnavailableError: it may be restarting; the call may have been executed.
    """

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any: ...

    def tell(self, method: str, *args: Any) -> None:
        """A call whose answer nobody awaits."""
        ...

    def stream(self, method: str, *args: Any) -> AsyncGenerator[Any, None]:
        """What a generator method yields. Close it to leave; the other side ends then too."""
        ...


class RemoteLedger:
    """`actors.ledger.Ledger`. Everything is idempotent by id, so it is asked again until it answers."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def bind(self, thread_id: str, handed_over: list[Run] | None = None) -> Binding:
        binding = await self._ask("bind", thread_id, must_exist=False, is_handed_over=handed_over is not None)
        return binding if handed_over is None else replace(binding, unfinished=handed_over)

    async def reserve(self, thread_id: str, epoch: int, count: int) -> int:
        return await self._ask("reserve", thread_id, epoch, count)

    async def admit(self, admission: Admission) -> None:
        try:
            await self._handle.call("admit", admission)
        except GoneError:
            await self._ask("admit", replace(admission, again=True))

    async def wish(self, wish: Wish) -> None:
        await self._ask("wish", wish)

    async def forget_run(self, run: Run, epoch: int) -> None:
        await self._ask("forget_run", run, epoch)

    async def begin(self, run: Run, epoch: int) -> None:
        await self._ask("begin", run, epoch)

    async def park(self, parking: Parking) -> None:
        await self._ask("park", parking)

    async def settle(self, settlement: Settlement) -> None:
        await self._ask("settle", settlement)

    async def record(self, recording: Recording) -> None:
        await self._ask("record", recording)

    async def report(self, calls: list[ModelCall]) -> None:
        await self._ask("report", calls)

    async def price_missing(self, after: str | None) -> tuple[int, str | None]:
        return await self._ask("price_missing", after)

    async def unfinished_threads(self) -> list[str]:
        return await self._ask("unfinished_threads")

    async def create_thread(self, thread: Thread, *, existing_ok: bool = False, is_fresh: bool = False) -> Thread:
        return await self._ask("create_thread", thread, existing_ok=existing_ok, is_fresh=is_fresh)

    async def thread(self, thread_id: str) -> Thread:
        return await self._ask("thread", thread_id)

    async def find_thread(self, thread_id: str) -> Thread | None:
        return await self._ask("find_thread", thread_id)

    async def patch_thread(self, patch: Patch) -> Thread:
        return await self._ask("patch_thread", patch)

    async def stand(self, stand: Stand) -> None:
        await self._ask("stand", stand)

    async def delete_thread(self, thread_id: str, epoch: int) -> None:
        await self._ask("delete_thread", thread_id, epoch)

    async def run(self, thread_id: str | None, run_id: str, *, lately: bool = False) -> Run:
        return await self._ask("run", thread_id, run_id, lately=lately)

    async def owed_webhooks(self) -> AsyncGenerator[list[tuple[str, str]], None]:
        """Goes on when the ledger has restarted; then it may say again what it has said."""
        while True:
            with suppress(GoneError):
                async with aclosing(self._handle.stream("owed_webhooks")) as told:
                    async for owed in told:
                        yield owed
            await asyncio.sleep(PAUSE)

    async def told(self, told: Told) -> None:
        await self._ask("told", told)

    async def garbage(self) -> list[tuple[str, int]]:
        return await self._ask("garbage")

    async def swept(self, thread_id: str) -> None:
        await self._ask("swept", thread_id)

    async def runs(self, thread_id: str, **page: Any) -> list[Run]:
        return await self._ask("runs", thread_id, **page)

    async def run_of_key(self, thread_id: str, key: str) -> Run | None:
        return await self._ask("run_of_key", thread_id, key)

    async def find_run(self, thread_id: str, run_id: str) -> Run | None:
        return await self._ask("find_run", thread_id, run_id)

    async def unfinished_ids(self, statuses: list[RunStatus]) -> list[tuple[str, str]]:
        return await self._ask("unfinished_ids", statuses)

    async def messages(self, thread_id: str, cursor: Cursor, user_id: str | None) -> list[Message]:
        return await self._ask("messages", thread_id, cursor, user_id)

    async def run_messages(self, thread_id: str, run_id: str, cursor: Cursor) -> Page:
        return await self._ask("run_messages", thread_id, run_id, cursor)

    async def run_events(self, thread_id: str, run_id: str, **page: Any) -> list[Event]:
        return await self._ask("run_events", thread_id, run_id, **page)

    async def token_usage(self, thread_id: str, *, include_active: bool) -> TokenUsage:
        return await self._ask("token_usage", thread_id, include_active=include_active)

    async def put_feedback(self, given: Feedback) -> Feedback:
        return await self._ask("put_feedback", given)

    async def delete_feedback(self, thread_id: str, run_id: str, user_id: str | None) -> None:
        try:
            await self._handle.call("delete_feedback", thread_id, run_id, user_id)
        except GoneError:
            with suppress(NoFeedbackError):  # it may have gone before the answer was lost
                await self._ask("delete_feedback", thread_id, run_id, user_id)

    async def feedback(self, thread_id: str, run_id: str, user_id: str | None) -> list[Feedback]:
        return await self._ask("feedback", thread_id, run_id, user_id)

    async def feedback_stats(self, thread_id: str, run_id: str) -> FeedbackStats:
        return await self._ask("feedback_stats", thread_id, run_id)

    async def put_assistants(self, assistants: list[Assistant]) -> None:
        await self._ask("put_assistants", assistants)

    async def assistant(self, assistant_id: str) -> Assistant:
        return await self._ask("assistant", assistant_id)

    async def search_assistants(self, **filters: Any) -> tuple[list[Assistant], int]:
        return await self._ask("search_assistants", **filters)

    async def ask(self, question: Question) -> Answer:
        """Once: a query may be the reason for which the ledger went away."""
        items = self._handle.stream("ask", question)
        async with aclosing(items):
            answer: Answer = await anext(items)
            return replace(answer, body=b"".join([piece async for piece in items]))

    async def close(self) -> None:
        await self._handle.call("close")

    async def _ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return await _patiently(self._handle, method, *args, **kwargs)


class RemoteDirectory:
    """`actors.directory.Directory`, as gateways see it. While it restarts, they wait."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def locate(self, thread_id: str) -> str | None:
        return await _patiently(self._handle, "locate", thread_id)

    async def find(self, thread_id: str) -> Home | None:
        return await _patiently(self._handle, "find", thread_id)

    async def reader(self, thread_id: str) -> str:
        return await _patiently(self._handle, "reader", thread_id)


async def _patiently(handle: Handle, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method that may be called twice until the process behind it is there. Raises UnavailableError."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return await handle.call(method, *args, **kwargs)
        except GoneError:
            if time.monotonic() > until:
                raise UnavailableError from None
            await asyncio.sleep(PAUSE)


class RemoteSlot:
    """`actors.slot.Slot`, as the directory sees it; others are told its address."""

    def __init__(self, address: str, handle: Handle, end: Callable[[], object]) -> None:
        self.address = address
        self._handle = handle
        self._end = end
        self._process = _process(process_id(address))
        self._group: int | None = None

    async def catalog(self) -> Catalog:
        return await self._handle.call("catalog")

    async def bind(self, binding: Binding) -> None:
        await self._handle.call("take", binding)

    async def let_go(self, thread_id: str) -> Leaving:
        return await self._handle.call("let_go", thread_id)

    async def threads(self) -> list[str]:
        return await self._handle.call("threads")

    async def ping(self) -> bool:
        return await self._handle.call("ping")

    async def drain(self) -> bool:
        return await self._handle.call("drain")

    async def watch(self) -> None:
        self._group = await self._handle.call("group")
        await self._handle.call("outlive")

    async def kill(self) -> None:
        """For good, also if it is stopped: then it hears of nothing else, and could wake up at any time.

        With it goes what user code has started from it.
        """
        self._end()
        if self._process is not None:
            with suppress(psutil.NoSuchProcess):  # nor is it another that has its number by now
                self._process.kill()
        if self._group is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)

    async def update(self, change: StateUpdate, graph_id: str, epoch: int) -> tuple[bytes, Position]:
        return await self._handle.call("update", change, graph_id, epoch)

    async def position(self, thread_id: str, graph_id: str) -> Position:
        return await self._handle.call("position", thread_id, graph_id)

    async def roll_back(self, run: Run, epoch: int) -> None:
        await self._handle.call("roll_back", run, epoch)

    async def check(self, run: Run) -> None:
        await self._handle.call("check", run)

    async def forget(self, thread_id: str, epoch: int) -> None:
        await self._handle.call("forget", thread_id, epoch)

    async def forget_tape(self, thread_id: str, epoch: int) -> None:
        await self._handle.call("forget_tape", thread_id, epoch)


def _process(number: int) -> psutil.Process | None:
    try:
        return psutil.Process(number)
    except psutil.NoSuchProcess:
        return None
