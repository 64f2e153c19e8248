"""The nouns of accounting and of a thread's log: model calls, what they cost, events. Imports nothing of ours."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct

MOST_TOKENS = 10**12
"""No call takes more; what says so is not believed, so that sums of calls stay in the columns that keep them."""


HUMAN = "llm.human.input"
"""Type of the row of a log for what a person said."""

TOOL_RESULT = "llm.tool.result"
"""Type of the row for what a tool gave."""


class CallStatus(StrEnum):
    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"
    LOST = "lost"
    """The process died during the call."""


class UsageSource(StrEnum):
    """Who says how many tokens a call took."""

    REPORTED = "reported"
    """The provider."""
    ESTIMATED = "estimated"
    """LangChain's approximate counter, from the prompt and the answer."""
    MISSING = "missing"
    """Nobody: the numbers are 0."""


class Origin(Struct, frozen=True, kw_only=True):
    """Whose call it was: what is known of the run from its admission."""

    thread_id: str
    run_id: str
    user_id: str | None
    assistant_id: str
    assistant_version: int
    graph_id: str
    tags: list[str]
    metadata: dict[str, Any]
    """Without the framework's own keys, and no more than 4 KB."""


class Price(Struct, frozen=True):
    """What a call cost."""

    cost_usd: Decimal | None
    """None when unknown."""
    price_version: str | None
    """Of the price list."""
    priced_as: str | None
    """Its entry: `provider/model`."""
    unpriced_reason: str | None
    """Why there is no cost."""


PENDING = Price(None, None, None, "pending")
"""Of a call that came before the price list was loaded."""


class Usage(Struct, frozen=True, kw_only=True):
    """The tokens of a call. Input includes what was read from and written to a cache, output includes reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    reasoning_tokens: int = 0
    usage_source: UsageSource = UsageSource.MISSING
    usage_detail: dict[str, Any] | None = None
    """What the provider said beyond that."""
    from_cache: bool = False
    """Whether a cache of LangChain's answered, at no cost."""


class ModelCall(Struct, frozen=True, kw_only=True):
    """One call of a language model (`spec/usage.md` §1.1)."""

    call_id: str
    """A UUID."""
    origin: Origin
    attempt: int
    node: str | None = None
    step: int | None = None
    checkpoint_ns: str | None = None
    subgraph: str | None = None
    """Path of the enclosing subgraphs, joined by `/`."""
    caller: str = "lead_agent"
    """`lead_agent`, `subagent` or `middleware`."""
    caller_name: str | None = None
    tool: str | None = None
    """The nearest enclosing tool."""
    provider: str | None = None
    model_requested: str | None = None
    model: str
    started_at: datetime
    first_token_at: datetime | None = None
    ended_at: datetime | None = None
    usage: Usage
    status: CallStatus
    finish_reason: str | None = None
    error_type: str | None = None
    was_open: bool = False
    """Whether it was told of while it was under way."""


class Event(Struct, frozen=True, kw_only=True):
    """A row of a thread's log (`spec/gateway.md` §9)."""

    seq: int
    """Its number in the log, from 1."""
    run_id: str
    event_type: str
    category: str
    caller: str
    """`lead_agent`, `subagent:<name>` or `middleware:<name>`."""
    content: str
    """JSON."""
    metadata: str
    """JSON."""
    created_at: datetime
    message_id: str | None = None
    """Of a human message, its id, if it has one."""


class LogEnd(Struct, frozen=True):
    """Where a thread's log ends."""

    seq: int = 0
    """Number of its last row."""
    human_id: str | None = None
    """Id of the last human message in it."""


class Recording(Struct, frozen=True, kw_only=True):
    """What has happened on a thread since it was last told: committed together, and twice is once."""

    thread_id: str
    epoch: int
    events: tuple[Event, ...] = ()
    """In the order of their numbers."""
    calls: tuple[ModelCall, ...] = ()
    opened: tuple[ModelCall, ...] = ()
    """Calls under way, as they are to be recorded if nothing more is heard of them."""

    def __bool__(self) -> bool:
        return bool(self.events or self.calls or self.opened)
