"""Tool calls that a cancelled run left without an answer, and the messages that say so. Pure.

Models refuse a conversation in which a call has no answer, so without these a thread would be of no use
after a cancel that came between a call and its result.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage


def answered(given: Any, messages: Any) -> Any:
    """A run's input, with an answer to each call that `messages` end with in front of its own messages."""
    if not isinstance(given, Mapping) or not isinstance(messages, Sequence):
        return given
    answers = [_answer(call) for call in _unanswered(messages)]
    return {**given, "messages": [*answers, *_as_list(given.get("messages"))]} if answers else given


def _unanswered(messages: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """The calls of the last message of the model, if nothing but results follows it, that have no result."""
    done: set[str] = set()
    for message in reversed(messages):
        match message:
            case ToolMessage():
                done.add(message.tool_call_id)
            case AIMessage():
                # Calls that the model garbled are sent back to it like the others, and need an answer like them.
                calls = (*message.tool_calls, *message.invalid_tool_calls)
                yield from (call for call in calls if call["id"] and call["id"] not in done)
                return
            case _:
                return


def _answer(call: Mapping[str, Any]) -> ToolMessage:
    name = call["name"] or "unknown"
    text = f"The call of the tool {name} was interrupted: its run was cancelled before it had a result."
    return ToolMessage(text, name=name, tool_call_id=call["id"], status="error")


def _as_list(messages: Any) -> list[Any]:
    """LangChain takes one message in place of a list; a pair of strings is one, too."""
    match messages:
        case None:
            return []
        case BaseMessage() | str() | Mapping() | tuple():
            return [messages]
        case _:
            return list(messages)
