"""The rules of a thread, by table and by anything in any order."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from actors.errors import LineFullError, ThreadBusyError
from actors.lane import (
    LONGEST_LINE,
    Cancelled,
    Drained,
    Drop,
    Due,
    Lane,
    Settled,
    Start,
    Stop,
    Submitted,
    advance,
    recovered,
)
from storage.records import MultitaskStrategy
from storage.records import MultitaskStrategy as M

IDLE = Lane()
BUSY = Lane(active="a")
LINE = Lane(active="a", waiting=("b", "c"))
STOPPING = Lane(active="a", stopping=True, waiting=("b",))
HELD = Lane(held=True)
HELD_LINE = Lane(held=True, waiting=("a", "b"))
LOST = Lane(held=True, begun="b", waiting=("a", "b", "c"))
DELAYED = Lane(waiting=("d",), delayed=frozenset("d"))
BUSY_DELAYED = Lane(active="a", waiting=("d", "e"), delayed=frozenset("d"))

TABLE = {
    "idle: a run starts": (IDLE, Submitted("x", M.ENQUEUE), Lane(active="x"), [Start("x")]),
    "idle: reject starts": (IDLE, Submitted("x", M.REJECT), Lane(active="x"), [Start("x")]),
    "idle: interrupt starts": (IDLE, Submitted("x", M.INTERRUPT), Lane(active="x"), [Start("x")]),
    "idle: rollback starts": (IDLE, Submitted("x", M.ROLLBACK), Lane(active="x"), [Start("x")]),
    "busy: enqueue waits": (BUSY, Submitted("x", M.ENQUEUE), Lane(active="a", waiting=("x",)), []),
    "busy: enqueue waits behind the others": (
        LINE,
        Submitted("x", M.ENQUEUE),
        Lane(active="a", waiting=("b", "c", "x")),
        [],
    ),
    "busy: interrupt drops those who wait, then stops": (
        LINE,
        Submitted("x", M.INTERRUPT),
        Lane(active="a", stopping=True, waiting=("x",)),
        [Drop("b"), Drop("c"), Stop("a")],
    ),
    "busy: rollback says so": (
        LINE,
        Submitted("x", M.ROLLBACK),
        Lane(active="a", stopping=True, waiting=("x",)),
        [Drop("b", rollback=True), Drop("c", rollback=True), Stop("a", rollback=True)],
    ),
    "stopping: nobody is asked to stop twice": (
        STOPPING,
        Submitted("x", M.ROLLBACK),
        Lane(active="a", stopping=True, waiting=("x",)),
        [Drop("b", rollback=True)],
    ),
    "held: a run waits": (HELD, Submitted("x", M.ENQUEUE), Lane(held=True, waiting=("x",)), []),
    "held: reject waits, if it is alone": (HELD, Submitted("x", M.REJECT), Lane(held=True, waiting=("x",)), []),
    "held: interrupt drops, and stops nobody": (
        HELD_LINE,
        Submitted("x", M.INTERRUPT),
        Lane(held=True, waiting=("x",)),
        [Drop("a"), Drop("b")],
    ),
    "lost: who had begun is ended, not dropped": (
        LOST,
        Cancelled("b", rollback=True),
        Lane(held=True, active="b", stopping=True, waiting=("a", "c")),
        [Stop("b", rollback=True), Start("b")],
    ),
    "lost: the others have nothing to undo": (
        LOST,
        Cancelled("a"),
        Lane(held=True, begun="b", waiting=("b", "c")),
        [Drop("a")],
    ),
    "lost: rollback ends who had begun, and drops the others": (
        LOST,
        Submitted("x", M.ROLLBACK),
        Lane(held=True, active="b", stopping=True, waiting=("x",)),
        [Drop("a", rollback=True), Drop("c", rollback=True), Stop("b", rollback=True), Start("b")],
    ),
    "lost: nobody starts after it": (
        Lane(held=True, active="b", stopping=True, waiting=("c",)),
        Settled("b"),
        Lane(held=True, waiting=("c",)),
        [],
    ),
    "cancel: the active one is stopped": (BUSY, Cancelled("a"), Lane(active="a", stopping=True), [Stop("a")]),
    "cancel: twice stops once": (STOPPING, Cancelled("a"), STOPPING, []),
    "cancel: one who waits is dropped": (LINE, Cancelled("b"), Lane(active="a", waiting=("c",)), [Drop("b")]),
    "cancel: rollback is handed on": (
        BUSY,
        Cancelled("a", rollback=True),
        Lane(active="a", stopping=True),
        [Stop("a", rollback=True)],
    ),
    "cancel: a stranger is ignored": (LINE, Cancelled("x"), LINE, []),
    "delayed: a run that is not due waits": (IDLE, Submitted("d", M.ENQUEUE, delayed=True), DELAYED, []),
    "delayed: others go ahead": (
        DELAYED,
        Submitted("x", M.ENQUEUE),
        Lane(active="x", waiting=("d",), delayed=frozenset("d")),
        [Start("x")],
    ),
    "delayed: interrupt displaces it": (
        DELAYED,
        Submitted("x", M.INTERRUPT),
        Lane(active="x"),
        [Drop("d"), Start("x")],
    ),
    "delayed: one may displace as well": (
        BUSY,
        Submitted("d", M.INTERRUPT, delayed=True),
        Lane(active="a", stopping=True, waiting=("d",), delayed=frozenset("d")),
        [Stop("a")],
    ),
    "delayed: it can be cancelled": (DELAYED, Cancelled("d"), IDLE, [Drop("d")]),
    "delayed: the next who is due starts": (
        BUSY_DELAYED,
        Settled("a"),
        Lane(active="e", waiting=("d",), delayed=frozenset("d")),
        [Start("e")],
    ),
    "due: it starts if nobody is active": (DELAYED, Due("d"), Lane(active="d"), [Start("d")]),
    "due: it takes its place by acceptance": (BUSY_DELAYED, Due("d"), Lane(active="a", waiting=("d", "e")), []),
    "due: held, it waits": (replace(DELAYED, held=True), Due("d"), Lane(held=True, waiting=("d",)), []),
    "due: a stranger is ignored": (LINE, Due("b"), LINE, []),
    "settled: the thread is idle": (BUSY, Settled("a"), IDLE, []),
    "settled: the next starts": (LINE, Settled("a"), Lane(active="b", waiting=("c",)), [Start("b")]),
    "settled: stopping is over": (STOPPING, Settled("a"), Lane(active="b"), [Start("b")]),
    "settled: a stranger is ignored": (LINE, Settled("x"), LINE, []),
    "settled: one who waits is a stranger": (LINE, Settled("b"), LINE, []),
    "drained: the active one goes on": (LINE, Drained(), replace(LINE, held=True), []),
    "drained: nobody follows it": (replace(LINE, held=True), Settled("a"), Lane(held=True, waiting=("b", "c")), []),
    "drained: it can be cancelled": (
        replace(LINE, held=True),
        Cancelled("a"),
        replace(LINE, held=True, stopping=True),
        [Stop("a")],
    ),
    "drained: who is due waits on": (
        replace(BUSY_DELAYED, held=True),
        Due("d"),
        Lane(active="a", waiting=("d", "e"), held=True),
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lane", "event", "after", "effects"), TABLE.values(), ids=TABLE.keys())
def test_the_table(lane, event, after, effects):
    assert advance(lane, event) == (after, effects)


@pytest.mark.parametrize("lane", [BUSY, LINE, STOPPING, HELD_LINE, DELAYED])
def test_reject_is_refused_unless_idle(lane):
    with pytest.raises(ThreadBusyError):
        advance(lane, Submitted("x", M.REJECT))


@pytest.mark.parametrize("active", ["a", None])
def test_a_full_line_takes_nobody(active):
    full = Lane(active=active, held=active is None, waiting=tuple(map(str, range(LONGEST_LINE))))
    with pytest.raises(LineFullError):
        advance(full, Submitted("x", M.ENQUEUE))
    lane, _ = advance(full, Submitted("x", M.INTERRUPT))
    assert lane.waiting == ("x",)


def test_recovered_runs_keep_their_order():
    assert recovered(["a", "b", "c"], None, IDLE) == (Lane(active="a", waiting=("b", "c")), [Start("a")])
    assert recovered(["a", "b"], "a", HELD) == (Lane(held=True, begun="a", waiting=("a", "b")), [])
    assert recovered([], None, IDLE) == (IDLE, [])


def test_a_run_that_had_begun_goes_on_before_one_that_was_delayed():
    early = Lane(delayed=frozenset("d"))
    after = Lane(active="a", waiting=("d", "b"), delayed=frozenset("d"))
    assert recovered(["d", "a", "b"], "a", early) == (after, [Start("a")])
    assert recovered(["d", "b"], None, early) == (
        Lane(active="b", waiting=("d",), delayed=frozenset("d")),
        [Start("b")],
    )


class OneThread(RuleBasedStateMachine):
    """A thread as its clients see it: whatever they send, in whatever order."""

    def __init__(self):
        super().__init__()
        self.lane, self.running, self.submitted = Lane(), None, 0
        self.accepted, self.started, self.gone, self.early = [], [], set(), set()

    @rule(strategy=st.sampled_from(MultitaskStrategy), delayed=st.booleans())
    def submit(self, strategy, delayed):
        self.submitted += 1
        run_id = str(self.submitted)
        before = self.lane
        try:
            self.early |= {run_id} if delayed else set()
            self.enter(*advance(self.lane, Submitted(run_id, strategy, delayed)), accepted=run_id)
        except (ThreadBusyError, LineFullError):
            assert self.lane == before
            self.gone.add(run_id)

    @precondition(lambda self: self.running)
    @rule()
    def settle(self):
        run_id, self.running = self.running, None
        self.gone.add(run_id)
        self.enter(*advance(self.lane, Settled(run_id)))

    @rule(data=st.data(), rollback=st.booleans())
    def cancel(self, data, rollback):
        run_id = data.draw(st.sampled_from([*map(str, range(1, self.submitted + 1)), "stranger"]))
        self.enter(*advance(self.lane, Cancelled(run_id, rollback)))

    @rule()
    def hold(self):
        """The thread moves to the lobby, if nothing runs, and back."""
        if self.running is None:
            self.come_back(self.lane.waiting, self.lane.begun, held=not self.lane.held)

    @precondition(lambda self: self.running)
    @rule(held=st.booleans())
    def die(self, held):
        """What runs loses its process, and the thread comes back in another, or in the lobby."""
        begun, self.running = self.running, None
        self.started.remove(begun)
        self.come_back(sorted((*self.lane.waiting, begun), key=int), begun, held=held)

    def come_back(self, run_ids, begun, *, held):
        self.enter(*recovered(run_ids, begun, Lane(held=held, delayed=self.lane.delayed)))

    @rule()
    def drain(self):
        self.enter(*advance(self.lane, Drained()))

    @precondition(lambda self: self.lane.delayed)
    @rule(data=st.data())
    def be_due(self, data):
        self.enter(*advance(self.lane, Due(data.draw(st.sampled_from(sorted(self.lane.delayed))))))

    def enter(self, lane, effects, accepted=None):
        if accepted:
            self.accepted.append(accepted)
        self.lane = lane
        for effect in effects:
            match effect:
                case Start(run_id):
                    assert self.running is None, "two runs at once"
                    self.running = run_id
                    self.started.append(run_id)
                case Drop(run_id):
                    self.gone.add(run_id)
                case Stop(run_id):
                    assert run_id == lane.active

    @invariant()
    def no_run_is_lost(self):
        assert self.lane.active == self.running
        assert len(self.gone) + len(self.lane.waiting) + bool(self.running) == self.submitted

    @invariant()
    def runs_start_in_the_order_of_their_acceptance(self):
        on_time = [run_id for run_id in self.started if run_id not in self.early]
        assert on_time == sorted(on_time, key=int)
        assert self.lane.waiting == tuple(sorted(self.lane.waiting, key=int))

    @invariant()
    def nobody_starts_before_time(self):
        assert self.lane.delayed <= set(self.lane.waiting)
        assert self.running not in self.lane.delayed

    @invariant()
    def nobody_waits_for_nothing(self):
        assert self.lane.held or self.lane.active or self.lane.next is None

    @invariant()
    def only_the_active_run_is_stopping(self):
        assert not self.lane.stopping or self.lane.active
        assert replace(self.lane, waiting=()).is_idle == (self.running is None)


TestOneThread = OneThread.TestCase
