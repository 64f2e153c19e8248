"""Questions are asked of whom they can be asked, and find the figures that their targets are about."""

import asyncio
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.constant import Constant
from benchmarks.load import Plan, many_threads, share
from benchmarks.processes import Role, role_of
from benchmarks.questions import NAMES, question
from benchmarks.servers import Needs, Server
from benchmarks.subject import MeasuringError
from benchmarks.targets import TARGETS

ONCE = Plan(seconds=0.01, runs=1)


@pytest.fixture
async def constant():
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield Server(f"http://{host}:{port}")
    server.close()


@pytest.mark.parametrize("name", [name for name in NAMES if question(name).needs is Needs.ANY])
async def test_a_question_finds_the_figures_of_its_targets(constant, name):
    figures = {figure.name: figure for figure in await question(name).ask(constant, ONCE)}
    wanted = {(target.figure, target.unit) for target in TARGETS if target.question == name}
    found = {(figure.name, figure.unit) for figure in figures.values()}
    assert {name for name, _ in wanted - found} <= {"gateway's CPU per event"}  # only a Treadle has one


async def test_nobody_is_refused_by_a_server_that_refuses_nobody(constant):
    figures = {figure.name: figure for figure in await question("streaming").ask(constant, ONCE)}
    broken = figures["clients: 128, refused or broken off"]
    assert (broken.value, broken.samples) == (0, 128)


async def test_whoever_is_refused_is_counted(monkeypatch, constant):
    async def refuse(*_: Any) -> None:
        raise MeasuringError("POST /threads answered 503")

    asking = question("streaming").ask
    alone = iter(range(1 + 32))
    real = asking.__globals__["streamed_reply"]

    async def reply(client: Any) -> Any:
        return await (real if next(alone, None) is not None else refuse)(client)

    monkeypatch.setitem(asking.__globals__, "streamed_reply", reply)
    figures = {figure.name: figure for figure in await asking(constant, ONCE)}
    assert figures["clients: 128, refused or broken off"].value == 128


async def test_items_are_shared_out_once_each_among_all_clients(constant):
    taken: list[int] = []
    takers: set[Any] = set()

    async def take(client: Any, item: int) -> None:
        await client.new_thread()
        taken.append(item)
        takers.add(client)

    await share(constant, 7, iter(range(50)), take)
    assert sorted(taken) == list(range(50))
    assert len(takers) == 7
    assert len(await many_threads(constant, 40)) == 40


def test_a_server_of_somebody_else_has_no_processes_to_measure():
    with pytest.raises(MeasuringError, match="not started here"):
        _ = Server("http://127.0.0.1:2024").family


def test_a_plan_does_less_in_less_time_and_something_in_any():
    assert Plan().part_of(1000) == 1000
    assert Plan(seconds=1).part_of(1000) == 200
    assert Plan(seconds=1).part_of(1) == 1
    assert Plan(seconds=60).part_of(1000) == 1000


@pytest.mark.parametrize(
    ("command", "role"),
    [
        (["ray::_SlotActor", "", ""], Role.SLOT),
        (["ray::_LedgerActor.listening"], Role.LEDGER),
        (["ray::_DirectoryActor"], Role.DIRECTORY),
        (["ray::DashboardAgent"], Role.OTHER),
        (["python", "ray::_SlotActor"], Role.OTHER),
        ([], Role.OTHER),
    ],
)
def test_a_process_is_known_by_its_title(command, role):
    assert role_of(command) is role


@pytest.mark.parametrize("name", ["rest", "start"])
def test_a_server_that_runs_already_is_not_asked_what_it_cannot_answer(name):
    ended = CliRunner().invoke(main, ["--url", "http://127.0.0.1:1", name])
    assert ended.exit_code == 2
    assert f"{name} cannot be asked of the server at --url" in ended.output
