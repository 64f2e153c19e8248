"""Takes down what happens in an attempt of a run: the calls of models, and the messages that people see.

It is a handler of LangChain's callbacks, so it is called from whatever thread and loop user code runs in. What it does
there is short, and a fault in it never fails a run.
"""

import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult
from langgraph.types import Command
from msgspec.structs import replace

from actors import usage
from actors.encoding import encode, message_fields
from actors.logbook import event_of, origin_of
from actors.outcomes import Notes
from storage.accounting import CallStatus, Event, ModelCall, Usage
from storage.events import HUMAN
from storage.recordings import TOOL_RESULT
from storage.records import Run

logger = logging.getLogger(__name__)


class OpenCall:
    """A call under way."""

    def __init__(self, call: ModelCall, caller: str, prompt: Sequence[BaseMessage] | Sequence[str]) -> None:
        self.call = call
        self.caller = caller
        self.prompt = prompt
        self.began = time.monotonic()
        self.first_token: float | None = None
        self.chunks: list[ChatGenerationChunk | GenerationChunk] = []
        self.is_told = False

    def after(self, moment: float) -> datetime:
        """Wall clock at a moment of the monotonic one: durations are never negative."""
        return self.call.started_at + timedelta(seconds=moment - self.began)

    def said(self) -> LLMResult | None:
        """What it has said so far."""
        chunks = [chunk for chunk in self.chunks if isinstance(chunk, ChatGenerationChunk)]
        if not chunks:
            texts = "".join(chunk.text for chunk in self.chunks)
            return LLMResult(generations=[[GenerationChunk(text=texts)]]) if texts else None
        whole = chunks[0] if len(chunks) == 1 else chunks[0] + chunks[1:]
        return LLMResult(generations=[[whole]])


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
        self._failed_tools = False
        self._told_tools: set[str] = set()
        self._askers: dict[str, str] = {}
        """Who asked for a tool: its call's id, and the caller of the model that wanted it."""
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
                self._end(one, CallStatus.CANCELLED, one.said())

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
        caller = usage.caller_of(tags)
        self._begin(run_id, parent_run_id, caller, metadata or {}, kwargs, prompt)
        if self._wants_human and caller == usage.LEAD:
            self._wants_human = False
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
        self._begin(run_id, parent_run_id, usage.caller_of(tags), metadata or {}, kwargs, prompts)

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **_: Any) -> None:
        if (one := self._open.get(run_id)) is None:
            return
        if one.first_token is None:
            one.first_token = time.monotonic()
        one.chunks.append(chunk if chunk is not None else GenerationChunk(text=str(token)))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        with self._lock:
            if one := self._open.pop(run_id, None):
                self._end(one, CallStatus.SUCCESS, response)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, response: Any = None, **_: Any) -> None:
        status = CallStatus.ERROR if isinstance(error, Exception) else CallStatus.CANCELLED  # a reader that leaves
        with self._lock:
            if one := self._open.pop(run_id, None):
                told = response if isinstance(response, LLMResult) and usage.reported(response) else None
                self._end(one, status, one.said() or told, error)

    # Tools, chains, and what user code says of itself

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,  # noqa: ARG002
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        self._tools[run_id] = str(kwargs.get("name") or (serialized or {}).get("name") or "tool")

    def on_tool_end(self, output: Any, *, run_id: UUID, tags: list[str] | None = None, **_: Any) -> None:
        self._tools.pop(run_id, None)
        self._note_results(output, usage.caller_of(tags))

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        self._tools.pop(run_id, None)
        self._failed_tools = True  # who handles it writes the message of the tool; it comes out of the node

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
        elif self._failed_tools:
            self._note_results(outputs, usage.caller_of(tags))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        self._tools.pop(run_id, None)

    def on_custom_event(self, name: str, data: Any, *, tags: list[str] | None = None, **_: Any) -> None:
        if name.startswith("middleware:"):
            given = data if isinstance(data, dict) else {"changes": data}
            content = {key: given.get(key) for key in ("name", "hook", "action", "changes")}
            self._note(name[:32], "middleware", usage.caller_of(tags), encode(content))

    # Writing it down

    def _begin(  # noqa: PLR0913, PLR0917 - what LangChain says of a call
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        caller: str,
        metadata: dict[str, Any],
        said: dict[str, Any],
        prompt: Sequence[BaseMessage] | Sequence[str],
    ) -> None:
        given: dict[str, Any] = said.get("invocation_params") or {}
        requested = metadata.get("ls_model_name") or given.get("model") or given.get("model_name")
        checkpoint_ns = metadata.get("langgraph_checkpoint_ns") or metadata.get("checkpoint_ns") or None
        node, subgraph = usage.place_of(checkpoint_ns)
        kind, _, name = caller.partition(":")
        step = metadata.get("langgraph_step")
        call = ModelCall(
            call_id=str(run_id),
            origin=self._origin,
            attempt=self._run.attempt,
            node=metadata.get("langgraph_node") or node,
            step=step if isinstance(step, int) else None,
            checkpoint_ns=checkpoint_ns,
            subgraph=subgraph,
            caller=kind,
            caller_name=name or None,
            tool=self._tools.get(parent_run_id) if parent_run_id else None,
            provider=metadata.get("ls_provider"),
            model_requested=requested,
            model=requested or "unknown",
            started_at=datetime.now(UTC),
            usage=Usage(),
            status=CallStatus.SUCCESS,
        )
        with self._lock:
            if not self._is_closed:
                self._open[run_id] = OpenCall(call, caller, prompt)

    def _as_lost(self, one: OpenCall) -> ModelCall:
        try:
            guess = usage.estimated(one.prompt, [])
        except Exception as error:  # noqa: BLE001 - the prompt is the user's
            self._fault("The prompt of a call could not be counted", error)
            guess = Usage()
        return replace(one.call, usage=guess, status=CallStatus.LOST)

    def _end(
        self, one: OpenCall, status: CallStatus, result: LLMResult | None, error: BaseException | None = None
    ) -> None:
        """Call it with the lock: once it is closed, nothing comes in any more."""
        try:
            call = self._ended(one, status, result, error)
            events = self._said(one, call, result, error)
        except Exception as fault:  # noqa: BLE001 - what models say is not ours
            self._fault("What a model said could not be counted", fault)
            call, events = replace(one.call, status=status, ended_at=one.after(time.monotonic())), []
        self._calls.append(call)
        self._events += events

    def _ended(
        self, one: OpenCall, status: CallStatus, result: LLMResult | None, error: BaseException | None
    ) -> ModelCall:
        if status is CallStatus.SUCCESS:
            told = usage.reported(result) or usage.estimated(one.prompt, usage.messages(result) or usage.texts(result))
        else:
            told = usage.of_cut_off(one.prompt, result)
        return replace(
            one.call,
            model=usage.model_of(result) or one.call.model,
            first_token_at=None if one.first_token is None else one.after(one.first_token),
            ended_at=one.after(time.monotonic()),
            usage=told,
            status=status,
            finish_reason=usage.finish_reason(result),
            error_type=type(error).__name__ if error is not None and status is CallStatus.ERROR else None,
            was_open=one.is_told,
        )

    def _said(
        self, one: OpenCall, call: ModelCall, result: LLMResult | None, error: BaseException | None
    ) -> list[Event]:
        """The rows of a call: its answers, or what went wrong."""
        if call.status is CallStatus.ERROR:
            return [self._event("llm.error", "trace", one.caller, encode(str(error)), error_type=call.error_type)]
        self._count += 1
        self._askers |= {str(wanted["id"]): one.caller for wanted in usage.tools_wanted(result)}
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
        ]

    def _note_human(self, prompt: Sequence[BaseMessage], caller: str) -> None:
        """The last human message, unless it is none that a person wrote, or was noted before."""
        newest = next((message for message in reversed(prompt) if isinstance(message, HumanMessage)), None)
        if newest is None or newest.name == "summary" or newest.additional_kwargs.get("hide_from_ui"):
            return
        if newest.id is None or newest.id != self._human_id:
            self._note(HUMAN, "message", caller, _message(newest), message_id=newest.id)

    def _note_results(self, output: Any, caller: str) -> None:
        """Messages of tools: as they are, in a list, or in the update of a command; each once."""
        for message in _tool_messages(output):
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

    def _fault(self, what: str, error: Exception) -> None:
        Recorder.errors_total += 1
        logger.error("%s, in run %s", what, self._run.run_id, exc_info=error)


def _message(message: BaseMessage) -> bytes:
    """Pieces that were put together are shown as the message that they make."""
    fields = message_fields(message)
    if message.type.endswith("MessageChunk"):
        fields["type"] = message.type.removesuffix("MessageChunk").lower()
        for name in ("tool_call_chunks", "chunk_position"):
            fields.pop(name, None)
    return encode(fields)


def _tool_messages(output: Any) -> list[ToolMessage]:
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
