"""Whatever clients send, in whatever order, the promises about runs hold: the real server, driven at random."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct

from storage.records import CancelAction, MultitaskStrategy
from tests.system.sse import names, parse

FINAL = {"success", "error", "interrupted"}
PREFIXES = st.sampled_from(["", "/api"])


class Accepted(Struct, frozen=True):
    """A run that the server has let in."""

    run_id: str
    thread_id: str
    word: str


class Clients(RuleBasedStateMachine):
    """What clients do on two threads, and what they may rely on."""

    url: str

    def __init__(self):
        super().__init__()
        self.http = httpx.Client(base_url=self.url, timeout=60)
        self.readers = ThreadPoolExecutor(8)
        self.streams = []
        self.accepted: list[Accepted] = []
        self.folder = Path(tempfile.mkdtemp(prefix="treadle-"))

    @initialize()
    def two_threads(self):
        self.threads = [self.http.post("/threads", json={}).json()["thread_id"] for _ in range(2)]

    def teardown(self):
        try:
            self.everything_ends()
        finally:
            self.readers.shutdown()
            self.http.close()

    def body(self, thread, word, seconds, **more):
        log = str(self.folder / self.threads[thread])
        return {"assistant_id": "witness", "input": {"log": log, "word": word, "seconds": seconds}, **more}

    @rule(
        prefix=PREFIXES,
        thread=st.integers(0, 1),
        strategy=st.sampled_from(MultitaskStrategy),
        seconds=st.sampled_from([0, 0.05, 0.4]),
        delay=st.sampled_from([None, None, 0.2]),
    )
    def submit(self, prefix, thread, strategy, seconds, delay):
        word = str(len(self.accepted))
        body = self.body(thread, word, seconds, multitask_strategy=strategy, after_seconds=delay)
        answer = self.http.post(f"{prefix}/threads/{self.threads[thread]}/runs", json=body)
        assert answer.status_code in ({200, 409} if strategy is MultitaskStrategy.REJECT else {200}), answer.text
        if answer.status_code == 200:
            self.accepted.append(Accepted(answer.json()["run_id"], self.threads[thread], word))

    @rule(prefix=PREFIXES, thread=st.integers(0, 1))
    def stream_and_leave(self, prefix, thread):
        word = str(len(self.accepted))
        body = self.body(thread, word, 0.4, multitask_strategy="enqueue", on_disconnect="cancel")
        path = f"{prefix}/threads/{self.threads[thread]}/runs/stream"
        with self.http.stream("POST", path, json=body) as answer:
            run_id = answer.headers["content-location"].rpartition("/")[2]
        self.accepted.append(Accepted(run_id, self.threads[thread], word))

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), prefix=PREFIXES, action=st.sampled_from(CancelAction), wait=st.booleans())
    def cancel(self, data, prefix, action, wait):
        run = data.draw(st.sampled_from(self.accepted))
        path = f"{prefix}/threads/{run.thread_id}/runs/{run.run_id}/cancel"
        answer = self.http.post(path, params={"action": action, "wait": "1" if wait else "0"})
        assert answer.status_code in {200, 202, 204, 404, 409}, answer.text
        if wait and answer.is_success:
            assert self.read(run)["status"] in FINAL

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def join(self, data):
        run = data.draw(st.sampled_from(self.accepted))
        path = f"/api/threads/{run.thread_id}/runs/{run.run_id}/stream"
        self.streams.append((path, self.readers.submit(httpx.get, self.url + path, timeout=60)))

    @invariant()
    def every_accepted_run_can_be_read(self):
        for run in self.accepted[-3:]:
            assert self.read(run)["run_id"] == run.run_id

    def read(self, run):
        return self.http.get(f"/api/threads/{run.thread_id}/runs/{run.run_id}").json()

    def everything_ends(self):
        for run in self.accepted:
            events = parse(self.http.get(f"/api/threads/{run.thread_id}/runs/{run.run_id}/stream").content, "/api")
            assert names(events)[-1] == "end"
        for thread_id in self.threads:
            self.the_promises_hold_on(thread_id)
        for path, reading in self.streams:
            assert reading.result().content == self.http.get(path).content

    def the_promises_hold_on(self, thread_id):
        runs = {run.word: self.read(run) for run in self.accepted if run.thread_id == thread_id}
        assert {run["status"] for run in runs.values()} <= FINAL
        began = self.one_at_a_time(thread_id)
        on_time = [word for word in began if "after_seconds" not in runs[word]["kwargs"]]
        assert on_time == sorted(on_time, key=int), "runs start in the order of their acceptance"
        assert len(set(began)) == len(began), "no run starts twice"
        succeeded = [word for word in began if runs[word]["status"] == "success"]
        values = self.http.get(f"/threads/{thread_id}/state").json()["values"]
        done = values.get("done", [])
        assert done == [word for word in began if word in done], "each step is there once, in order"
        assert [word for word in done if word in succeeded] == succeeded, "what succeeded is in the state"
        # One that is interrupted after its only step, and before its end, has left it there.
        assert {runs[word]["status"] for word in done} <= {"success", "interrupted"}, "and nothing that was undone"
        assert self.http.get(f"/threads/{thread_id}").json()["status"] != "busy"

    def one_at_a_time(self, thread_id):
        """The words of the runs that began, in order; none began before the last had ended."""
        log = self.folder / thread_id
        lines = log.read_text().splitlines() if log.exists() else []
        for begins, ends in zip(lines[::2], lines[1::2], strict=True):
            assert begins.removeprefix("begins ") == ends.removeprefix("ends "), lines
        return [line.removeprefix("begins ") for line in lines[::2]]


def test_the_promises_hold_in_any_order(server):
    machine = type("TheClients", (Clients,), {"url": server.url})
    few = settings(
        max_examples=10, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(machine, settings=few)
