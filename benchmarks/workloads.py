"""The graphs and inputs that every server is given. Times nothing; every run of a graph says exactly the same.

Servers load this file by its path (`langgraph.json`), the reference server in an environment of its own, so it imports
nothing of ours.
"""

import asyncio
import random
import string
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph

TOKENS = 200
SEED = 2024

PACE = 0.02
"""Seconds between two tokens of a model that keeps a pace."""


class Workload(NamedTuple):
    """One graph, and what is asked of it."""

    graph: str
    stream_mode: str
    """As clients of a server name it; LangGraph itself says `messages` for `messages-tuple`."""
    least: int
    """Events that a whole stream of a run has, without those that a server adds."""
    input: dict[str, Any] = {"messages": [{"role": "user", "content": "What does a treadle do?"}]}


TRIVIAL = Workload("trivial", "values", least=2)
REPLY = Workload("tokens", "messages-tuple", least=TOKENS)
PACED = Workload("paced", "messages-tuple", least=TOKENS)
"""A reply of 4 s, as a model says it. Each token is when it was said, such as `@1234.567@`."""


class Talker(BaseChatModel):
    """A model that says the same words every time, as fast as they are taken."""

    words: tuple[str, ...]

    @property
    def _llm_type(self) -> str:
        return "talker"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("".join(self.words)))])

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for word in self.words:
            await asyncio.sleep(0)  # as a model read from a socket gives the loop a turn; otherwise all come at once
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))


class Clock(Talker):
    """A model that says what time it is, 50 times a second. However late it is woken, it goes on in its pace."""

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        due = time.perf_counter()
        for _word in self.words:
            due += PACE
            await asyncio.sleep(due - time.perf_counter())
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"@{time.perf_counter():.6f}@"))


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(string.ascii_lowercase, k=chance.randint(1, 8))) + " "


_chance = random.Random(SEED)
_words = tuple(_word(_chance) for _ in range(TOKENS))
_talker = Talker(words=_words)
_clock = Clock(words=_words)


async def _say(state: MessagesState) -> dict[str, list[BaseMessage]]:
    return {"messages": [AIMessage(f"Messages heard: {len(state['messages'])}.")]}


async def _talk(state: MessagesState) -> dict[str, list[BaseMessage]]:
    return {"messages": [await _talker.ainvoke(state["messages"])]}


async def _tell(state: MessagesState) -> dict[str, list[BaseMessage]]:
    return {"messages": [await _clock.ainvoke(state["messages"])]}


trivial = StateGraph(MessagesState).add_node("say", _say).add_edge(START, "say").add_edge("say", END)
tokens = StateGraph(MessagesState).add_node("talk", _talk).add_edge(START, "talk").add_edge("talk", END)
paced = StateGraph(MessagesState).add_node("tell", _tell).add_edge(START, "tell").add_edge("tell", END)
