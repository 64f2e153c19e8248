"""What clients do, chosen by dice: the same dice choose the same, though what comes of it depends on the moment."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.errors import APIError

from storage.records import CancelAction, MultitaskStrategy
from tests.chaos.client import PAUSE, READINGS, Client, GivenUpError, Run, Wanted, new_uuid, seq_of
from tests.chaos.told import Ended, Heard, Opened, Read, Told

DOORS = ("", "/api")

RUNS_OF_A_THREAD = 30
"""After so many runs its clients begin a new thread: what is in its state is said with every part."""

REMEMBERED = 40
"""Runs that somebody may join, cancel or ask about."""

HOWS = {"sleep": 6, "tick": 6, "call": 4, "ask": 2, "fail": 2, "block": 1, "shrug": 1}

STRATEGIES = {
    MultitaskStrategy.ENQUEUE: 7,
    MultitaskStrategy.REJECT: 1,
    MultitaskStrategy.INTERRUPT: 1,
    MultitaskStrategy.ROLLBACK: 1,
}


class Load:
    """Clients on threads that they share."""

    def __init__(self, urls: list[str], seed: int, told: Told, *, clients: int, threads: int) -> None:
        self._told = told
        self._dice = random.Random(f"{seed} threads")
        self._clients = [Client(urls, random.Random(f"{seed} client {number}"), told) for number in range(clients)]
        self._threads = {number: new_uuid(self._dice) for number in range(threads)}
        self._used = dict.fromkeys(self._threads, 0)
        self._runs: deque[Run] = deque(maxlen=REMEMBERED)
        self._stopping = asyncio.Event()
        self._words = 0

    async def go_on(self) -> None:
        """Until `stop`; and then what each has begun is brought to its end."""
        await asyncio.gather(*(self._live(client) for client in self._clients))

    def stop(self) -> None:
        self._stopping.set()

    async def _live(self, client: Client) -> None:
        acts: dict[Callable[[Client], Awaitable[None]], int] = {
            self._create: 8,
            self._create_twice: 2,
            self._stream: 6,
            self._wait: 3,
            self._by_sdk: 3,
            self._resume: 2,
            self._join: 4,
            self._cancel: 4,
            self._ask: 3,
            self._stateless: 2,
            self._brief_thread: 1,
        }
        async with aclosing(client):
            while not self._stopping.is_set():
                (act,) = client.dice.choices(list(acts), list(acts.values()))
                with suppress(GivenUpError):  # it is noted
                    await act(client)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), client.dice.uniform(0, 0.6))

    # What a client does

    async def _create(self, client: Client) -> None:
        wanted = self._wanted(client)
        if client.dice.random() < 0.2:
            wanted.body["after_seconds"] = round(client.dice.uniform(0.2, 2), 1)
        self._remember(await client.create(wanted, self._door(client)))

    async def _create_twice(self, client: Client) -> None:
        """The same request again, by somebody who thinks that it was lost."""
        wanted = self._wanted(client, key=client.uuid())
        await asyncio.gather(*(client.create(wanted, self._door(client)) for _ in range(2)))
        self._remember(await client.create(wanted, self._door(client)))

    async def _stream(self, client: Client) -> None:
        wanted = self._wanted(client, stream_mode=["values", "custom"])
        come_back = client.dice.random() < 0.8
        wanted.body["on_disconnect"] = "continue" if come_back else client.dice.choice(["cancel", "continue"])
        drops = client.dice.choice([None, 1, 3, 6]) if come_back else 2
        self._remember(await client.create_and_read(wanted, self._door(client), drops, come_back=come_back))

    async def _wait(self, client: Client) -> None:
        wanted = self._wanted(client)
        wanted.body["on_disconnect"] = "continue"  # whether its gateway dies or its client goes is not always told
        self._remember(await client.create(wanted, self._door(client), "/wait"))

    async def _resume(self, client: Client) -> None:
        """Answer what the thread asks, or go on with what was left, or find nothing to do."""
        wanted = self._wanted(client, how="resume")
        wanted.body["input"], wanted.body["command"] = None, {"resume": wanted.word}
        wanted.body["multitask_strategy"] = MultitaskStrategy.ENQUEUE
        self._remember(await client.create(wanted, self._door(client)))

    async def _join(self, client: Client) -> None:
        if self._runs:
            run = client.dice.choice(self._runs)
            await client.read(run, self._door(client), client.dice.choice([None, 2, 5]))

    async def _cancel(self, client: Client) -> None:
        if self._runs:
            run, action = client.dice.choice(self._runs), client.dice.choice(list(CancelAction))
            await client.cancel(run, self._door(client), action, wait=client.dice.random() < 0.5)

    async def _ask(self, client: Client) -> None:
        if self._runs:
            await client.status(client.dice.choice(self._runs))

    async def _stateless(self, client: Client) -> None:
        wanted = self._wanted(client, thread_id=None, stream_mode=["custom"])
        for field in ("if_not_exists", "multitask_strategy"):
            del wanted.body[field]
        if client.dice.random() < 0.5:
            await client.create(wanted, "", "/wait")
        else:
            await client.create_and_read(wanted, "", None, come_back=True)

    async def _brief_thread(self, client: Client) -> None:
        """A thread that is deleted while it is busy or soon after."""
        thread_id = client.uuid()
        for _ in range(client.dice.randrange(1, 4)):
            wanted = self._wanted(client, thread_id=thread_id)
            wanted.body["multitask_strategy"] = MultitaskStrategy.ENQUEUE
            await client.create(wanted, self._door(client))
        await asyncio.sleep(client.dice.uniform(0, 1))
        await client.delete_thread(thread_id)

    async def _by_sdk(self, client: Client) -> None:
        """As users of LangGraph's SDK do, which takes up again by itself what breaks off, at the server that it has."""
        wanted, url = self._wanted(client, key=client.uuid()), client.dice.choice(client.urls)
        body = {**wanted.body, "stream_mode": ["values", "custom"], "on_disconnect": "continue"}
        client.note_asked(wanted)
        run: Run | None = None

        def note_created(told: Any) -> None:
            nonlocal run
            run = client.note_given(wanted, told["run_id"])

        async with get_client(url=url) as sdk:
            options = {"headers": wanted.headers, "on_run_created": note_created}
            stream = sdk.runs.stream(wanted.thread_id, body.pop("assistant_id"), **body, **options)
            try:
                await self._hear_sdk(stream, lambda: run)
            except (httpx.TransportError, APIError):
                await asyncio.sleep(PAUSE)
        if run is not None:
            await client.read(run, "")
            self._remember(run)

    async def _hear_sdk(self, stream: Any, given: Callable[[], Run | None]) -> None:
        number, run = next(READINGS), None
        async for part in stream:
            if run is None and (run := given()):
                opened = Opened(reading=number, run_id=run.run_id, thread_id=run.thread_id, door="sdk")
                self._told.note(opened)
            if run is None or part.event in {"gap", "reconnect"}:  # to which the SDK gives the id of the part before
                continue
            if part.id:
                self._told.note(Heard(reading=number, run_id=run.run_id, seq=seq_of(part.id), name=part.event))
            if part.event in {"end", "error"}:
                self._told.note(Ended(reading=number, run_id=run.run_id))
            if part.event == "end":
                self._told.note(Read(run_id=run.run_id, status=part.data["status"]))

    # What they choose from

    def _wanted(self, client: Client, **given: Any) -> Wanted:
        dice = client.dice
        self._words += 1
        word = f"w{self._words}"
        how = given.pop("how", None) or _weighed(dice, HOWS)
        key = given.pop("key", None) or (client.uuid() if dice.random() < 0.7 else None)
        thread_id = given.pop("thread_id") if "thread_id" in given else self._a_thread(dice)
        body = {
            "assistant_id": "trial",
            "input": {"word": word, "how": how, "seconds": dice.choice([0, 0.3, 1, 2.5])},
            "metadata": {"word": word, "how": how},
            "if_not_exists": "create",
            "multitask_strategy": _weighed(dice, STRATEGIES),
            **given,
        }
        return Wanted(word=word, thread_id=thread_id, body=body, key=key)

    def _a_thread(self, dice: random.Random) -> str:
        number = dice.choice(list(self._threads))
        self._used[number] += 1
        if self._used[number] > RUNS_OF_A_THREAD:
            self._used[number], self._threads[number] = 1, new_uuid(self._dice)
        return self._threads[number]

    def _door(self, client: Client) -> str:
        return client.dice.choice(DOORS)

    def _remember(self, run: Run | None) -> None:
        if run is not None:
            self._runs.append(run)


def _weighed(dice: random.Random, weights: dict[Any, int]) -> Any:
    (chosen,) = dice.choices(list(weights), list(weights.values()))
    return chosen
