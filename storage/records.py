"""The nouns: what is stored, and what actors send one another. Imports only other nouns."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct, field

from storage.accounting import LogEnd, Recording


class RunStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    """Cancelled. A run that pauses at an `interrupt()` is a success; only its thread is interrupted."""

    @property
    def is_final(self) -> bool:
        return self not in (RunStatus.PENDING, RunStatus.RUNNING)


class ThreadStatus(StrEnum):
    IDLE = "idle"
    BUSY = "busy"
    INTERRUPTED = "interrupted"
    ERROR = "error"


class MultitaskStrategy(StrEnum):
    """What becomes of a run that meets another on its thread."""

    REJECT = "reject"
    ENQUEUE = "enqueue"
    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"


class StreamMode(StrEnum):
    VALUES = "values"
    UPDATES = "updates"
    MESSAGES = "messages"
    """The Platform dialect's accumulated form: `messages/partial` and its siblings."""
    MESSAGES_TUPLE = "messages-tuple"
    """LangGraph's own form: a message or chunk, and its metadata."""
    CUSTOM = "custom"
    DEBUG = "debug"
    TASKS = "tasks"
    CHECKPOINTS = "checkpoints"
    EVENTS = "events"


class Durability(StrEnum):
    """When LangGraph writes a checkpoint: before the next step, beside it, or once at the end."""

    SYNC = "sync"
    ASYNC = "async"
    EXIT = "exit"


class OnDisconnect(StrEnum):
    """What becomes of a run when the connection of the request that created it breaks."""

    CANCEL = "cancel"
    CONTINUE = "continue"


class CancelAction(StrEnum):
    """How a run is ended before its time: what it has done so far stays, or is undone."""

    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"


class Dialect(StrEnum):
    """The door through which a run came in; the shape of its webhook and its defaults follow from it."""

    PLATFORM = "platform"
    GATEWAY = "gateway"


class Failure(Struct, frozen=True):
    """What went wrong in a run, as its users are told."""

    error: str
    """Class name of the exception."""
    message: str


class Assistant(Struct, frozen=True, kw_only=True):
    """A graph, with the configuration it is run with."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None = None
    config: dict[str, Any] = {}
    context: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    version: int = 1
    created_at: datetime
    updated_at: datetime


class Thread(Struct, frozen=True, kw_only=True):
    """A conversation or a piece of research. Its values are in its checkpoints, not here."""

    thread_id: str
    status: ThreadStatus = ThreadStatus.IDLE
    metadata: dict[str, Any] = {}
    config: dict[str, Any] = {}
    interrupts: dict[str, list[Any]] = {}
    """What the thread waits for: task id → interrupts, each `{"id", "value"}`."""
    error: Failure | None = None
    """How the last run failed; None after one that did not."""
    user_id: str | None = None
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime | None = None
    """When a run last changed the thread's checkpoints; None before the first."""


class RunRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run is asked to do, whichever dialect asked."""

    input: Any = None
    """Whatever JSON the client sent; only the graph knows what it means. None continues from the checkpoint."""
    command: dict[str, Any] | None = None
    """`{"resume", "update", "goto"}`, each optional; beats the input."""
    config: dict[str, Any] = {}
    """LangChain's RunnableConfig. `configurable` holds what the client sent, without the server's own keys."""
    context: dict[str, Any] = {}
    stream_modes: tuple[StreamMode, ...] = (StreamMode.VALUES,)
    """What is recorded: in the order asked for, without repeats."""
    subgraphs: bool = False
    """Whether what subgraphs say is recorded too."""
    interrupt_before: list[str] | Literal["*"] | None = None
    interrupt_after: list[str] | Literal["*"] | None = None
    checkpoint: dict[str, Any] | None = None
    """Where to start from: `{"checkpoint_id", "checkpoint_ns", "checkpoint_map"}`. None is the newest."""
    durability: Durability = Durability.ASYNC
    on_disconnect: OnDisconnect = OnDisconnect.CONTINUE
    resumable: bool = False
    feedback_keys: list[str] | None = None
    webhook: str | None = None
    """The URL that is called when it has ended."""
    temporary: bool = False
    """Whether its thread goes when it has ended; only a thread that it has made itself does."""
    sent: dict[str, Any] = {}
    """The body as it was sent, without its input, for a dialect that shows it again."""


class Totals(Struct, frozen=True):
    """What the model calls of a run add up to, as the ledger has counted them so far."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0


class Run(Struct, frozen=True, kw_only=True):
    """One execution of a graph on a thread."""

    run_id: str
    """A UUID of version 7."""
    thread_id: str
    assistant_id: str
    assistant_version: int = 1
    graph_id: str
    dialect: Dialect
    request: RunRequest
    metadata: dict[str, Any] = {}
    multitask_strategy: MultitaskStrategy = MultitaskStrategy.ENQUEUE
    user_id: str | None = None
    status: RunStatus = RunStatus.PENDING
    attempt: int = 0
    """0 before the first start, then 1, 2, 3; more only where servers have stopped meanwhile."""
    error: Failure | None = None
    cancel_reason: str | None = None
    """Why it was asked to end, and by whom."""
    created_at: datetime
    """When it was admitted."""
    updated_at: datetime
    """When its status last changed."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    checkpoint_id: str | None = None
    """The newest root checkpoint when it ended: where its result is read."""
    first_seq: int | None = None
    """No part of it on the thread's tape has a lower number. Of one that ended without a start, that of its last."""
    last_seq: int | None = None
    """Number of its last part, the one that says the end."""
    last_ms: int | None = None
    """Production time of that part, in milliseconds since 1970."""
    cancel_action: CancelAction | None = None
    """How it was asked to end; that is done also after a crash."""
    due_at: datetime | None = None
    """When it may start at the earliest; None is at once."""
    rolled_back: bool = False
    """Whether what it did was undone. Its status is then `error`, in the dialect that still shows it."""
    idempotency_key: str | None = None
    """What its client called the request that made it; the same request on its thread makes no second run."""
    parked: int = 0
    """How many of its attempts a server has ended that stopped."""
    totals: Totals = Totals()
    """Only what is read from the ledger has them: actors never count."""

    @property
    def has_begun(self) -> bool:
        """Whether it ever started: one that did and is pending has been parked, and goes on before any other starts."""
        return self.attempt > 0

    @property
    def ending(self) -> str:
        """What its last part says of how it ended."""
        return "rollback" if self.rolled_back else self.status


class Part(Struct, frozen=True, array_like=True):
    """One thing a thread said."""

    seq: int
    """Its number on the thread's tape: from 1, growing, never used twice."""
    ms: int
    """When it was produced, in milliseconds since 1970; never decreases along the tape."""
    run_id: str
    event: str
    """`metadata`, `end`, or a stream mode, followed by `|` and a namespace when a subgraph said it."""
    data: bytes
    """JSON, encoded once where it was made; every subscriber gets these same bytes."""

    @property
    def is_end(self) -> bool:
        return self.event == END


METADATA = "metadata"
"""First part of each attempt: `{"run_id", "thread_id", "attempt"}`."""

END = "end"
"""Last part of a run: `{"run_id", "status", "error"}`; `error` is a Failure or null. The status may be `rollback`."""


class Gap(Struct, frozen=True):
    """Parts of a run that were asked for and are no longer kept, or never reached this reader."""

    after: int
    """The last number the reader had."""
    first: int | None
    """The earliest number of the run still kept; None when nothing is."""
    last: int | None
    """The newest number of the run."""
    ms: int
    """Production time of the last part lost, as far as it is known, in milliseconds since 1970."""
    first_ms: int = 0
    """Production time of part `first`."""
    last_ms: int = 0
    """Production time of part `last`."""

    @property
    def is_trimmed(self) -> bool:
        """Whether parts are known to be gone, rather than said by an earlier attempt in another process."""
        return self.ms > 0


class TapeLimits(Struct, frozen=True):
    """How much is kept of what threads say; the oldest goes first."""

    hours: float
    """How long."""
    run_bytes: int
    """Of one run, compressed."""
    all_bytes: int
    """Of all of them, compressed."""


class Admission(Struct, frozen=True, kw_only=True):
    """A run that is let in, committed together with its thread if that is new."""

    run: Run
    epoch: int
    new_thread: Thread | None = None
    replaced: dict[str, Any] = {}
    """What the thread's metadata said where the run's graph and assistant come; None where they said nothing."""
    again: bool = False
    """Whether this may have been asked before, and the answer was lost."""
    dropped: tuple[Run, ...] = ()
    """Runs that never started and that this one displaces, with their final status."""
    recording: Recording | None = None
    """What happened and was not told yet, the ends of those included."""
    wish: "Wish | None" = None
    """The end of the run that this one displaces while it runs."""


class Wish(Struct, frozen=True, kw_only=True):
    """Somebody wants a run to end. Kept until it has, also over a crash."""

    thread_id: str
    run_id: str
    epoch: int
    action: CancelAction
    reason: str


class Standing(Struct, frozen=True, kw_only=True):
    """What a thread is like between runs."""

    status: ThreadStatus
    """Never busy: that follows from its unfinished runs."""
    error: Failure | None = None
    interrupts: dict[str, list[Any]] = {}


class Stand(Struct, frozen=True, kw_only=True):
    """How a change of its state, by no run, leaves a thread. That the last run failed stays true."""

    thread_id: str
    epoch: int
    at: datetime
    standing: Standing


class Settlement(Struct, frozen=True, kw_only=True):
    """The end of a run, and what it leaves behind: committed together."""

    run: Run
    epoch: int
    standing: Standing | None = None
    """What the run left of its thread; None when it never started, and so changed nothing."""
    recording: Recording | None = None
    """What happened and was not told yet."""


class Parking(Struct, frozen=True, kw_only=True):
    """The end of an attempt, and not of its run: the server stops, and the next one goes on with it."""

    run: Run
    epoch: int
    recording: Recording
    """What happened and was not told yet."""


class Binding(Struct, frozen=True, kw_only=True):
    """A thread in the hands of one actor: what it needs to know, and the epoch that proves the right to write."""

    thread_id: str
    epoch: int
    next_seq: int
    """The first number that the tape may hand out."""
    reserved: int
    """The last number that it may hand out before it reserves more."""
    thread: Thread | None = None
    """None when no thread of this id is stored; its first run brings it."""
    unfinished: list[Run] = field(default_factory=list[Run])
    """Runs without a final status, in the order of their admission."""
    log: LogEnd = LogEnd()
    """Where the thread's log ends."""


class Patch(Struct, frozen=True):
    """Add to a thread's metadata, key by key."""

    thread_id: str
    metadata: dict[str, Any]
    at: datetime


class Told(Struct, frozen=True):
    """The webhook of a run needs no more to be called."""

    thread_id: str
    run_id: str
    at: datetime
