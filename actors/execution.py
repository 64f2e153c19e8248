"""One run of one graph, from its input to its last checkpoint. Runs on the user's loop."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.channels import LastValue
from langgraph.types import Command, Send

from actors.contexts import fitting
from actors.encoding import kept_text
from actors.graphs import CompiledGraph, Graphs
from actors.logbook import users_own
from actors.outcomes import Outcome, Position, Say
from actors.states import position
from actors.streams import Transcriber
from actors.unanswered import answered
from storage.checkpoints import InlineSaver
from storage.records import Failure, Run

PLACE = ("checkpoint_id", "checkpoint_ns", "checkpoint_map")
"""What a config says of the checkpoint to start from."""


async def execute(  # noqa: PLR0913 - what it runs, with what, and who hears of it
    graphs: Graphs,
    saver: InlineSaver,
    run: Run,
    say: Say,
    *,
    callbacks: list[BaseCallbackHandler],
    after_cancel: bool,
) -> Outcome:
    """Run the graph and say what it says. Raises only CancelledError; what the graph raises is in the outcome."""
    config = run_config(run)
    config["callbacks"] = callbacks
    try:
        async with graphs.open(
            run.graph_id, config, access="threads.create_run", context=partial(fitting, run), checkpointer=saver
        ) as graph:
            out = Transcriber(run.request, say)
            saver.forget_newest(run.thread_id)
            given = _input(run)
            if run.attempt > 1 and await _has_begun(run, saver):
                given, config = None, _from_newest(config)
            if after_cancel and isinstance(given, dict):
                given = await _answered(graph, config, cast("dict[str, Any]", given))
            failure = await _stream(graph, given, config, run, out)
            return Outcome(await _position(graph, saver, run, paused=out.paused or failure is not None), failure)
    except Exception as error:  # noqa: BLE001 - the graph, its factory and its state are the user's code
        return Outcome(None, _failure(error))


def run_config(run: Run) -> RunnableConfig:
    """What the graph is configured with: the merged config, and above it what only the server says."""
    sent = run.request.config
    identity = {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "graph_id": run.graph_id,
        "assistant_id": run.assistant_id,
    }
    known = {key: sent[key] for key in ("tags", "recursion_limit", "max_concurrency", "run_name") if key in sent}
    configurable = {**sent["configurable"], **run.request.context, **identity, "user_id": run.user_id}
    configurable |= {"checkpoint_ns": "", **(run.request.checkpoint or {}), "thread_id": run.thread_id}
    metadata: dict[str, Any] = {**users_own(run.metadata), **identity}
    config: dict[str, Any] = {**known, "configurable": configurable, "metadata": metadata}
    if run.attempt == 1:
        config["run_id"] = UUID(run.run_id)
    else:
        metadata["run_attempt"] = run.attempt
    return cast("RunnableConfig", config)


async def _stream(
    graph: CompiledGraph, given: Any, config: RunnableConfig, run: Run, out: Transcriber
) -> Failure | None:
    arguments: dict[str, Any] = {
        "context": fitting(run, graph.context_schema),
        "stream_mode": out.langgraph_modes,
        "subgraphs": out.subgraphs,
        "interrupt_before": run.request.interrupt_before,
        "interrupt_after": run.request.interrupt_after,
        "durability": run.request.durability.value,
    }
    try:
        if out.with_events:
            stream = cast("AsyncGenerator[Any, None]", graph.astream_events(given, config, version="v2", **arguments))
            async with aclosing(stream) as events:
                async for event in events:
                    out.event(event)
        else:
            stream = cast("AsyncGenerator[Any, None]", graph.astream(given, config, **arguments))
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    out.chunk(chunk)
    except Exception as error:  # noqa: BLE001 - this is the user's graph, and whatever it raises is its answer
        return _failure(error)
    return None


async def _position(graph: CompiledGraph, saver: InlineSaver, run: Run, *, paused: bool) -> Position:
    """A graph that came to its end is at the checkpoint that it wrote last, with nothing to follow: no need to look."""
    newest = saver.newest(run.thread_id)
    return await position(graph, run.thread_id) if paused or newest is None else Position(newest)


def _input(run: Run) -> Any:
    return _command(run.request.command) if run.request.command else run.request.input


async def _answered(graph: CompiledGraph, config: RunnableConfig, given: dict[str, Any]) -> Any:
    """The input, with answers to the calls that the state ends with, where messages are added to those before."""
    channel = graph.channels.get("messages")
    if channel is None or isinstance(channel, LastValue):
        return given
    snapshot = await graph.aget_state(config)
    return answered(given, snapshot.values.get("messages"))


def _from_newest(config: RunnableConfig) -> RunnableConfig:
    """Without the checkpoint that the run started from: it has gone on from there."""
    at = {key: value for key, value in config["configurable"].items() if key not in PLACE}  # pyright: ignore[reportTypedDictNotRequiredAccess] - ours has it
    return {**config, "configurable": {**at, "checkpoint_ns": ""}}


async def _has_begun(run: Run, saver: InlineSaver) -> bool:
    """Whether an earlier attempt has already taken its input."""
    newest = await saver.aget_tuple({"configurable": {"thread_id": run.thread_id, "checkpoint_ns": ""}})
    return newest is not None and newest.metadata.get("run_id") == run.run_id


def _command(sent: dict[str, Any]) -> Command:
    update = sent.get("update")
    if isinstance(update, list):
        update = [(key, value) for key, value in update]
    goto = sent.get("goto") or ()
    goto = [_destination(one) for one in goto] if isinstance(goto, list | tuple) else _destination(goto)
    return Command(resume=sent.get("resume"), update=update, goto=goto)


def _destination(sent: str | dict[str, Any]) -> str | Send:
    return sent if isinstance(sent, str) else Send(sent["node"], sent.get("input"))


def _failure(error: Exception) -> Failure:
    return Failure(type(error).__name__, kept_text(error))
