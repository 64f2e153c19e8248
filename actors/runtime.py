"""What the web may ask of the actors. Cluster carries it out over Ray."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol

from msgspec import UNSET, Struct, UnsetType

from storage.accounting import Event
from storage.conversations import Cursor, Feedback, FeedbackStats, Message, Page, TokenUsage
from storage.panels import Panel
from storage.questions import Answer, Question
from storage.records import Assistant, CancelAction, Gap, Part, Run, RunStatus, Thread

Batch = list[Part] | Gap
"""What a stream hands out: parts in order, or the news that some are gone."""

Parts = AsyncGenerator[Batch, None]
"""Ends after a batch whose last part is the run's end. Close it when the reader has gone."""


class Ended(Struct, frozen=True):
    """A run that has a final status, and what it left: as `Runtime.result`. Unset: that has still to be read."""

    run: Run
    result: bytes | UnsetType | None = UNSET


UntilEnded = Callable[[], Awaitable[tuple[Run, bytes | None]]]
"""Wait for a run's end: the run with its final status, and its `Runtime.result`."""
"""Waits for the final status of a run that is known by then, and returns the run. May be called once, or never."""


class Submission(Struct, frozen=True, kw_only=True):
    """A run that a client wants, before it has been merged with its assistant and its thread."""

    run: Run
    """`metadata` and `request` hold what the client sent."""
    assistant: Assistant
    new_thread: Thread | None = None
    """Stored together with the run if the thread does not exist; None refuses an unknown thread."""
    again: bool = False
    """Whether this may have been asked before, and the answer was lost."""


class History(Struct, frozen=True, kw_only=True):
    """Which of a thread's checkpoints are wanted, newest first."""

    limit: int
    before: str | None = None
    """Only those older than this checkpoint."""
    metadata: dict[str, Any] | None = None
    """Only those whose metadata have these values."""
    checkpoint_ns: str = ""
    """Of which graph: the root, or one of its subgraphs."""


class StateUpdate(Struct, frozen=True, kw_only=True):
    """A change of a thread's state that comes from no run."""

    thread_id: str
    values: Any
    """As a node would have returned it."""
    as_node: str | None = None
    """The node that it would have been; None leaves it to LangGraph."""
    checkpoint: dict[str, Any] | None = None
    """Where to start from: `{"checkpoint_id", "checkpoint_ns", "checkpoint_map"}`. None is the newest."""


class Runtime(Protocol):
    """Threads, runs and assistants, wherever they live.

    All methods raise kinds of `storage.errors.ServiceError`; UnavailableError while a part is restarting.
    """

    async def assistant(self, name: str) -> Assistant:
        """By id, or by the name of a graph, which means its system assistant. Raises AssistantNotFoundError."""
        ...

    async def assistants(self, *, limit: int, offset: int, **filters: Any) -> tuple[list[Assistant], int]:
        """Those that match `storage.assistants.search`'s filters, and how many match in all."""
        ...

    async def price_missing(self, after: str | None) -> tuple[int, str | None]:
        """Price a page of the calls that had no price when they were recorded, after the one with that id.

        Return how many have a cost now, and where to go on; None when there are no more.
        """
        ...

    async def create_thread(self, thread: Thread, *, existing_ok: bool = False, is_fresh: bool = False) -> Thread:
        """Store a thread; or return the one that is there if that is fine. Raises ThreadExistsError.

        `is_fresh`: its id was made for it, so that there can be no other.
        """
        ...

    async def thread(self, thread_id: str) -> Thread:
        """Raises ThreadNotFoundError."""
        ...

    async def values(self, thread: Thread) -> bytes:
        """The state's values at the newest checkpoint as JSON; `null` before the first."""
        ...

    async def state(self, thread_id: str, checkpoint: dict[str, Any] | None, *, subgraphs: bool) -> bytes:
        """The thread's state at a checkpoint, None being the newest, as the Platform's ThreadState, in JSON."""
        ...

    async def history(self, thread_id: str, wanted: History) -> bytes:
        """The thread's states, in JSON: a list of ThreadState, newest first."""
        ...

    async def update_state(self, update: StateUpdate) -> bytes:
        """Change the state, in order with the thread's runs; where its new checkpoint is, in JSON.

        Raises ThreadNotFoundError, InFlightError, SenselessError for what the graph refuses.
        """
        ...

    async def copy_thread(self, thread_id: str) -> Thread:
        """A new thread with the same metadata and checkpoints. Raises ThreadNotFoundError."""
        ...

    async def patch_thread(self, thread_id: str, metadata: dict[str, Any]) -> Thread:
        """Add to a thread's metadata, key by key. Raises ThreadNotFoundError."""
        ...

    async def delete_thread(self, thread_id: str) -> None:
        """Cancel what runs, then remove the thread, its runs and its checkpoints."""
        ...

    async def submit(self, submission: Submission) -> Run:
        """Return once the run is committed, as it was committed.

        Raises ThreadNotFoundError, ThreadBusyError, LineFullError.
        """
        ...

    async def submit_and_follow(self, submission: Submission) -> tuple[Run, Parts]:
        """As `submit`, with the run's parts from its first."""
        ...

    async def submit_and_wait(self, submission: Submission) -> tuple[Run, UntilEnded]:
        """As `submit`, with a way to wait for the run's end."""
        ...

    async def follow(self, thread_id: str, run_id: str, after: int) -> Parts:
        """The run's parts numbered above `after`: what is kept, then what comes. Raises RunNotFoundError."""
        ...

    async def ended(self, thread_id: str, run_id: str) -> Run:
        """The run, once it has a final status. Raises RunNotFoundError."""
        ...

    async def result(self, run: Run) -> bytes | None:
        """The values that a final run left, as a JSON object with `__interrupt__` if it paused; None if none."""
        ...

    async def cancel(self, thread_id: str, run_id: str, action: CancelAction, reason: str) -> None:
        """Return once the wish is kept, over a crash too. Raises RunNotFoundError, RunEndedError."""
        ...

    async def delete_run(self, thread_id: str, run_id: str) -> None:
        """Cancel it if it is unfinished, then remove it and its checkpoints. Raises RunNotFoundError, InFlightError."""
        ...

    async def unfinished(self, statuses: list[RunStatus]) -> list[tuple[str, str]]:
        """Threads and their runs of these statuses, in the order of their admission."""
        ...

    async def run(self, thread_id: str | None, run_id: str, *, lately: bool = False) -> Run:
        """A run of the thread, or of any; with `lately`, also one that has just gone with its thread.

        Raises RunNotFoundError.
        """
        ...

    async def runs(
        self, thread_id: str, *, limit: int, offset: int, status: RunStatus | None, rolled_back: bool
    ) -> list[Run]:
        """Newest first, with those that were rolled back or without; empty for a thread that is not known."""
        ...

    async def messages(self, thread_id: str, cursor: Cursor, user_id: str | None) -> list[Message]:
        """Over all runs, with what this user thinks of them; empty for a thread that is not known."""
        ...

    async def run_messages(self, thread_id: str, run_id: str, cursor: Cursor) -> Page:
        """None of a run that was rolled back. Raises RunNotFoundError."""
        ...

    async def run_events(
        self, thread_id: str, run_id: str, *, types: list[str], after: int | None, limit: int
    ) -> list[Event]:
        """In order, of these types or of all; those above number `after`. Raises RunNotFoundError."""
        ...

    async def token_usage(self, thread_id: str, *, include_active: bool) -> TokenUsage:
        """Of runs that have ended, however, and perhaps of those under way; zeros for a thread that is not known."""
        ...

    async def put_feedback(self, feedback: Feedback) -> Feedback:
        """As it is stored: it takes the id of what its user has said of the run before. Raises RunNotFoundError."""
        ...

    async def delete_feedback(self, thread_id: str, run_id: str, user_id: str | None) -> None:
        """Raises RunNotFoundError, and another NotFoundError if there is none."""
        ...

    async def feedback(self, thread_id: str, run_id: str, user_id: str | None) -> list[Feedback]:
        """The user's own: one or none. Raises RunNotFoundError."""
        ...

    async def feedback_stats(self, thread_id: str, run_id: str) -> FeedbackStats:
        """Of all users. Raises RunNotFoundError."""
        ...

    def owed_webhooks(self) -> AsyncGenerator[list[tuple[str, str]], None]:
        """Threads and runs that have ended and whose webhooks are to be called, and so on for ever.

        Each is told to one of those who ask, and to another if that one goes, or does not say `told` in a minute.
        """
        ...

    async def told(self, run: Run) -> None:
        """The run's webhook has been called, or was given up."""
        ...

    async def ask(self, question: Question) -> Answer:
        """What the database says to a user's SQL. It sees all that was answered before, of everybody.

        Raises SenselessError for what is no SELECT that users may ask, or fails; TooLargeError, TimeLimitError,
        TooManyQueriesError.
        """
        ...

    @property
    def panels(self) -> list[Panel]:
        """The questions of the usage page."""
        ...

    @property
    def graph_ids(self) -> list[str]:
        """The names of the graphs that are served."""
        ...
