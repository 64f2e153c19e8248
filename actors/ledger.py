"""The one writer of the database: gathers what many threads have to say, and commits it together."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from duckdb import DuckDBPyConnection
from msgspec.structs import replace

from actors.owing import Owing
from storage import assistants, bindings, feedback, garbage, messages, prices, recordings, runs, threads, usage
from storage.accounting import Event, ModelCall, Recording
from storage.assistants import SortBy, SortOrder
from storage.bindings import Bind, Reserve
from storage.commits import Query, Write
from storage.conversations import Cursor, Feedback, FeedbackStats, Message, Page, TokenUsage
from storage.database import FILE, Database
from storage.deployment import UNSAID, Deployment
from storage.errors import RunNotFoundError, ServiceError, UnavailableError
from storage.feedback import Withdrawal
from storage.pricelists import NO_OWN_PRICES, OwnPrices
from storage.prices import Pricing
from storage.pricing import Pricer
from storage.questions import Question
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
from storage.runs import Forgetting, Start
from storage.threads import Creation, Deletion

P = ParamSpec("P")
T = TypeVar("T")
G = TypeVar("G")

logger = logging.getLogger(__name__)

LARGEST_COMMIT = 256
"""Writes that are kept together; deciding one takes some 20 µs, so nobody waits long for the others."""

LONGEST_LINE = 10_000
"""Writes that may wait; what comes on top of them is refused, and may be tried again."""

PIECE = 256 * 1024
"""Bytes of an answer that go out together."""


class Ledger:
    """Threads, runs and assistants on disk. A write returns once it is committed, and may be asked for twice."""

    def __init__(self, path: str, server: Deployment = UNSAID, own_prices: OwnPrices = NO_OWN_PRICES) -> None:
        self._pricer = Pricer(own_prices)
        self._database = Database(path, server=server, pricer=self._pricer)
        self._line: asyncio.Queue[tuple[Write, asyncio.Future[Any]]] = asyncio.Queue(LONGEST_LINE)
        self._opening = asyncio.Lock()
        self._gatherer: asyncio.Task[None] | None = None
        self._owing = Owing(lambda: self._read(runs.owed))

    async def open(self) -> None:
        """Also if it is open. UnavailableError: another process keeps the file; UnreadableError: it cannot be used."""
        async with self._opening:
            if self._gatherer is None:
                await self._database.open()
                self._gatherer = asyncio.create_task(self._gather(), name="ledger-gatherer")

    async def close(self) -> None:
        """Commit what is waiting, and let go of the file. What comes after that is refused."""
        if self._gatherer is not None:
            gatherer, self._gatherer = self._gatherer, None
            await self._line.join()
            gatherer.cancel()
            await self._database.close()

    # Assistants

    async def put_assistants(self, given: list[Assistant]) -> None:
        await self._write(assistants.put, given, "assistants")

    async def assistant(self, assistant_id: str) -> Assistant:
        return await self._read(assistants.get, assistant_id)

    async def search_assistants(  # noqa: PLR0913 - one argument per filter that clients know
        self,
        *,
        limit: int = 10,
        offset: int = 0,
        metadata: dict[str, Any] | None = None,
        graph_id: str | None = None,
        name: str | None = None,
        sort_by: SortBy = "created_at",
        sort_order: SortOrder = "desc",
    ) -> tuple[list[Assistant], int]:
        """A page of those that match, and how many match in all."""
        return await self._read(
            assistants.search,
            limit=limit,
            offset=offset,
            metadata=metadata,
            graph_id=graph_id,
            name=name,
            sort_by=sort_by,
            sort_order=sort_order,
        )

    # Threads

    async def create_thread(self, thread: Thread, *, existing_ok: bool = False, is_fresh: bool = False) -> Thread:
        return await self._write(threads.create, Creation(thread, existing_ok, is_fresh), thread.thread_id)

    async def thread(self, thread_id: str) -> Thread:
        return await self._read(threads.get, thread_id)

    async def find_thread(self, thread_id: str) -> Thread | None:
        return await self._read(threads.find, thread_id)

    async def patch_thread(self, patch: Patch) -> Thread:
        return await self._write(threads.patch, patch, patch.thread_id)

    async def stand(self, stand: Stand) -> None:
        await self._write(threads.stand, stand, stand.thread_id)

    async def delete_thread(self, thread_id: str, epoch: int) -> None:
        await self._write(threads.delete, Deletion(thread_id, epoch), thread_id)

    # Threads in the hands of actors

    async def bind(self, thread_id: str, *, must_exist: bool, is_handed_over: bool = False) -> Binding:
        return await self._write(bindings.bind, Bind(thread_id, must_exist, is_handed_over), thread_id)

    async def reserve(self, thread_id: str, epoch: int, count: int) -> int:
        return await self._write(bindings.reserve, Reserve(thread_id, epoch, count), thread_id)

    # Runs

    async def admit(self, admission: Admission) -> None:
        await self._write(runs.admit, admission, *_keys(admission.run))
        self._note_ends(admission.dropped)

    async def wish(self, wish: Wish) -> None:
        await self._write(runs.wish, wish, wish.thread_id, wish.run_id)

    async def forget_run(self, run: Run, epoch: int) -> None:
        await self._write(runs.forget, Forgetting(run, epoch), *_keys(run))

    async def begin(self, run: Run, epoch: int) -> None:
        await self._write(runs.begin, Start(run, epoch), *_keys(run))

    async def park(self, parking: Parking) -> None:
        await self._write(runs.park, parking, *_keys(parking.run))

    async def settle(self, settlement: Settlement) -> None:
        await self._write(runs.settle, settlement, *_keys(settlement.run))
        self._note_ends([settlement.run])

    async def record(self, recording: Recording) -> None:
        await self._write(recordings.record, recording, recording.thread_id)

    async def report(self, calls: list[ModelCall]) -> None:
        await self._write(recordings.report, calls, calls[0].origin.thread_id)

    async def run(self, thread_id: str | None, run_id: str, *, lately: bool = False) -> Run:
        return await self._read(runs.get, thread_id, run_id, lately=lately)

    async def find_run(self, thread_id: str, run_id: str) -> Run | None:
        with suppress(RunNotFoundError):
            return await self.run(thread_id, run_id)
        return None

    async def runs(
        self, thread_id: str, *, limit: int, offset: int, status: RunStatus | None, rolled_back: bool = True
    ) -> list[Run]:
        return await self._read(runs.of_thread, thread_id, limit, offset, status, rolled_back=rolled_back)

    async def run_of_key(self, thread_id: str, key: str) -> Run | None:
        return await self._read(runs.of_key, thread_id, key)

    async def unfinished_ids(self, statuses: list[RunStatus]) -> list[tuple[str, str]]:
        return await self._read(runs.unfinished_ids, statuses)

    async def unfinished_threads(self) -> list[str]:
        return await self._read(runs.unfinished_threads)

    def owed_webhooks(self) -> AsyncGenerator[list[tuple[str, str]], None]:
        """Threads and runs that have ended and whose webhooks this reader is to call, and so on as more end."""
        return self._owing.hand_out()

    async def told(self, told: Told) -> None:
        await self._write(runs.tell, told, told.thread_id)

    # What was said, what it took, and what people think of it

    async def messages(self, thread_id: str, cursor: Cursor, user_id: str | None) -> list[Message]:
        return await self._read(messages.of_thread, thread_id, cursor, user_id)

    async def run_messages(self, thread_id: str, run_id: str, cursor: Cursor) -> Page:
        return await self._read(messages.of_run, thread_id, run_id, cursor)

    async def run_events(
        self, thread_id: str, run_id: str, *, types: list[str], after: int | None, limit: int
    ) -> list[Event]:
        return await self._read(messages.events, thread_id, run_id, types=types, after=after, limit=limit)

    async def token_usage(self, thread_id: str, *, include_active: bool) -> TokenUsage:
        return await self._read(usage.of_thread, thread_id, include_active=include_active)

    async def put_feedback(self, given: Feedback) -> Feedback:
        return await self._write(feedback.put, given, given.thread_id)

    async def delete_feedback(self, thread_id: str, run_id: str, user_id: str | None) -> None:
        await self._write(feedback.delete, Withdrawal(thread_id, run_id, user_id), thread_id)

    async def feedback(self, thread_id: str, run_id: str, user_id: str | None) -> list[Feedback]:
        return await self._read(feedback.of_run, thread_id, run_id, user_id)

    async def feedback_stats(self, thread_id: str, run_id: str) -> FeedbackStats:
        return await self._read(feedback.stats, thread_id, run_id)

    # Prices

    async def load_prices(self) -> None:
        """Load the price list, which takes a moment, and price the calls that came before it."""
        await asyncio.to_thread(self._pricer.load)
        lists = await asyncio.to_thread(self._pricer.lists)
        # Once this is done, so is every write that came before: all calls that are pending can be seen.
        await self._write(prices.put, lists, "prices")
        after: str | None = prices.FIRST
        while after is not None:
            _, after = await self._price(prices.PENDING_ONLY, after)

    def begin_to_price(self) -> None:
        """Have the prices loaded: nothing waits for them, and without them calls are recorded all the same."""
        self._pricing = asyncio.create_task(self._try_to_load_prices(), name="price-loader")

    async def price_missing(self, after: str | None) -> tuple[int, str | None]:
        """Price calls that had no price when they were recorded, a page of them, after the one with that id.

        Return how many have a cost now, and where to go on; None when there are no more. Raises UnavailableError.
        """
        if not self._pricer.is_loaded:
            raise UnavailableError("The price list is still being loaded.")
        return await self._price(prices.WANT_OF_PRICE, after or prices.FIRST)

    async def _price(self, reasons: Sequence[str], after: str) -> tuple[int, str | None]:
        calls = await self._read(prices.unpriced, reasons, after)
        priced = [Pricing(call, self._pricer.price(call)) for call in calls]
        changed = [one for one in priced if one.price.unpriced_reason != one.call.reason]
        if changed:
            await self._write(prices.price, changed, "prices")
        return sum(one.price.cost_usd is not None for one in changed), calls[-1].call_id if calls else None

    async def _try_to_load_prices(self) -> None:
        try:
            await self.load_prices()
        except ServiceError as error:  # the ledger is closing, or its disk is full; the next start tries again
            logger.warning("Calls have no prices yet: %s", error)
        except Exception:  # nobody awaits this task; calls stay without a cost, and say that they are pending
            logger.exception("The price list could not be loaded")

    # Garbage

    async def garbage(self) -> list[tuple[str, int]]:
        """Threads whose checkpoints and tapes may be removed now, with the epochs of those who held them last."""
        return await self._read(garbage.due)

    async def swept(self, thread_id: str) -> None:
        await self._write(garbage.sweep, thread_id, thread_id)

    def _note_ends(self, ended: Sequence[Run]) -> None:
        if any(run.request.webhook is not None for run in ended):
            self._owing.tell()

    # Users' SQL

    async def ask(self, question: Question) -> AsyncGenerator[Any, None]:
        """The answer without its body, then the body in pieces: a large one holds up nothing else on its way."""
        if self._gatherer is None:
            raise UnavailableError("The ledger is not open.")
        answer = await self._database.ask(question)
        yield replace(answer, body=b"")
        for start in range(0, len(answer.body), PIECE):
            yield answer.body[start : start + PIECE]

    # Reading, and gathering what is written

    async def _read(
        self, query: Callable[Concatenate[DuckDBPyConnection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self._gatherer is None:
            raise UnavailableError("The ledger is not open.")
        return await self._database.read(query, *args, **kwargs)

    async def _write(self, query: Query[G, T], given: G, *keys: str) -> T:
        if self._gatherer is None:
            raise UnavailableError("The ledger is not open.")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self._line.put_nowait((Write(query, given, keys), answer))
        except asyncio.QueueFull:
            raise UnavailableError from None
        return await answer

    async def _gather(self) -> None:
        """Commit whatever has gathered while the last commit ran."""
        while True:
            batch = [await self._line.get()]
            while not self._line.empty() and len(batch) < LARGEST_COMMIT:
                batch.append(self._line.get_nowait())
            outcomes = await self._database.write_each([write for write, _ in batch])
            for (_, answer), outcome in zip(batch, outcomes, strict=True):
                self._line.task_done()
                _tell(answer, outcome)


async def open_ledger(data: Path, server: Deployment, own_prices: OwnPrices) -> Ledger:
    """The ledger of the folder `data`, which loads its prices from now on."""
    ledger = Ledger(str(data / FILE), server, own_prices)
    await ledger.open()
    ledger.begin_to_price()
    return ledger


def _tell(answer: asyncio.Future[Any], outcome: Any | Exception) -> None:
    if answer.done():  # whoever asked has left
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def _keys(run: Run) -> tuple[str, str]:
    return run.thread_id, run.run_id
