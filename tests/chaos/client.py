"""Somebody who asks the servers, as patient as an SDK, and writes down what they were told."""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any
from uuid import UUID

import httpx
from msgspec import Struct

from tests.chaos.told import (
    Accepted,
    Asked,
    Cancelled,
    Deleted,
    Ended,
    Heard,
    Missed,
    Opened,
    Read,
    Refused,
    Told,
    Wronged,
)
from tests.system.sse import FRAME

PATIENCE = 90.0
"""Seconds for which somebody asks again; a server that has not answered by then has broken its promise."""

PAUSE = 0.5
"""Seconds before what broke off is asked again. Where the server says how long, that counts."""

AGAIN = frozenset((429, 503))
"""Statuses with which nothing was done, and which ask to come back."""

READINGS = count(1)


class Wanted(Struct, frozen=True, kw_only=True):
    """A run that somebody wants."""

    word: str
    thread_id: str | None
    """None: a stateless run."""
    body: dict[str, Any]
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"Idempotency-Key": self.key} if self.key else {}

    def path(self, door: str, verb: str = "") -> str:
        runs = f"{door}/threads/{self.thread_id}/runs" if self.thread_id else f"{door}/runs"
        return runs + verb


class Run(Struct, frozen=True):
    """A run that somebody was given."""

    run_id: str
    thread_id: str | None

    def path(self, door: str, verb: str = "") -> str:
        return (f"{door}/threads/{self.thread_id}" if self.thread_id else door) + f"/runs/{self.run_id}{verb}"


class GivenUpError(Exception):
    """There was no answer for so long."""


class Client:
    def __init__(self, urls: list[str], dice: random.Random, told: Told) -> None:
        self.urls = urls
        self.dice = dice
        self.told = told
        self.http = httpx.AsyncClient(timeout=httpx.Timeout(PATIENCE, connect=5))

    # Asking

    async def ask(self, method: str, path: str, *, repeatable: bool = True, **more: Any) -> httpx.Response | None:
        """The answer, of any server; None if it was lost and the question may not be repeated."""
        until = asyncio.get_running_loop().time() + PATIENCE
        while asyncio.get_running_loop().time() < until:
            try:
                answer = await self.http.request(method, self.dice.choice(self.urls) + path, **more)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                await asyncio.sleep(PAUSE)
            except httpx.TransportError:
                if not repeatable:
                    return None
                await asyncio.sleep(PAUSE)
            else:
                if answer.status_code not in AGAIN:
                    self._check(answer, method, path)
                    return answer
                await asyncio.sleep(float(answer.headers.get("Retry-After", PAUSE)))
        self.told.note(Wronged(what=f"{method} {path} had no answer for {PATIENCE:g} s"))
        raise GivenUpError(path)

    def _check(self, answer: httpx.Response, method: str, path: str) -> None:
        if answer.status_code >= 500:
            self.told.note(Wronged(what=f"{method} {path} was answered {answer.status_code}: {answer.text}"))

    # Runs

    async def create(self, wanted: Wanted, door: str, verb: str = "") -> Run | None:
        """A run, in the background or (`/wait`) to its end; None if it was refused, or nobody knows."""
        repeatable = wanted.key is not None
        self.note_asked(wanted)
        path = wanted.path(door, verb)
        answer = await self.ask("POST", path, repeatable=repeatable, json=wanted.body, headers=wanted.headers)
        if answer is None:
            return None
        if not answer.is_success:
            self.note_refused(wanted, answer.status_code)
            return None
        return self.note_accepted(wanted, answer)

    async def create_and_read(self, wanted: Wanted, door: str, drops: int | None, *, come_back: bool) -> Run | None:
        """A run, and what it says; the connection is dropped after so many parts, and then perhaps taken up again."""
        self.note_asked(wanted)
        reader = None
        for _ in range(round(PATIENCE / PAUSE)):
            post = self._connect("POST", wanted.path(door, "/stream"), json=wanted.body, headers=wanted.headers)
            async with post as answer:
                if answer is None:
                    if wanted.key is None:
                        return None
                    continue
                if answer.status_code in AGAIN:
                    await asyncio.sleep(PAUSE)
                    continue
                if not answer.is_success:
                    self.note_refused(wanted, answer.status_code)
                    return None
                run = self.note_accepted(wanted, answer)
                reader = Reader(self, run, door)
                await reader.take(answer, drops)
                break
        if reader is None:
            raise GivenUpError(wanted.word)
        if come_back:
            await reader.finish()
        return reader.run

    async def read(self, run: Run, door: str, drops: int | None = None) -> None:
        """What a run says, from its first part to its end, over as many connections as that takes."""
        reader = Reader(self, run, door)
        if drops is not None:
            await reader.connect(drops)
        await reader.finish()

    async def status(self, run: Run) -> str | None:
        answer = await self.ask("GET", run.path("/api"))
        if answer is None or not answer.is_success:
            return None
        status = answer.json()["status"]
        self.told.note(Read(run_id=run.run_id, status=status))
        return status

    async def cancel(self, run: Run, door: str, action: str, *, wait: bool) -> None:
        params = {"action": action, "wait": "1" if wait else "0"}
        answer = await self.ask("POST", run.path(door, "/cancel"), params=params)
        if answer is None or not answer.is_success or run.thread_id is None:
            return
        self.told.note(Cancelled(run_id=run.run_id, thread_id=run.thread_id, action=action))
        if wait and (status := await self.status(run)) in {"pending", "running"}:
            self.told.note(Wronged(what=f"it is {status} after a cancel that waits", run_id=run.run_id))

    async def delete_thread(self, thread_id: str) -> None:
        answer = await self.ask("DELETE", f"/threads/{thread_id}")
        if answer is not None and answer.status_code in {204, 404}:  # the latter: it was deleted, and the answer lost
            self.told.note(Deleted(thread_id=thread_id))

    # Writing down

    def note_asked(self, wanted: Wanted) -> None:
        self.told.note(
            Asked(
                word=wanted.word,
                thread_id=wanted.thread_id,
                how=wanted.body["metadata"]["how"],
                strategy=wanted.body.get("multitask_strategy", ""),
                delayed="after_seconds" in wanted.body,
                keyed=wanted.key is not None,
            )
        )

    def note_refused(self, wanted: Wanted, status: int) -> None:
        self.told.note(Refused(word=wanted.word, thread_id=wanted.thread_id, status=status))
        if (status, wanted.body.get("multitask_strategy")) != (409, "reject"):
            self.told.note(Wronged(what=f"{wanted.word} was refused with {status}", thread_id=wanted.thread_id))

    def note_accepted(self, wanted: Wanted, answer: httpx.Response) -> Run:
        return self.note_given(wanted, answer.headers["content-location"].rpartition("/")[2])

    def note_given(self, wanted: Wanted, run_id: str) -> Run:
        self.told.note(Accepted(word=wanted.word, run_id=run_id, thread_id=wanted.thread_id))
        return Run(run_id, wanted.thread_id)

    # Streams

    def _connect(self, method: str, path: str, **more: Any) -> "_Connection":
        return _Connection(self.http, method, self.dice.choice(self.urls) + path, more)

    async def get(self, reader: "Reader", drops: int | None) -> None:
        path = reader.run.path(reader.door, "/stream")
        async with self._connect("GET", path, headers={"Last-Event-ID": reader.cursor}) as answer:
            if answer is None:
                await asyncio.sleep(PAUSE)
            elif answer.status_code in AGAIN:
                await asyncio.sleep(float(answer.headers.get("Retry-After", PAUSE)))
            elif answer.is_success:
                await reader.take(answer, drops)
            else:
                reader.turned_away(answer.status_code)

    def uuid(self) -> str:
        return new_uuid(self.dice)

    async def aclose(self) -> None:
        await self.http.aclose()


def new_uuid(dice: random.Random) -> str:
    return str(UUID(int=dice.getrandbits(128), version=4))


class _Connection:
    """An answer whose body is still to come; None if the connection broke before."""

    def __init__(self, http: httpx.AsyncClient, method: str, url: str, more: dict[str, Any]) -> None:
        self._stream = http.stream(method, url, **more)
        self._is_open = False

    async def __aenter__(self) -> httpx.Response | None:
        try:
            answer = await self._stream.__aenter__()
        except httpx.TransportError:
            await asyncio.sleep(PAUSE)
            return None
        self._is_open = True
        return answer

    async def __aexit__(self, *error: object) -> None:
        if self._is_open:
            await self._stream.__aexit__(*error)


class Reader:
    """One reading of one run."""

    def __init__(self, client: Client, run: Run, door: str) -> None:
        self.run = run
        self.door = door
        self.cursor = "-1"
        self.has_ended = False
        self._client = client
        self._number = next(READINGS)
        self._rest = b""
        client.told.note(Opened(reading=self._number, run_id=run.run_id, thread_id=run.thread_id, door=door))

    async def finish(self) -> None:
        until = asyncio.get_running_loop().time() + PATIENCE
        while not self.has_ended:
            before = self.cursor
            await self.connect(None)
            now = asyncio.get_running_loop().time()
            if self.cursor != before:
                until = now + PATIENCE
            if now > until:
                self._wrong(f"its stream said nothing new for {PATIENCE:g} s, and did not end")
                return

    async def connect(self, drops: int | None) -> None:
        await self._client.get(self, drops)

    async def take(self, answer: httpx.Response, drops: int | None) -> None:
        """What comes, until it ends, breaks, or so many parts have come."""
        self._rest, came = b"", 0
        try:
            async for frame in self._frames(answer):
                self._hear(*frame)
                came += 1
                if self.has_ended or came == drops:
                    return
        except httpx.TransportError:
            return
        self._wrong(f"its stream was closed in order, and had not ended: {self._rest[:200]!r}")
        await asyncio.sleep(PAUSE)

    def turned_away(self, status: int) -> None:
        """By the Platform dialect, of a run that was rolled back; by both, of one that has gone with its thread."""
        self.has_ended = True
        if status != 404:
            self._wrong(f"its stream was answered {status}")

    async def _frames(self, answer: httpx.Response) -> AsyncGenerator[tuple[bytes, str, bytes, str]]:
        async for chunk in answer.aiter_raw():
            self._rest += chunk
            while found := FRAME[self.door].match(self._rest):
                self._rest = self._rest[found.end() :]
                if found[1] is not None:
                    yield found[0], found[1].decode(), found[2], (found[3] or b"").decode()

    def _hear(self, raw: bytes, name: str, data: bytes, cursor: str) -> None:
        run_id, note = self.run.run_id, self._client.told.note
        if name == "gap":
            gap = json.loads(data)
            earliest = gap["earliest_available_event_id"]
            note(
                Missed(
                    reading=self._number, run_id=run_id, after=seq_of(self.cursor), before=earliest and seq_of(earliest)
                )
            )
            self.cursor = cursor or self.cursor
            return
        if cursor:
            self.cursor = cursor
            digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()[:12]
            note(Heard(reading=self._number, run_id=run_id, seq=seq_of(cursor), name=name, digest=digest))
        if name == "end" or (name == "error" and not self.door):
            self.has_ended = True
            note(Ended(reading=self._number, run_id=run_id))
            if name == "end" and not self.door:
                note(Read(run_id=run_id, status=json.loads(data)["status"]))

    def _wrong(self, what: str) -> None:
        self._client.told.note(Wronged(what=what, run_id=self.run.run_id, thread_id=self.run.thread_id))


def seq_of(cursor: str) -> int:
    return 0 if cursor == "-1" else int(cursor.partition("-")[2])
