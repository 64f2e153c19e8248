"""A language model without a language model: it plays an author, a pure function from the prompt to a reply.

Everything around the words is as with a real one: tokens come one by one, tool calls come in pieces, usage is
reported on the last chunk, and both the synchronous and the asynchronous way are there.
"""
# ruff: noqa: ARG002 - the signatures are LangChain's, also where an argument means nothing to this model

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.utils.function_calling import convert_to_openai_tool
from msgspec import Struct
from pydantic import Field

PACE = 0.02
"""Seconds per token, unless `TREADLE_DEMO_PACE` or `configurable.pace` says otherwise."""

PER_MESSAGE = 3
"""Tokens that a prompt takes for the frame of each message."""


class Call(Struct, frozen=True):
    """A tool that the model wants called."""

    name: str
    args: dict[str, Any]


class Reply(Struct, frozen=True):
    """What an author answers."""

    text: str
    calls: tuple[Call, ...] = ()


Author = Callable[[Sequence[BaseMessage]], Reply]


def pace_of(config: RunnableConfig) -> float:
    """Seconds per token, as the run's `configurable.pace` or the environment has it."""
    return float(config.get("configurable", {}).get("pace", default_pace()))


def default_pace() -> float:
    return float(os.environ.get("TREADLE_DEMO_PACE", PACE))


def tokens_of(text: str) -> list[str]:
    """The text in words, each with the space behind it; joined they are the text again."""
    return re.findall(r"\s*\S+\s*|\s+", text)


class DemoModel(BaseChatModel):
    """Says what its author makes of the prompt, at its pace. Knows nothing of the world."""

    author: Author
    model_name: str = "demo-large"
    pace: float = Field(default_factory=default_pace, ge=0)
    """Seconds per token."""

    @property
    def _llm_type(self) -> str:
        return "treadle-demo"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(ls_provider="treadle", ls_model_name=self.model_name, ls_model_type="chat")

    def get_num_tokens(self, text: str) -> int:
        return len(tokens_of(text))

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        if tool_choice is not None:
            raise ValueError("the demo model's author chooses its tools; tool_choice cannot be obeyed")
        return cast(
            "Runnable[LanguageModelInput, AIMessage]",
            self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs),
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _result(list(self._stream(messages, stop, None, **kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _result([chunk async for chunk in self._astream(messages, stop, None, **kwargs)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages, stop, kwargs.get("tools", [])):
            time.sleep(self.pace)
            yield ChatGenerationChunk(message=chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages, stop, kwargs.get("tools", [])):
            await asyncio.sleep(self.pace)
            yield ChatGenerationChunk(message=chunk)

    def _chunks(
        self, prompt: list[BaseMessage], stop: list[str] | None, tools: list[dict[str, Any]]
    ) -> Iterator[AIMessageChunk]:
        """The reply in pieces: its words, its calls, and last a chunk without words that says what it took."""
        reply = self.author(prompt)
        _check_calls(reply, tools)
        words = tokens_of(_until(reply.text, stop or []))
        pieces = [piece for index, call in enumerate(reply.calls) for piece in _call_pieces(index, call, len(prompt))]
        yield from (AIMessageChunk(content=word) for word in words)
        yield from pieces
        said = len(words) + len(pieces)
        read = sum(len(tokens_of(_readable(message))) + PER_MESSAGE for message in prompt) + _tokens_in(tools)
        yield AIMessageChunk(
            content="",
            usage_metadata=UsageMetadata(input_tokens=read, output_tokens=said, total_tokens=read + said),
            response_metadata={
                "model_name": self.model_name,
                "finish_reason": "tool_calls" if reply.calls else "stop",
            },
            chunk_position="last",
        )


def _call_pieces(index: int, call: Call, turn: int) -> Iterator[AIMessageChunk]:
    """A call as providers stream it: name and id, then the arguments' JSON bit by bit."""
    args = json.dumps(call.args)
    call_id = f"call_{sha256(f'{turn} {index} {call.name} {args}'.encode()).hexdigest()[:12]}"
    opening = tool_call_chunk(name=call.name, args="", id=call_id, index=index)
    yield AIMessageChunk(content="", tool_call_chunks=[opening])
    for piece in tokens_of(args):
        yield AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(args=piece, index=index)])


def _result(chunks: list[ChatGenerationChunk]) -> ChatResult:
    """The same reply as one message."""
    whole = cast("AIMessageChunk", sum(chunks[1:], start=chunks[0]).message)
    message = AIMessage(
        whole.content,
        tool_calls=whole.tool_calls,
        usage_metadata=whole.usage_metadata,
        response_metadata=whole.response_metadata,
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _check_calls(reply: Reply, tools: list[dict[str, Any]]) -> None:
    bound = {tool["function"]["name"] for tool in tools}
    if strange := {call.name for call in reply.calls} - bound:
        raise ValueError(f"the model has no tool {', '.join(sorted(strange))}")


def _until(text: str, stops: list[str]) -> str:
    """The text before the first of the words that the caller wants it to stop at."""
    return text[: min((text.index(stop) for stop in stops if stop in text), default=len(text))]


def _readable(message: BaseMessage) -> str:
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    return " ".join([message.text, *(json.dumps([call["name"], call["args"]]) for call in calls)])


def _tokens_in(tools: list[dict[str, Any]]) -> int:
    return len(tokens_of(json.dumps(tools))) if tools else 0
