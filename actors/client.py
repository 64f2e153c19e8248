"""The runtime as a gateway sees it: asks the directory where a thread lives, and then the thread itself.

Where a thread was last seen is only a hint: an actor that does not have it says so, and then the directory is
asked again. So every gateway serves every thread, and nothing here needs to be kept.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from actors.addresses import Addresses
from actors.errors import GoneError, NotHereError, RunEndedError
from actors.links import Links, Peer
from actors.remote import RemoteDirectory, RemoteLedger
from actors.runtime import Batch, Ended, History, Parts, StateUpdate, Submission, UntilEnded
from storage.accounting import Event
from storage.conversations import Cursor, Feedback, FeedbackStats, Message, Page, TokenUsage
from storage.errors import UnavailableError
from storage.panels import PANELS, Panel
from storage.questions import Answer, Question
from storage.records import END, Assistant, CancelAction, Gap, Part, Patch, Run, RunStatus, Thread, Told

T = TypeVar("T")
Items = AsyncGenerator[Any, None]

MOST_HINTS = 10_000
"""Threads whose place is remembered; the one that was not asked for longest is forgotten first."""

TRIES = 30
"""How often a thread is looked for before its caller is told to come back later."""

PAUSE = 0.1
"""Seconds between those tries, from the third on: the first may have followed an old hint, the second a thread that was
just moving, and those that come then a process whose death has still to be noticed."""

PATIENCE = 10.0
"""Seconds for which those who follow a run wait until its thread can be brought back: the disk may be full."""

AGAIN_AFTER = 0.5
"""Seconds between two tries to bring it back."""

LOOKS = 2
"""How often a thread is looked for by those who follow a run, before they ask whether that has ended: what is
remembered of its place may be old, and then the directory knows better."""

READ_THERE_FOR = 1.0
"""Seconds for which states of resting threads are read in one slot, before the directory is asked for another."""

_DECODER = msgspec.msgpack.Decoder(list[Part] | Gap)


class Client:
    """`actors.runtime.Runtime`, for one gateway."""

    def __init__(self, addresses: Addresses, assistants: list[Assistant]) -> None:
        """For the event loop that runs. `assistants` are those that every graph has from the start."""
        self._links = links = Links()
        self._ledger = RemoteLedger(links.to(addresses.ledger))
        self._directory = RemoteDirectory(links.to(addresses.directory))
        self._lobby = links.to(addresses.directory, "lobby.")
        self._places: OrderedDict[str, Peer] = OrderedDict()
        self._created: OrderedDict[str, None] = OrderedDict()  # need not be looked up before their first run
        self._any_reader: Peer | None = None
        self._reader_until = 0.0
        self._system = {key: one for one in assistants for key in (one.assistant_id, one.graph_id)}
        self._graph_ids = [one.graph_id for one in assistants]

    @property
    def panels(self) -> list[Panel]:
        return PANELS

    @property
    def graph_ids(self) -> list[str]:
        return self._graph_ids

    async def assistant(self, name: str) -> Assistant:
        return self._system.get(name) or await self._ledger.assistant(name)

    async def assistants(self, *, limit: int, offset: int, **filters: Any) -> tuple[list[Assistant], int]:
        return await self._ledger.search_assistants(limit=limit, offset=offset, **filters)

    async def price_missing(self, after: str | None) -> tuple[int, str | None]:
        return await self._ledger.price_missing(after)

    # Threads

    async def create_thread(self, thread: Thread, *, existing_ok: bool = False, is_fresh: bool = False) -> Thread:
        created = await self._ledger.create_thread(thread, existing_ok=existing_ok, is_fresh=is_fresh)
        _remember(self._created, thread.thread_id, None)
        return created

    async def thread(self, thread_id: str) -> Thread:
        return await self._ledger.thread(thread_id)

    async def values(self, thread: Thread) -> bytes:
        if thread.state_updated_at is None:
            return b"null"
        return await self._read(thread.thread_id, "values", thread.thread_id, thread.metadata.get("graph_id"))

    async def state(self, thread_id: str, checkpoint: dict[str, Any] | None, *, subgraphs: bool) -> bytes:
        graph_id = (await self._ledger.thread(thread_id)).metadata.get("graph_id")
        return await self._read(thread_id, "state", thread_id, graph_id, checkpoint, subgraphs=subgraphs)

    async def history(self, thread_id: str, wanted: History) -> bytes:
        graph_id = (await self._ledger.thread(thread_id)).metadata.get("graph_id")
        return await self._read(thread_id, "history", thread_id, graph_id, wanted)

    async def update_state(self, update: StateUpdate) -> bytes:
        await self._ledger.thread(update.thread_id)
        return await self._ask(update.thread_id, "update_state", update)

    async def copy_thread(self, thread_id: str) -> Thread:
        thread, now = await self._ledger.thread(thread_id), datetime.now(UTC)
        copy = Thread(
            thread_id=str(uuid4()),
            metadata=thread.metadata,
            config=thread.config,
            user_id=thread.user_id,
            created_at=now,
            updated_at=now,
            state_updated_at=now if thread.state_updated_at else None,
        )
        await self._read(thread_id, "copy", thread_id, copy.thread_id)
        return await self._ledger.create_thread(copy, is_fresh=True)

    async def patch_thread(self, thread_id: str, metadata: dict[str, Any]) -> Thread:
        patched = await self._ledger.patch_thread(Patch(thread_id, metadata, datetime.now(UTC)))
        while place := await self._found(thread_id):  # its actor remembers what it was like
            try:
                await place.call("refresh", thread_id)
            except (NotHereError, GoneError):
                await self._forget(thread_id)
            else:
                break
        return patched

    async def delete_thread(self, thread_id: str) -> None:
        await self._ledger.thread(thread_id)
        await self._ask(thread_id, "delete", thread_id)
        self._created.pop(thread_id, None)

    # Runs

    async def submit(self, submission: Submission) -> Run:
        await self._check_known(submission)
        return await self._submit(submission)

    async def submit_and_follow(self, submission: Submission) -> tuple[Run, Parts]:
        run, first, items = await self._submit_and("submit_and_stream", submission)
        return run, self._follow(run, 0, _Stream(items, first) if items else None)

    async def submit_and_wait(self, submission: Submission) -> tuple[Run, UntilEnded]:
        run, _, items = await self._submit_and("submit_and_wait", submission)
        return run, partial(self._last_of, items, run)

    async def _submit_and(self, method: str, submission: Submission) -> tuple[Run, bytes, Items | None]:
        """The run, with what came along with it, and what comes then; None if that has to be asked for."""
        if submission.run.idempotency_key is not None:  # it may be a run that has ended long ago
            return await self.submit(submission), b"", None
        await self._check_known(submission)
        thread_id = submission.run.thread_id
        for failures in range(TRIES):
            place = await self._place(thread_id)
            items = place.stream(method, submission)
            try:
                run, first = await anext(items)
            except NotHereError:
                await self._forget(thread_id, failures)
            except GoneError:  # it may have been admitted, and even have ended
                return await self._submit(replace(submission, again=True)), b"", None
            else:
                return run, first, items
        raise UnavailableError

    async def _last_of(self, items: Items | None, run: Run) -> tuple[Run, bytes | None]:
        """What `items` say last; or if they break off before, what is found elsewhere."""
        ended = await self._end_of(items, run)
        return ended.run, await self.result(ended.run) if ended.result is UNSET else ended.result

    async def _end_of(self, items: Items | None, run: Run) -> Ended:
        if items:
            async with aclosing(items):
                with suppress(NotHereError, GoneError):
                    return await anext(items)
            await self._forget(run.thread_id)
        return Ended(await self.ended(run.thread_id, run.run_id))

    async def _submit(self, submission: Submission) -> Run:
        thread_id = submission.run.thread_id
        for failures in range(TRIES):
            place = await self._place(thread_id)
            try:
                return await place.call("submit", submission)
            except NotHereError:
                await self._forget(thread_id, failures)
            except GoneError:
                submission = replace(submission, again=True)
                await self._forget(thread_id, failures)
        raise UnavailableError

    async def follow(self, thread_id: str, run_id: str, after: int) -> Parts:
        return self._follow(await self._ledger.run(thread_id, run_id, lately=True), after, None)

    async def ended(self, thread_id: str, run_id: str) -> Run:
        while True:
            for _ in range(LOOKS):
                if (place := await self._found(thread_id)) is None:
                    break
                try:
                    return await place.call("ended", thread_id, run_id)
                except (NotHereError, GoneError):
                    await self._forget(thread_id)
            if (run := await self._ledger.run(thread_id, run_id, lately=True)).status.is_final:
                return run
            await self._bring_back(thread_id)

    async def result(self, run: Run) -> bytes | None:
        if run.checkpoint_id is None:
            return None
        return await self._read(run.thread_id, "result", run)

    async def cancel(self, thread_id: str, run_id: str, action: CancelAction, reason: str) -> None:
        while not (await self._ledger.run(thread_id, run_id)).status.is_final:
            try:
                await (await self._place(thread_id)).call("cancel", thread_id, run_id, action, reason)
            except (NotHereError, GoneError):
                await self._forget(thread_id)
            else:
                return
        raise RunEndedError(run_id)

    async def delete_run(self, thread_id: str, run_id: str) -> None:
        await self._ask(thread_id, "delete_run", await self._ledger.run(thread_id, run_id))

    def owed_webhooks(self) -> AsyncGenerator[list[tuple[str, str]], None]:
        return self._ledger.owed_webhooks()

    async def told(self, run: Run) -> None:
        await self._ledger.told(Told(run.thread_id, run.run_id, datetime.now(UTC)))

    async def unfinished(self, statuses: list[RunStatus]) -> list[tuple[str, str]]:
        return await self._ledger.unfinished_ids(statuses)

    async def run(self, thread_id: str | None, run_id: str, *, lately: bool = False) -> Run:
        return await self._ledger.run(thread_id, run_id, lately=lately)

    async def runs(
        self, thread_id: str, *, limit: int, offset: int, status: RunStatus | None, rolled_back: bool
    ) -> list[Run]:
        page: dict[str, Any] = {"limit": limit, "offset": offset, "status": status}
        return await self._ledger.runs(thread_id, **page, rolled_back=rolled_back)

    # What was said, what it took, and what people think of it

    async def messages(self, thread_id: str, cursor: Cursor, user_id: str | None) -> list[Message]:
        return await self._ledger.messages(thread_id, cursor, user_id)

    async def run_messages(self, thread_id: str, run_id: str, cursor: Cursor) -> Page:
        return await self._ledger.run_messages(thread_id, run_id, cursor)

    async def run_events(
        self, thread_id: str, run_id: str, *, types: list[str], after: int | None, limit: int
    ) -> list[Event]:
        return await self._ledger.run_events(thread_id, run_id, types=types, after=after, limit=limit)

    async def token_usage(self, thread_id: str, *, include_active: bool) -> TokenUsage:
        return await self._ledger.token_usage(thread_id, include_active=include_active)

    async def put_feedback(self, feedback: Feedback) -> Feedback:
        return await self._ledger.put_feedback(feedback)

    async def delete_feedback(self, thread_id: str, run_id: str, user_id: str | None) -> None:
        await self._ledger.delete_feedback(thread_id, run_id, user_id)

    async def feedback(self, thread_id: str, run_id: str, user_id: str | None) -> list[Feedback]:
        return await self._ledger.feedback(thread_id, run_id, user_id)

    async def feedback_stats(self, thread_id: str, run_id: str) -> FeedbackStats:
        return await self._ledger.feedback_stats(thread_id, run_id)

    # Users' SQL

    async def ask(self, question: Question) -> Answer:
        return await self._ledger.ask(question)

    # Following

    async def _follow(self, run: Run, after: int, stream: "_Stream | None") -> AsyncGenerator[Batch, None]:
        """From one place to the next, until the run's end has been said."""
        while True:
            stream = stream or await self._stream(run, after)
            if stream is None and not run.status.is_final:
                run = await self._ledger.run(run.thread_id, run.run_id, lately=True)
            if stream is None and not run.status.is_final:
                await self._bring_back(run.thread_id)
                continue
            stream = stream or await self._recall(run, after)
            async with aclosing(stream.batches()) as batches:
                async for batch in batches:
                    yield batch
                    if isinstance(batch, Gap):
                        continue
                    after = batch[-1].seq
                    if batch[-1].event == END:
                        return
            if after and after == run.last_seq:
                return
            stream = None
            await self._forget(run.thread_id)

    async def _stream(self, run: Run, after: int) -> "_Stream | None":
        """A stream from where the thread is now; None when nobody has this run on tape."""
        for _ in range(LOOKS):
            if (place := await self._found(run.thread_id)) is None:
                return None
            stream = _Stream(place.stream("stream", run.thread_id, run.run_id, after))
            try:
                await stream.peek()
            except (NotHereError, GoneError):
                await self._forget(run.thread_id)
            else:
                return stream
        return None

    async def _recall(self, run: Run, after: int) -> "_Stream":
        """A finished run, from the disk: any slot reads it."""
        return _Stream((await self._reader(run.thread_id)).stream("recall", run, after))

    # Places

    async def _bring_back(self, thread_id: str) -> None:
        """Have the thread somewhere again. Raises UnavailableError if that cannot be for long."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                await self._place(thread_id)
            except UnavailableError:
                if time.monotonic() > until:
                    raise
            else:
                return
            await asyncio.sleep(AGAIN_AFTER)

    async def _ask(self, thread_id: str, method: str, *args: Any) -> Any:
        for failures in range(TRIES):
            place = await self._place(thread_id)
            try:
                return await place.call(method, *args)
            except (NotHereError, GoneError):
                await self._forget(thread_id, failures)
        raise UnavailableError

    async def _place(self, thread_id: str) -> Peer:
        """Where the thread lives, which may be the lobby; a thread that rests is given a slot."""
        if place := self._places.get(thread_id):
            self._places.move_to_end(thread_id)
            return place
        return self._note_place(thread_id, await self._directory.locate(thread_id))

    def _note_place(self, thread_id: str, address: str | None) -> Peer:
        place = self._lobby if address is None else self._links.to(address)
        _remember(self._places, thread_id, place)
        return place

    async def _found(self, thread_id: str) -> Peer | None:
        """Where the thread lives; None if it rests, and whoever only wants to know what became of a run lets it."""
        if (place := self._places.get(thread_id)) or (home := await self._directory.find(thread_id)) is None:
            return place
        return self._note_place(thread_id, home.address)

    async def _read(self, thread_id: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the thread's own slot, or else any: what is read is on disk."""
        for failures in range(TRIES):
            reader = await self._reader(thread_id)
            try:
                return await reader.call(method, *args, **kwargs)
            except GoneError:
                self._any_reader = None
                await self._forget(thread_id, failures)
        raise UnavailableError

    async def _reader(self, thread_id: str) -> Peer:
        own = self._places.get(thread_id)
        if own is not None and own is not self._lobby:
            return own
        now = time.monotonic()
        if self._any_reader is None or now > self._reader_until:
            self._any_reader = self._links.to(await self._directory.reader(thread_id))
            self._reader_until = now + READ_THERE_FOR
        return self._any_reader

    async def _forget(self, thread_id: str, failures: int = 0) -> None:
        """The hint was wrong; a moment later the directory knows better."""
        if self._places.pop(thread_id, None) is None or failures > 1:
            await asyncio.sleep(PAUSE)

    async def _check_known(self, submission: Submission) -> None:
        """Refuse an unknown thread before it is given a slot."""
        thread_id = submission.run.thread_id
        if submission.new_thread is None and thread_id not in self._places and thread_id not in self._created:
            await self._ledger.thread(thread_id)


class _Stream:
    """One subscription at one place."""

    def __init__(self, items: AsyncGenerator[bytes, None], first: bytes | None = None) -> None:
        self._items = items
        self._first = first

    async def peek(self) -> None:
        """Wait for the first item, so that what is wrong with the place is raised here."""
        self._first = await anext(self._items, b"")

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Ends when the thread leaves the place, or the place its process."""
        async with aclosing(self._items):
            if self._first and (batch := _DECODER.decode(self._first)):
                yield batch
            try:
                async for item in self._items:
                    yield _DECODER.decode(item)
            except (NotHereError, GoneError):
                return


def _remember(places: OrderedDict[str, T], thread_id: str, what: T) -> None:
    places[thread_id] = what
    if len(places) > MOST_HINTS:
        places.popitem(last=False)
