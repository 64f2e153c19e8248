"""What taking down model calls costs a thread's actor, in CPU time: `python -m benchmarks.recording`."""

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.callbacks.manager import ahandle_event
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langgraph.graph import END, START, MessagesState, StateGraph

from actors.recorder import Recorder
from storage.records import Run, RunRequest
from tests.factories import a_run

TIMES = 2_000
METADATA = {
    "thread_id": "t1",
    "run_id": "r1",
    "langgraph_step": 3,
    "langgraph_node": "agent",
    "langgraph_triggers": ("branch:to:agent",),
    "langgraph_path": ("__pregel_pull", "agent"),
    "langgraph_checkpoint_ns": f"research:{uuid4()}|agent:{uuid4()}",
    "checkpoint_ns": f"research:{uuid4()}|agent:{uuid4()}",
    "ls_provider": "openai",
    "ls_model_name": "gpt-4o",
    "ls_model_type": "chat",
}


def run() -> Run:
    return a_run(attempt=1, request=RunRequest(config={"configurable": {}}))


def of_a_call(*, with_rows: bool) -> float:
    """Microseconds of a call's start and end, with a prompt of ten messages."""
    recorder = Recorder(run(), None)
    prompt: list[list[BaseMessage]] = [[HumanMessage("How many are there? " * 10, id="h1")] * 10]
    told = {"input_tokens": 700, "output_tokens": 50, "total_tokens": 750}
    answer = AIMessage("There are four. " * 10, usage_metadata=told, response_metadata={"model_name": "gpt-4o-1"})
    result = LLMResult(generations=[[ChatGeneration(message=answer)]])
    if not with_rows:
        recorder._said = lambda *_: []  # type: ignore[method-assign]  # noqa: SLF001
    ids = [uuid4() for _ in range(TIMES)]

    def call() -> None:
        run_id = ids.pop()
        recorder.on_chat_model_start({}, prompt, run_id=run_id, tags=["seq:step:1"], metadata=METADATA)
        recorder.on_llm_end(result, run_id=run_id)

    return _microseconds(call, TIMES)


async def of_a_token(*, with_recorder: bool) -> float:
    recorder = Recorder(run(), None)
    run_id, chunk = uuid4(), ChatGenerationChunk(message=AIMessageChunk(content="four"))
    recorder.on_chat_model_start({}, [[HumanMessage("?")]], run_id=run_id)
    handlers: list[Any] = [recorder] if with_recorder else []
    start = time.process_time()
    for _ in range(TIMES):
        await ahandle_event(handlers, "on_llm_new_token", "ignore_llm", "four", chunk=chunk, run_id=run_id, tags=None)
    return (time.process_time() - start) / TIMES * 1e6


class Nobody(BaseCallbackHandler):
    """Hears all that a recorder hears."""

    run_inline = True


async def of_a_run(handler: Callable[[], BaseCallbackHandler] | None) -> float:
    """A graph of one node that does nothing."""
    graph: Any = StateGraph(MessagesState)
    graph.add_node("nothing", lambda _: {"messages": []})
    graph.add_edge(START, "nothing")
    graph.add_edge("nothing", END)
    compiled: Any = graph.compile()
    given = {"messages": [HumanMessage("?", id="h1")]}
    start = time.process_time()
    for _ in range(TIMES // 4):
        await compiled.ainvoke(given, {"callbacks": [handler()] if handler else []})
    return (time.process_time() - start) / (TIMES // 4) * 1e6


def _recorder(of_whom: Run) -> Callable[[], Recorder]:
    return lambda: Recorder(of_whom, None)


def _microseconds(do: Callable[[], None], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        do()
    return (time.process_time() - start) / times * 1e6


def _best(measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(5))


def main() -> None:
    print(f"a call, without the log's rows              {_best(lambda: of_a_call(with_rows=False)):8.1f} µs")
    print(f"a call, with the log's rows                 {_best(lambda: of_a_call(with_rows=True)):8.1f} µs")
    for known in (False, True):
        token = _best(lambda known=known: asyncio.run(of_a_token(with_recorder=known)))
        print(f"a token, heard by {'the recorder' if known else 'nobody':26}{token:8.1f} µs")
    of_whom = run()
    for name, handler in (
        ("nobody", None),
        ("a handler that does nothing", Nobody),
        ("the recorder", _recorder(of_whom)),
    ):
        one = _best(lambda handler=handler: asyncio.run(of_a_run(handler)))
        print(f"a run, heard by {name:28}{one:8.1f} µs")


if __name__ == "__main__":
    main()
