"""How long until a client hears of its run, on a new thread (created within the time) and on one that has run before?

One client. The first event is whatever the server says first; the first token is the first thing the graph says.
"""

from time import perf_counter

from benchmarks.figures import Figure, latency
from benchmarks.load import Plan
from benchmarks.subject import BARE, CEILING, PEER, Subject
from benchmarks.workloads import REPLY

BESIDE = (PEER, BARE, CEILING)

MOST = 200
"""Samples, for servers that are quick: enough for a p99."""


async def ask(subject: Subject, plan: Plan) -> list[Figure]:
    firsts: dict[str, list[float]] = {"new thread": [], "warm thread": []}
    tokens: dict[str, list[float]] = {"new thread": [], "warm thread": []}
    async with subject.connect() as client:
        for _ in plan.rounds(longer=4, at_most=MOST):
            began = perf_counter()
            thread_id = await client.new_thread()
            for kind in ("new thread", "warm thread"):
                reading = await client.stream(thread_id, REPLY)
                assert reading.first, "a whole stream has events"
                assert reading.spoke, "and the graph says some of them"
                firsts[kind].append(reading.first - began)
                tokens[kind].append(reading.spoke - began)
                began = perf_counter()
    return [
        *(latency(f"{kind}: first event", times) for kind, times in firsts.items()),
        *(latency(f"{kind}: first token", times) for kind, times in tokens.items()),
    ]
