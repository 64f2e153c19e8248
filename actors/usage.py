"""What a call of a model took: read from what LangChain reports of it, or estimated. Pure.

The rules are those of `spec/usage.md` §1.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from msgspec.structs import replace

from storage.accounting import MOST_TOKENS, Usage, UsageSource

LEAD = "lead_agent"
KNOWN_DETAILS = frozenset(("cache_read", "cache_creation", "audio", "reasoning"))
COUNTED = frozenset(("input_tokens", "output_tokens", "total_tokens", "input_token_details", "output_token_details"))
FINISH_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason")


def generations(result: LLMResult | None) -> list[Generation]:
    """All answers to all prompts of a call; LangChain makes a call of its own for each prompt of a batch."""
    return [one for of_prompt in result.generations for one in of_prompt] if result else []


def messages(result: LLMResult | None) -> list[BaseMessage]:
    return [one.message for one in generations(result) if isinstance(one, ChatGeneration)]


def texts(result: LLMResult | None) -> list[str]:
    """Of models that answer with a text."""
    return [one.text for one in generations(result) if not isinstance(one, ChatGeneration)]


def tools_wanted(result: LLMResult | None) -> list[ToolCall]:
    """The calls of tools that the answers ask for."""
    return [call for message in messages(result) if isinstance(message, AIMessage) for call in message.tool_calls]


def reported(result: LLMResult | None) -> Usage | None:
    """What the provider said; None if it said nothing."""
    said = [found for message in messages(result) if (found := _of_message(message))]
    if said:
        return _added(said if len(said) == 1 else list({repr(sorted(one.items())): one for one in said}.values()))
    output = (result.llm_output if result else None) or {}
    if texts(result) and output.get("token_usage") == {}:  # LangChain tells with the first prompt what all of them took
        return Usage(usage_source=UsageSource.REPORTED)
    told = output.get("token_usage") or output.get("usage")
    return _of_provider(told) if isinstance(told, Mapping) else None


def estimated(prompt: Sequence[BaseMessage] | Sequence[str], answers: Iterable[BaseMessage | str]) -> Usage:
    """By LangChain's approximate counter."""
    read, said = _count(prompt), _count(list(answers))
    return Usage(input_tokens=read, output_tokens=said, total_tokens=read + said, usage_source=UsageSource.ESTIMATED)


def of_failed(prompt: Sequence[BaseMessage] | Sequence[str], result: LLMResult | None) -> Usage:
    """Of a call that ended with an error: without a word and a number there is nothing to count."""
    if reported(result) is None and not any(map(has_said, [*messages(result), *texts(result)])):
        return Usage()
    return of_cut_off(prompt, result)


def of_cut_off(prompt: Sequence[BaseMessage] | Sequence[str], result: LLMResult | None) -> Usage:
    """Of a call that did not come to its end: the prompt, or what the provider said of it; and the text so far."""
    answers = [answer for answer in (*messages(result), *texts(result)) if has_said(answer)]
    told = reported(result)
    guess = estimated(prompt, answers)
    read = (told and told.input_tokens) or guess.input_tokens
    written = max(told.output_tokens if told else 0, guess.output_tokens)
    base = told or guess
    return replace(
        base,
        input_tokens=read,
        output_tokens=written,
        total_tokens=read + written,
        usage_source=UsageSource.ESTIMATED,
    )


def has_said(answer: BaseMessage | str) -> bool:
    """Whether there is anything in it."""
    return bool(answer if isinstance(answer, str) else answer.content or getattr(answer, "tool_calls", None))


def model_of(result: LLMResult | None) -> str | None:
    """The model that answered."""
    for message in messages(result):
        metadata = message.response_metadata
        if name := metadata.get("model_name") or metadata.get("model"):
            return str(name)
    output = (result.llm_output if result else None) or {}
    name = output.get("model_name") or output.get("model")
    return None if name is None else str(name)


def finish_reason(result: LLMResult | None) -> str | None:
    """As the provider named it."""
    for one in generations(result):
        places = [one.message.response_metadata] if isinstance(one, ChatGeneration) else []
        for place in (*places, one.generation_info or {}):
            if reason := next((place[key] for key in FINISH_REASONS if place.get(key)), None):
                return str(reason)
    return None


def caller_of(tags: Sequence[Any] | None) -> str:
    """The first tag that says who called; without one it is the lead agent. Tags may be anything."""
    return next((tag for tag in tags or () if isinstance(tag, str) and _CALLER(tag)), LEAD)


def place_of(checkpoint_ns: str | None) -> tuple[str | None, str | None]:
    """Node and path of enclosing subgraphs, from `research:9f…|search:41…`; numbers of repeated calls are left out.

    A subgraph that keeps its state from one call to the next has no id there.
    """
    segments = [part.partition(":")[0] for part in (checkpoint_ns or "").split("|") if part and not part.isdecimal()]
    if not segments:
        return None, None
    return segments[-1], "/".join(segments[:-1]) or None


def _of_message(message: BaseMessage) -> dict[str, Any] | None:
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    return dict(usage) if usage else None


def _added(said: list[dict[str, Any]]) -> Usage:
    if any(one.get("total_cost") == 0 for one in said):  # langchain-core marks an answer from its own cache so
        saved = {key: value for key, value in said[0].items() if key != "total_cost"}
        return Usage(usage_source=UsageSource.REPORTED, from_cache=True, usage_detail={"saved": saved})
    usages = [_of_usage_metadata(one) for one in said]
    if len(usages) == 1:
        return usages[0]
    details = [one.usage_detail for one in usages if one.usage_detail]
    numbers: dict[str, Any] = {name: sum(getattr(one, name) for one in usages) for name in _NUMBERS}
    return Usage(
        **numbers,
        usage_source=UsageSource.REPORTED,
        usage_detail=(details[0] if len(details) == 1 else {"each": details}) if details else None,
    )


_CALLER = re.compile(r"lead_agent\Z|subagent:|middleware:").match

_NUMBERS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "reasoning_tokens",
)


def _of_usage_metadata(said: Mapping[str, Any]) -> Usage:
    """LangChain's own form, in which providers' packages report."""
    read, written = _number(said.get("input_tokens")), _number(said.get("output_tokens"))
    of_input, of_output = said.get("input_token_details") or {}, said.get("output_token_details") or {}
    rest = {key: value for key, value in said.items() if key not in COUNTED}
    rest |= {key: value for key, value in (*of_input.items(), *of_output.items()) if key not in KNOWN_DETAILS}
    return Usage(
        input_tokens=read,
        output_tokens=written,
        total_tokens=_number(said.get("total_tokens")) or read + written,
        cache_read_tokens=_number(of_input.get("cache_read")),
        cache_write_tokens=_number(of_input.get("cache_creation")),
        input_audio_tokens=_number(of_input.get("audio")),
        output_audio_tokens=_number(of_output.get("audio")),
        reasoning_tokens=_number(of_output.get("reasoning")),
        usage_source=UsageSource.REPORTED,
        usage_detail=rest or None,
    )


def _of_provider(said: Mapping[str, Any]) -> Usage | None:
    """The older form: a provider's own object beside the answers, in OpenAI's or Anthropic's words."""
    read = _number(said.get("prompt_tokens", said.get("input_tokens")))
    written = _number(said.get("completion_tokens", said.get("output_tokens")))
    total = _number(said.get("total_tokens")) or read + written
    if not total:
        return None
    return Usage(
        input_tokens=read,
        output_tokens=written,
        total_tokens=total,
        cache_read_tokens=_number((said.get("prompt_tokens_details") or {}).get("cached_tokens")),
        reasoning_tokens=_number((said.get("completion_tokens_details") or {}).get("reasoning_tokens")),
        usage_source=UsageSource.REPORTED,
    )


def _number(value: Any) -> int:
    return int(min(max(0, value), MOST_TOKENS)) if isinstance(value, int | float) else 0  # not a number is 0 by this


def _count(texts: Sequence[BaseMessage] | Sequence[str] | Sequence[BaseMessage | str]) -> int:
    return count_tokens_approximately(texts) if texts else 0  # type: ignore[arg-type]
