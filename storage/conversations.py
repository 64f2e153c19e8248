"""The nouns of what is read of a conversation: its messages, what they took, what people think of them."""

from datetime import datetime

from msgspec import Struct

from storage.accounting import Event
from storage.errors import NotFoundError


class Cursor(Struct, frozen=True, kw_only=True):
    """Which messages are wanted: the newest, but from a number on the first above it."""

    limit: int
    before: int | None = None
    """Only those with smaller numbers."""
    after: int | None = None
    """Only those with greater numbers, and the page begins there."""


class Page(Struct, frozen=True):
    """Messages in the order of their numbers."""

    events: list[Event]
    has_more: bool
    """Whether there is another beyond the page, on the side to which its cursor leads."""


class Feedback(Struct, frozen=True, kw_only=True):
    """What somebody thinks of a run. One for each run and user; without users one for each run."""

    feedback_id: str
    """A UUID; it stays when the feedback is replaced."""
    thread_id: str
    run_id: str
    user_id: str | None = None
    message_id: str | None = None
    rating: int
    """1 or -1."""
    comment: str | None = None
    created_at: datetime
    """When it was given, or replaced."""


class Message(Struct, frozen=True):
    """A row of the log that is shown as a message."""

    event: Event
    feedback: Feedback | None
    """The reader's own of its run, with the last answer of that run."""


class FeedbackStats(Struct, frozen=True):
    """What all users together think of a run."""

    run_id: str
    total: int
    positive: int
    negative: int


class ModelUsage(Struct, frozen=True):
    tokens: int
    runs: int
    """That asked this model at all."""


class TokenUsage(Struct, frozen=True):
    """What the runs of a thread took. The models and the callers each add up to the total."""

    thread_id: str
    total_tokens: int
    total_input_tokens: int
    total_output_tokens: int
    total_runs: int
    by_model: dict[str, ModelUsage]
    by_caller: dict[str, int]
    """`lead_agent`, `subagent` and `middleware`, each always there."""


class NoFeedbackError(NotFoundError):
    """There is nothing to take back."""
