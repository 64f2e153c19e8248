"""Do the gateway, the directory and the ledger grow with the threads that there have been?

5,000 threads with three trivial runs each, on four slots; what is each process's own, after every 500 of them.
"""

from benchmarks.client import HttpClient
from benchmarks.figures import Figure, Unit
from benchmarks.load import Plan, many_threads, share, warm_up
from benchmarks.processes import STAYING, Role
from benchmarks.servers import Pool, Server
from benchmarks.subject import Reading
from benchmarks.workloads import TRIVIAL

NEEDS = Pool(4, 4)
BY_NAME_ONLY = True

STEPS, STEP, RUNS = 10, 500, 3
CLIENTS = 10


async def ask(server: Server, plan: Plan) -> list[Figure]:
    await warm_up(server)
    step = plan.part_of(STEP)
    seen: dict[Role, list[float]] = {role: [] for role in STAYING}
    for _ in range(STEPS):
        await share(server, CLIENTS, iter(await many_threads(server, step)), _three_runs)
        for role in STAYING:
            seen[role] += server.family.memory(role)
    return [figure for role in STAYING for figure in _figures(role, seen[role], step)]


async def _three_runs(client: HttpClient, thread_id: str) -> list[Reading]:
    return [await client.wait(thread_id, TRIVIAL) for _ in range(RUNS)]


def _figures(role: Role, seen: list[float], step: int) -> list[Figure]:
    threads = [step * (number + 1) for number in range(len(seen))]
    grown = max(abs(size - seen[0]) for size in seen)
    return [
        *(_size(f"{role}: {count:,} threads", size) for count, size in zip(threads, seen, strict=True)),
        _size(f"{role}: {threads[-1] - step:,} further threads", grown),
    ]


def _size(name: str, megabytes: float) -> Figure:
    return Figure(name=name, unit=Unit.MEGABYTES, value=megabytes, samples=1)
