"""Takes down what happens in an attempt of a run: the calls of models, and the messages that people see.

It is a handler of LangChain's callbacks, so it is called from whatever thread and loop user code runs in. What it does
there is short, and a fault in it never fails a run.
"""

import logging
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import GenerationChunk, LLMResult
from langgraph.types import Command
from msgspec.structs import replace

from actors import usage
from actors.encoding import encode, kept_text, message_fields
from actors.logbook import event_of, origin_of
from actors.opencalls import OpenCall, answered, facts_of, reporting
from actors.outcomes import Notes
from storage.accounting import HUMAN, TOOL_RESULT, CallStatus, Event, ModelCall, Usage
from storage.records import Run

NOTHING = Usage()
"""Of a call of which nobody says what it took."""

logger = logging.getLogger(__name__)


class Recorder(BaseCallbackHandler):
    """One for an attempt. `taken` and `close` may be called from any thread."""

    run_inline = True  # its order is that of the calls, and a thread for each would cost more than it does
    errors_total = 0
    """Faults of this handler, in this process (`treadle_usage_errors_total`)."""

    def __init__(self, run: Run, human_id: str | None) -> None:
        self.outputs: str | None = None
        """What the graph gave, in JSON, once it has."""
        self._run = run
        self._origin = origin_of(run)
        self._human_id = human_id
        """Id of the last human message in the thread's log."""
        self._wants_human = True
        self._lock = threading.RLock()
        self._is_closed = False
        self._open: dict[UUID, OpenCall] = {}
        self._tools: dict[UUID, str] = {}
        """What runs within a tool, by its run id; and the tool's name."""
        self._told_tools: set[str] = set()
        self._askers: dict[str, str] = {}
        """Who waits for a tool's answer: the id of its call, and the caller of the model that wanted it."""
        self._calls: list[ModelCall] = []
        self._events: list[Event] = []
        self._count = 0

    # For those who keep it

    def taken(self) -> Notes:
        """What has happened since this was last asked."""
        with self._lock:
            events, self._events = self._events, []
            calls, self._calls = self._calls, []
            new = [one for one in self._open.values() if not one.is_told]
            for one in new:
                one.is_told = True
            opened = [self._as_lost(one) for one in new]
        return Notes(tuple(events), tuple(calls), tuple(opened))

    def close(self) -> None:
        """What is under way is cut off: it ends here, whatever it still says."""
        with self._lock:
            self._is_closed = True
            cut_off, self._open = list(self._open.values()), {}
            for one in cut_off:
                self._end(one, CallStatus.CANCELLED)

    def add(self, calls: Sequence[ModelCall]) -> bool:
        """Calls that were made elsewhere. False once it is closed."""
        with self._lock:
            if not self._is_closed:
                self._calls += calls
            return not self._is_closed

    # Models

    def on_chat_model_start(  # noqa: PLR0913
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - LangChain's signature, here and below
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        prompt = messages[0] if messages else []
        caller = self._begin(run_id, parent_run_id, tags, metadata or {}, kwargs, prompt)
        if self._wants_human and caller == usage.LEAD:
            with self._lock, self._harmless("What a person asked could not be noted"):
                self._note_human(prompt, caller)

    def on_llm_start(  # noqa: PLR0913
        self,
        serialized: dict[str, Any],  # noqa: ARG002
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._begin(run_id, parent_run_id, tags, metadata or {}, kwargs, prompts)

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **_: Any) -> None:
        if one := self._open.get(run_id):
            one.hear()
            one.chunks.append(chunk if chunk is not None else GenerationChunk(text=str(token)))

    def on_stream_event(self, event: Any, *, run_id: UUID, **_: Any) -> None:
        """Of a model that is asked for events, which no tokens need come from."""
        if event.get("event") == "content-block-delta" and (one := self._open.get(run_id)):
            one.hear()
            one.texts.append(event["delta"].get("text") or "")

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        with self._lock:
            if one := self._open.pop(run_id, None):
                self._end(one, CallStatus.SUCCESS, response)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, response: Any = None, **_: Any) -> None:
        status = CallStatus.ERROR if isinstance(error, Exception) else CallStatus.CANCELLED  # a reader that leaves
        with self._lock:
            if one := self._open.pop(run_id, None):
                self._end(one, status, response if isinstance(response, LLMResult) else None, error)

    # Tools, chains, and what user code says of itself

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,  # noqa: ARG002
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        self._tools[run_id] = kept_text(kwargs.get("name") or (serialized or {}).get("name") or "tool")

    def on_tool_end(self, output: Any, *, run_id: UUID, tags: list[str] | None = None, **_: Any) -> None:
        self._tools.pop(run_id, None)
        with self._lock, self._harmless("What a tool answered could not be noted"):
            self._note_results(_tool_messages(output), _caller(tags))

    def on_tool_error(
        self,
        error: BaseException,  # noqa: ARG002
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        tool_call_id: str | None = None,
        **_: Any,
    ) -> None:
        self._tools.pop(run_id, None)
        if tool_call_id:  # who handles the error answers for the tool; that comes out of the node
            with self._lock:
                self._askers.setdefault(tool_call_id, _caller(tags))

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,  # noqa: ARG002
        inputs: Any,  # noqa: ARG002
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **_: Any,
    ) -> None:
        if parent_run_id and (tool := self._tools.get(parent_run_id)):
            self._tools[run_id] = tool

    def on_chain_end(
        self,
        outputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **_: Any,
    ) -> None:
        self._tools.pop(run_id, None)
        if parent_run_id is None:
            self.outputs = encode(outputs).decode()
        elif self._askers:  # not all that answers for a tool is a tool; and a state holds what was told long ago
            with self._lock, self._harmless("What a node answered for a tool could not be noted"):
                awaited = [one for one in _tool_messages(outputs) if one.tool_call_id in self._askers]
                self._note_results(awaited, _caller(tags))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        self._tools.pop(run_id, None)

    def on_custom_event(self, name: str, data: Any, *, tags: list[str] | None = None, **_: Any) -> None:
        if name.startswith("middleware:"):
            given = data if isinstance(data, dict) else {"changes": data}
            content = {key: given.get(key) for key in ("name", "hook", "action", "changes")}
            with self._harmless("What middleware told could not be noted"):
                self._note(kept_text(name)[:32], "middleware", _caller(tags), encode(content))

    # Writing it down

    def _begin(  # noqa: PLR0913, PLR0917 - what LangChain says of a call
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        tags: list[str] | None,
        metadata: dict[str, Any],
        said: dict[str, Any],
        prompt: Sequence[BaseMessage] | Sequence[str],
    ) -> str:
        """Who called."""
        caller, facts = usage.LEAD, dict[str, Any]()
        with self._harmless("What is known of a call could not be read"):
            caller = _caller(tags)
            facts = facts_of(metadata, said.get("invocation_params") or {})
        kind, _, name = caller.partition(":")
        call = ModelCall(
            call_id=str(run_id),
            origin=self._origin,
            attempt=self._run.attempt,
            caller=kind,
            caller_name=name or None,
            tool=self._tools.get(parent_run_id) if parent_run_id else None,
            model=facts.get("model_requested") or "unknown",
            started_at=datetime.now(UTC),
            usage=NOTHING,
            status=CallStatus.SUCCESS,
            **facts,
        )
        with self._lock:
            if not self._is_closed:
                self._open[run_id] = OpenCall(call, caller, prompt)
        return caller

    def _as_lost(self, one: OpenCall) -> ModelCall:
        guess = NOTHING
        with self._harmless("The prompt of a call could not be counted"):
            guess = usage.estimated(one.prompt, [])
        return replace(one.call, usage=guess, status=CallStatus.LOST)

    def _end(
        self,
        one: OpenCall,
        status: CallStatus,
        response: LLMResult | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Call it with the lock: once it is closed, nothing comes in any more."""
        result, call = (
            None,
            replace(
                one.call,
                first_token_at=None if one.first_token is None else one.after(one.first_token),
                ended_at=one.after(time.monotonic()),
                status=status,
                error_type=type(error).__name__ if error is not None and status is CallStatus.ERROR else None,
                was_open=one.is_told,
            ),
        )
        with self._harmless("What a model said could not be counted"):
            result = response if status is CallStatus.SUCCESS else one.said() or reporting(response)
            call = answered(one, call, result)
        self._calls.append(call)
        with self._harmless("What a model said could not be noted"):
            self._events += self._said(one, call, result, error)

    def _said(
        self, one: OpenCall, call: ModelCall, result: LLMResult | None, error: BaseException | None
    ) -> list[Event]:
        """The rows of a call: its answers, or what went wrong."""
        if call.status is CallStatus.ERROR:
            return [self._event("llm.error", "trace", one.caller, encode(str(error)), error_type=call.error_type)]
        self._count += 1
        self._await_tools(result, one.caller)
        assert call.ended_at is not None
        told = call.usage
        facts: dict[str, Any] = {
            "usage": {
                "input_tokens": told.input_tokens,
                "output_tokens": told.output_tokens,
                "total_tokens": told.total_tokens,
            },
            "latency_ms": round((call.ended_at - call.started_at).total_seconds() * 1000),
            "llm_call_index": self._count,
        }
        if call.status is CallStatus.CANCELLED:
            facts["partial"] = True
        return [
            self._event("llm.ai.response", "message", one.caller, _message(message), **facts)
            for message in usage.messages(result)
            if call.status is CallStatus.SUCCESS or usage.has_said(message)
        ]

    def _await_tools(self, result: LLMResult | None, caller: str) -> None:
        """Some providers use the ids of calls again: an answer to an older one is no answer to this."""
        wanted = {str(call["id"]): caller for call in usage.tools_wanted(result)}
        self._askers |= wanted
        self._told_tools -= wanted.keys()

    def _note_human(self, prompt: Sequence[BaseMessage], caller: str) -> None:
        """With the first call: its last human message, unless no person wrote it, or it was noted before."""
        if not self._wants_human:
            return
        self._wants_human = False
        newest = next((message for message in reversed(prompt) if isinstance(message, HumanMessage)), None)
        if newest is None or newest.name == "summary" or newest.additional_kwargs.get("hide_from_ui"):
            return
        if newest.id is None or newest.id != self._human_id:
            self._note(HUMAN, "message", caller, _message(newest), message_id=newest.id)

    def _note_results(self, messages: Iterable[ToolMessage], caller: str) -> None:
        """Each once."""
        for message in messages:
            if message.tool_call_id not in self._told_tools:
                self._told_tools.add(message.tool_call_id)
                asker = self._askers.pop(message.tool_call_id, caller)
                self._note(TOOL_RESULT, "message", asker, _message(message))

    def _note(
        self, event_type: str, category: str, caller: str, content: bytes, *, message_id: str | None = None
    ) -> None:
        event = self._event(event_type, category, caller, content)
        with self._lock:
            if not self._is_closed:
                self._events.append(replace(event, message_id=message_id))

    def _event(self, event_type: str, category: str, caller: str, content: bytes, **facts: Any) -> Event:
        return event_of(self._run.run_id, event_type, category, caller, content.decode(), **facts)

    @contextmanager
    def _harmless(self, what: str) -> Generator[None]:
        """What models, tools and nodes say is not ours: a fault in reading it fails no run, and is counted."""
        try:
            yield
        except Exception:
            Recorder.errors_total += 1
            logger.exception("%s, in run %s", what, self._run.run_id)


def _caller(tags: list[str] | None) -> str:
    return kept_text(usage.caller_of(tags))


def _message(message: BaseMessage) -> bytes:
    """Pieces that were put together are shown as the message that they make."""
    fields = message_fields(message)
    if message.type.endswith("MessageChunk"):
        fields["type"] = message.type.removesuffix("MessageChunk").lower()
        for name in ("tool_call_chunks", "chunk_position"):
            fields.pop(name, None)
    return encode(fields)


def _tool_messages(output: Any) -> list[ToolMessage]:
    """As they are, in a list, in a state, or in the update of a command."""
    match output:
        case ToolMessage():
            return [output]
        case list() | tuple():
            return [message for one in output for message in _tool_messages(one)]
        case Command(update=update):
            return _tool_messages(update)
        case {"messages": given}:
            return _tool_messages(given)
        case _:
            return []
