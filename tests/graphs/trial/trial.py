"""Three steps, which note in files what they do: what witnesses say who owe the server nothing.

The second does what the input says in `how`, for `{"seconds": 0.5}`. Each step adds `<run id> <step>` to the state's
`done`. In the folder that the environment's `TRIAL` names, a thread has a file with a line when a step begins and one
when it ends, and another with a line per call of a model that was served.
"""

import asyncio
import operator
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from actors.demo.model import DemoModel, Reply

FOLDER = Path(os.environ["TRIAL"])

PACE = 0.05


class State(TypedDict):
    word: NotRequired[str]
    how: NotRequired[str]
    seconds: NotRequired[float]
    done: Annotated[list[str], operator.add]


class Model(DemoModel):
    """Notes what it has served: a model's own bill."""

    config: RunnableConfig

    def _chunks(
        self, prompt: list[BaseMessage], stop: list[str] | None, tools: list[dict[str, Any]]
    ) -> Iterator[AIMessageChunk]:
        usage = None
        for chunk in super()._chunks(prompt, stop, tools):
            usage = chunk.usage_metadata or usage
            yield chunk
        assert usage, "the last chunk has it"
        note(self.config, "served", usage["input_tokens"], usage["output_tokens"])


def recite(prompt: Sequence[BaseMessage]) -> Reply:
    return Reply("one two three four five six")


def note(config: RunnableConfig, file: str, *what: object) -> None:
    """A line, which is whole whatever becomes of this process: one write to a file that is only appended to."""
    identity = config.get("configurable", {})
    attempt = config.get("metadata", {}).get("run_attempt", 1)
    line = " ".join(map(str, (identity["run_id"], attempt, os.getpid(), time.time(), *what)))
    with (FOLDER / f"{identity['thread_id']}.{file}").open("ab", buffering=0) as out:
        out.write(line.encode() + b"\n")


class Noted:
    """A step, seen by a witness."""

    def __init__(self, config: RunnableConfig, step: str) -> None:
        self._config = config
        self._step = step
        self.done: dict[str, Any] = {"done": [f"{config.get('configurable', {})['run_id']} {step}"]}

    def __enter__(self) -> dict[str, Any]:
        note(self._config, "steps", "begins", self._step)
        return self.done

    def __exit__(self, *_: object) -> None:
        note(self._config, "steps", "ends", self._step)


def begin(_: State, config: RunnableConfig) -> dict[str, Any]:
    with Noted(config, "begin") as done:
        return done


async def work(state: State, config: RunnableConfig) -> dict[str, Any]:
    with Noted(config, "work") as done:
        await toil(state.get("how", "sleep"), state.get("seconds", 0), config)
        return done


def end(_: State, config: RunnableConfig) -> dict[str, Any]:
    with Noted(config, "end") as done:
        return done


async def toil(how: str, seconds: float, config: RunnableConfig) -> None:
    until = time.monotonic() + seconds
    match how:
        case "tick":
            say = get_stream_writer()
            for number in range(round(seconds / PACE)):
                say({"tick": number})
                await asyncio.sleep(PACE)
        case "block":
            time.sleep(seconds)  # noqa: ASYNC251 - as no async node should
        case "call":
            while time.monotonic() < until:
                await Model(author=recite, model_name="reciter", pace=PACE / 5, config=config).ainvoke(
                    [HumanMessage("Recite.")], config
                )
        case "fail":
            await asyncio.sleep(seconds)
            raise ValueError("as its input says")
        case "ask":
            interrupt({"question": "ok?"})
        case "shrug":
            await refuse(until)
        case _:
            await asyncio.sleep(seconds)


async def refuse(until: float) -> None:
    """Take no notice of being cancelled."""
    while (left := until - time.monotonic()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(left)


graph = StateGraph(State).add_sequence([begin, work, end]).add_edge(START, "begin").compile(name="trial")
