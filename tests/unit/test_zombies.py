"""A process that was thought dead, and goes on: what it does with a thread that another has by now comes to nothing.

Two hosts with files of their own processes, and one ledger; the first is overtaken while its graph waits.
"""

import asyncio
import operator
import threading
from contextlib import suppress
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from actors.errors import NotHereError
from actors.executor import Executor
from actors.graphs import Graphs
from actors.host import Host
from actors.ledger import Ledger
from actors.project import GraphSpec, RunLimits
from actors.runtime import StateUpdate, Submission
from actors.scribe import Scribe
from storage.errors import StaleError
from storage.records import CancelAction, RunRequest, RunStatus, StreamMode, TapeLimits
from storage.tapes import Tapes
from tests.factories import a_run, a_thread, an_assistant

LIMITS = RunLimits(grace=5, timeout=60, waiting=10)
TAPES = TapeLimits(hours=24, run_bytes=10**9, all_bytes=10**9)
WAIT = 20


class Steps(TypedDict):
    steps: Annotated[list[str], operator.add]


class Process:
    """What a slot's process has, without the process: its end is an event."""

    def __init__(self, name, ledger, folder):
        self.name = name
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.lost = asyncio.Event()
        self.steps = []
        graphs = Graphs({"agent": self.graph()}, {"agent": GraphSpec("m:g")})
        self.executor = Executor(graphs, folder / "checkpoints")
        self.tapes = Tapes(folder / "tapes", TAPES)
        self.scribe = Scribe(self.tapes)
        self.host = Host(
            ledger,
            self.executor,
            self.scribe,
            held=False,
            limits=LIMITS,
            on_quiet=lambda _: None,
            on_lost=self.lost.set,
        )

    def graph(self):
        """Three steps, of which the second waits, and the third hides what goes wrong in a graph of its own."""

        def step(name):
            self.steps.append(name)
            return {"steps": [f"{name} of {self.name}"]}

        async def wait(_: Steps) -> dict[str, Any]:
            self.reached.set()
            await asyncio.to_thread(self.go_on.wait, WAIT)
            return step("wait")

        async def hide(state: Steps) -> dict[str, Any]:
            with suppress(Exception):
                await inner.ainvoke({"steps": state["steps"][:0]})
            return step("hide")

        def begin(_: Steps) -> dict[str, Any]:
            return step("begin")

        def end(_: Steps) -> dict[str, Any]:
            return step("end")

        inner = StateGraph(Steps).add_node(begin).add_edge(START, "begin").compile()
        outer = StateGraph(Steps).add_sequence([begin, wait, hide, end]).add_edge(START, "begin")
        return outer.compile(name="agent")

    async def close(self):
        self.go_on.set()
        await self.executor.close()
        self.tapes.close()


@pytest.fixture
async def ledger(tmp_path):
    ledger = Ledger(str(tmp_path / "treadle.duckdb"))
    await ledger.open()
    yield ledger
    await ledger.close()


@pytest.fixture
async def a_process(ledger, tmp_path):
    processes = []

    def a_process(name):
        processes.append(Process(name, ledger, tmp_path))
        return processes[-1]

    yield a_process
    for process in processes:
        await process.close()


@pytest.fixture
async def old(a_process):
    return a_process("old")


@pytest.fixture
async def new(a_process):
    process = a_process("new")
    process.go_on.set()
    return process


def a_submission(**given):
    request = RunRequest(input={"steps": []}, stream_modes=(StreamMode.VALUES,))
    return Submission(run=a_run("t1", request=request, **given), assistant=an_assistant(), new_thread=a_thread("t1"))


async def takes(process, ledger):
    await process.host.take(await ledger.bind("t1", must_exist=False))


async def goes(process, ledger):
    """A run that waits in its second step."""
    await takes(process, ledger)
    run = await process.host.submit(a_submission())
    assert await asyncio.to_thread(process.reached.wait, WAIT)
    return run


async def gives_up(process, run):
    """It lets go of the thread, and the run has no end there."""
    process.go_on.set()
    await asyncio.wait_for(process.lost.wait(), WAIT)
    with pytest.raises(NotHereError):
        await process.host.ended("t1", run.run_id)


async def runs(process):
    """A run that has ended."""
    run = await process.host.submit(a_submission())
    return await process.host.ended("t1", run.run_id)


async def everything(process, ledger, run):
    """All that is kept of the thread, and of the run."""
    checkpoints = process.executor._read_checkpoints.saver("t1")
    tables = ("checkpoints", "writes", "marks", "kept_writes", "epochs")
    return (
        [checkpoints.conn.execute(f"SELECT * FROM {table}").fetchall() for table in tables],
        [batch async for batch in process.scribe.read("t1", run.run_id, 0)],
        await ledger.run("t1", run.run_id),
        await ledger.thread("t1"),
        await ledger.run_events("t1", run.run_id, types=[], after=None, limit=100),
    )


def history(process):
    """The steps of the thread's checkpoints, oldest first, and how many follow each."""
    saver = process.executor._read_checkpoints.saver("t1")
    found = list(saver.list({"configurable": {"thread_id": "t1", "checkpoint_ns": ""}}))
    parents = [one.parent_config["configurable"]["checkpoint_id"] for one in found if one.parent_config]
    return [one.metadata["step"] for one in reversed(found)], {parents.count(parent) for parent in parents}


LATE = {
    "goes on": lambda old, _: old.go_on.set(),
    "is asked to cancel": lambda old, run: old.host.cancel("t1", run.run_id, CancelAction.INTERRUPT, "no"),
    "is asked to roll back": lambda old, run: old.host.cancel("t1", run.run_id, CancelAction.ROLLBACK, "no"),
    "is asked for another run": lambda old, _: old.host.submit(a_submission()),
    "is asked to delete the thread": lambda old, _: old.host.delete("t1"),
    "is asked to delete the run": lambda old, run: old.host.delete_run(run),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
async def test_a_process_whose_run_went_on_elsewhere_changes_nothing_and_ends(old, new, ledger, late):
    run = await goes(old, ledger)
    await takes(new, ledger)
    ended = await new.host.ended("t1", run.run_id)
    assert (ended.status, ended.attempt) == (RunStatus.SUCCESS, 2)
    before = await everything(new, ledger, run)
    asked = late(old, run)
    if asked is not None:
        with suppress(StaleError, NotHereError):
            await asked
    await gives_up(old, run)
    assert await everything(new, ledger, run) == before
    assert history(new) == ([-1, 0, 1, 2, 3, 4], {1})
    assert (await runs(new)).status is RunStatus.SUCCESS


async def test_a_graph_that_hides_the_refusal_is_found_out_before_the_new_one_has_ended(old, new, ledger):
    new.go_on.clear()
    run = await goes(old, ledger)
    await takes(new, ledger)
    assert await asyncio.to_thread(new.reached.wait, WAIT)
    await gives_up(old, run)
    new.go_on.set()
    ended = await new.host.ended("t1", run.run_id)
    assert (ended.status, ended.attempt) == (RunStatus.SUCCESS, 2)
    assert history(new) == ([-1, 0, 1, 2, 3, 4], {1})


IDLE = {
    "change the state": lambda host, _: host.update_state(StateUpdate(thread_id="t1", values={"steps": ["by hand"]})),
    "delete the run": lambda host, run: host.delete_run(run),
    "delete the thread": lambda host, _: host.delete("t1"),
    "make another run": lambda host, _: host.submit(a_submission()),
}


@pytest.mark.parametrize("asked", IDLE.values(), ids=IDLE)
async def test_a_process_that_has_lost_a_resting_thread_changes_nothing(old, new, ledger, asked):
    old.go_on.set()
    await takes(old, ledger)
    run = await runs(old)
    await takes(new, ledger)
    await runs(new)
    before = await everything(new, ledger, run)
    with pytest.raises(StaleError):
        await asked(old.host, run)
    assert await everything(new, ledger, run) == before


async def test_a_process_that_is_overtaken_at_once_makes_no_step_of_a_run_that_it_finds(old, new, a_process, ledger):
    run = await goes(old, ledger)
    late = await ledger.bind("t1", must_exist=False)
    await takes(new, ledger)
    await new.host.ended("t1", run.run_id)
    third = a_process("third")
    await third.host.take(late)
    await gives_up(third, run)
    assert third.steps == []
    await gives_up(old, run)
