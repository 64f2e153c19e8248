"""A call of a model under way, and what it has come to once it has ended, or is cut off."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult
from msgspec.structs import replace

from actors import usage
from actors.encoding import encode, kept_text
from storage.accounting import CallStatus, ModelCall


class OpenCall:
    """A call under way."""

    def __init__(self, call: ModelCall, caller: str, prompt: Sequence[BaseMessage] | Sequence[str]) -> None:
        self.call = call
        self.caller = caller
        self.prompt = prompt
        self.began = time.monotonic()
        self.first_token: float | None = None
        self.chunks: list[ChatGenerationChunk | GenerationChunk] = []
        self.texts: list[str] = []
        """Of a model that is asked for events; some tell the same in chunks."""
        self.is_told = False

    def hear(self) -> None:
        if self.first_token is None:
            self.first_token = time.monotonic()

    def after(self, moment: float) -> datetime:
        """Wall clock at a moment of the monotonic one: durations are never negative."""
        return self.call.started_at + timedelta(seconds=moment - self.began)

    def said(self) -> LLMResult | None:
        """What it has said so far. Raises where its pieces do not fit together."""
        chunks = [chunk for chunk in self.chunks if isinstance(chunk, ChatGenerationChunk)]
        if self.texts and not self.chunks:
            chunks = [ChatGenerationChunk(message=AIMessageChunk(content="".join(self.texts)))]
        if not chunks:
            texts = "".join(chunk.text for chunk in self.chunks)
            return LLMResult(generations=[[GenerationChunk(text=texts)]]) if texts else None
        whole = chunks[0] if len(chunks) == 1 else chunks[0] + chunks[1:]
        return LLMResult(generations=[[whole]])


def facts_of(metadata: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Where a call is made, and of what: from LangGraph's metadata, and from the model's parameters."""
    checkpoint_ns = metadata.get("langgraph_checkpoint_ns") or metadata.get("checkpoint_ns") or None
    node, subgraph = usage.place_of(checkpoint_ns)
    step = metadata.get("langgraph_step")
    return {
        "node": metadata.get("langgraph_node") or node,
        "step": step if isinstance(step, int) else None,
        "checkpoint_ns": checkpoint_ns,
        "subgraph": subgraph,
        "provider": _text(metadata.get("ls_provider")),
        "model_requested": _text(metadata.get("ls_model_name") or given.get("model") or given.get("model_name")),
    }


def answered(one: OpenCall, call: ModelCall, result: LLMResult | None) -> ModelCall:
    """The call with what was said; so far, if it was cut off."""
    if call.status is CallStatus.SUCCESS:
        told = usage.reported(result) or usage.estimated(one.prompt, usage.messages(result) or usage.texts(result))
    else:
        ended = usage.of_failed if call.status is CallStatus.ERROR else usage.of_cut_off
        told = ended(one.prompt, result)
    if told.usage_detail:
        told = replace(told, usage_detail=msgspec.json.decode(encode(told.usage_detail)))
    model, reason = usage.model_of(result), usage.finish_reason(result)
    return replace(call, model=_text(model) or call.model, usage=told, finish_reason=_text(reason))


def reporting(response: LLMResult | None) -> LLMResult | None:
    """What came with an error, if it says what the call took."""
    return response if usage.reported(response) else None


def _text(value: Any) -> str | None:
    return None if value is None else kept_text(value)
