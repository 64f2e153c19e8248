"""The rules of a thread, by table and by anything in any order."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from actors.errors import LineFullError, ThreadBusyError
from actors.lane import LONGEST_LINE, Cancelled, Drop, Lane, Settled, Start, Stop, Submitted, advance, recovered
from storage.records import MultitaskStrategy
from storage.records import MultitaskStrategy as M

IDLE = Lane()
BUSY = Lane(active="a")
LINE = Lane(active="a", waiting=("b", "c"))
STOPPING = Lane(active="a", stopping=True, waiting=("b",))
HELD = Lane(held=True)
HELD_LINE = Lane(held=True, waiting=("a", "b"))

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
    "settled: the thread is idle": (BUSY, Settled("a"), IDLE, []),
    "settled: the next starts": (LINE, Settled("a"), Lane(active="b", waiting=("c",)), [Start("b")]),
    "settled: stopping is over": (STOPPING, Settled("a"), Lane(active="b"), [Start("b")]),
    "settled: a stranger is ignored": (LINE, Settled("x"), LINE, []),
    "settled: one who waits is a stranger": (LINE, Settled("b"), LINE, []),
}  # fmt: skip


@pytest.mark.parametrize(("lane", "event", "after", "effects"), TABLE.values(), ids=TABLE.keys())
def test_the_table(lane, event, after, effects):
    assert advance(lane, event) == (after, effects)


@pytest.mark.parametrize("lane", [BUSY, LINE, STOPPING, HELD_LINE])
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
    assert recovered(["a", "b", "c"], held=False) == (Lane(active="a", waiting=("b", "c")), [Start("a")])
    assert recovered(["a", "b"], held=True) == (Lane(held=True, waiting=("a", "b")), [])
    assert recovered([], held=False) == (IDLE, [])


class OneThread(RuleBasedStateMachine):
    """A thread as its clients see it: whatever they send, in whatever order."""

    def __init__(self):
        super().__init__()
        self.lane, self.running, self.submitted = Lane(), None, 0
        self.accepted, self.started, self.gone = [], [], set()

    @rule(strategy=st.sampled_from(MultitaskStrategy))
    def submit(self, strategy):
        self.submitted += 1
        run_id = str(self.submitted)
        before = self.lane
        try:
            self.enter(*advance(self.lane, Submitted(run_id, strategy)), accepted=run_id)
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
            self.enter(*recovered(self.lane.waiting, held=not self.lane.held))

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
                    assert run_id == self.running

    @invariant()
    def no_run_is_lost(self):
        assert self.lane.active == self.running
        assert len(self.gone) + len(self.lane.waiting) + bool(self.running) == self.submitted

    @invariant()
    def runs_start_in_the_order_of_their_acceptance(self):
        assert self.started == sorted(self.started, key=int)

    @invariant()
    def nobody_waits_for_nothing(self):
        assert self.lane.held or self.lane.active or not self.lane.waiting

    @invariant()
    def only_the_active_run_is_stopping(self):
        assert not self.lane.stopping or self.lane.active
        assert replace(self.lane, waiting=()).is_idle == (self.running is None)


TestOneThread = OneThread.TestCase
