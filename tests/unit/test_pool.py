"""The rules of the pool, by table and by anything in any order."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.pool import (
    STARTS_AT_ONCE,
    Aged,
    Bind,
    Expired,
    Fell,
    Kept,
    Launch,
    Opened,
    Pool,
    Ready,
    Release,
    Released,
    Rested,
    Retire,
    Slot,
    SlotStatus,
    Wanted,
    advance,
)

FREE, BOUND, QUIET, RELEASING, STARTING = (
    Slot(SlotStatus.FREE),
    Slot(SlotStatus.BOUND, "a"),
    Slot(SlotStatus.QUIET, "a"),
    Slot(SlotStatus.RELEASING, "a"),
    Slot(),
)


def pool(*slots, waiting=(), warm=0, most=None):
    numbered = dict(enumerate(slots, 1))
    return Pool(warm, len(slots) if most is None else most, numbered, waiting, len(slots) + 1)


TABLE = {
    "opened: the warm ones are launched, a few at a time": (pool(warm=5, most=9), Opened(), [Launch(1), Launch(2)]),
    "opened: those that are there are kept, and numbers go on above them": (
        pool(warm=2, most=9),
        Opened({3: FREE, 5: BOUND}),
        [Launch(6)],
    ),
    "wanted: a free slot is bound": (pool(FREE), Wanted("a"), [Bind(1, "a")]),
    "wanted: bound already": (pool(BOUND, FREE), Wanted("a"), []),
    "wanted: nothing is free, so one is launched": (pool(BOUND, most=2), Wanted("b"), [Launch(2)]),
    "wanted: nothing is free, and there may be no more": (pool(BOUND), Wanted("b"), []),
    "wanted: a quiet one makes room": (pool(QUIET), Wanted("b"), [Release(1, "a")]),
    "wanted: a free one spares the quiet one": (pool(QUIET, FREE), Wanted("b"), [Bind(2, "b")]),
    "wanted: the reserve is filled up": (pool(FREE, warm=1, most=2), Wanted("a"), [Bind(1, "a"), Launch(2)]),
    "ready: who waited longest is served": (pool(STARTING, waiting=("x", "y")), Ready(1), [Bind(1, "x")]),
    "rested: nobody waits": (pool(BOUND), Rested(1, "a"), []),
    "rested: somebody waits": (pool(BOUND, waiting=("x",)), Rested(1, "a"), [Release(1, "a")]),
    "rested: a spare slot is made from the longest quiet": (
        pool(BOUND, Slot(SlotStatus.QUIET, "b"), Slot(SlotStatus.BOUND, "c"), Slot(SlotStatus.BOUND, "d"), warm=1),
        Rested(1, "a"),
        [Release(2, "b")],
    ),
    "rested: the late echo of another thread": (pool(BOUND, waiting=("x",)), Rested(1, "z"), []),
    "expired: a quiet one is released": (pool(QUIET), Expired(1, "a"), [Release(1, "a")]),
    "expired: it is busy again": (pool(BOUND), Expired(1, "a"), []),
    "released: who waits is served": (pool(RELEASING, waiting=("x",)), Released(1), [Bind(1, "x")]),
    "released: its own thread may come back": (pool(RELEASING, waiting=("a",)), Released(1), [Bind(1, "a")]),
    "fell: another is launched": (pool(BOUND, waiting=("x",)), Fell(1), [Launch(2)]),
    "fell: long gone": (pool(FREE), Fell(7), []),
    "aged: what is too much goes": (pool(FREE, BOUND, FREE, warm=1), Aged(), [Retire(3)]),
}


@pytest.mark.parametrize(("before", "event", "effects"), TABLE.values(), ids=TABLE.keys())
def test_the_table(before, event, effects):
    assert advance(before, event)[1] == effects


def test_a_thread_that_stays_does_not_wait_for_another_slot():
    after, effects = advance(pool(RELEASING, waiting=("a", "x")), Kept(1))
    assert (after.waiting, after.slots[1], effects) == (("x",), BOUND, [])


def test_who_waits_for_a_slot_that_is_being_released_is_served_soon():
    some = pool(RELEASING, Slot(SlotStatus.BOUND, "b"), waiting=("x", "y"))
    assert [some.will_serve(thread) for thread in "xyz"] == [True, False, False]


class Threads(RuleBasedStateMachine):
    """Slots that start, die, fall quiet and are released, and threads that want one."""

    def __init__(self):
        super().__init__()
        self.pool = Pool(warm=1, most=3)
        self.asked = []  # threads in the order in which they began to wait
        self.feed(Opened())

    def feed(self, event):
        self.pool, effects = advance(self.pool, event)
        for effect in effects:
            if isinstance(effect, Bind):
                thread = effect.thread_id  # one whose own slot is still being released cannot be served yet
                ready = [asked for asked in self.asked if asked == thread or self.pool.holder(asked) is None]
                assert thread == ready[0], "somebody was overtaken"
                self.asked.remove(thread)

    @rule(thread=st.sampled_from("abcdefg"))
    def want(self, thread):
        number = self.pool.holder(thread)
        leaving = number is not None and self.pool.slots[number].status is SlotStatus.RELEASING
        if thread not in self.asked and (number is None or leaving):
            self.asked.append(thread)
        self.feed(Wanted(thread))

    def slots(self, *statuses):
        return [number for number, slot in self.pool.slots.items() if slot.status in statuses]

    def one(self, data, *statuses):
        return data.draw(st.sampled_from(self.slots(*statuses)))

    @precondition(lambda self: self.slots(SlotStatus.STARTING))
    @rule(data=st.data())
    def start(self, data):
        self.feed(Ready(self.one(data, SlotStatus.STARTING)))

    @precondition(lambda self: self.slots(SlotStatus.BOUND))
    @rule(data=st.data())
    def rest(self, data):
        number = self.one(data, SlotStatus.BOUND)
        self.feed(Rested(number, self.pool.slots[number].thread_id))

    @precondition(lambda self: self.slots(SlotStatus.QUIET))
    @rule(data=st.data())
    def expire(self, data):
        number = self.one(data, SlotStatus.QUIET)
        self.feed(Expired(number, self.pool.slots[number].thread_id))

    @precondition(lambda self: self.slots(SlotStatus.RELEASING))
    @rule(data=st.data())
    def release(self, data):
        self.feed(Released(self.one(data, SlotStatus.RELEASING)))

    @precondition(lambda self: self.slots(SlotStatus.RELEASING))
    @rule(data=st.data())
    def keep(self, data):
        number = self.one(data, SlotStatus.RELEASING)
        thread = self.pool.slots[number].thread_id
        self.asked = [waiting for waiting in self.asked if waiting != thread]
        self.feed(Kept(number))

    @precondition(lambda self: self.pool.slots)
    @rule(data=st.data())
    def die(self, data):
        self.feed(Fell(data.draw(st.sampled_from(sorted(self.pool.slots)))))

    @rule()
    def age(self):
        self.feed(Aged())

    @invariant()
    def those_who_wait_are_those_who_asked(self):
        assert list(self.pool.waiting) == self.asked

    @invariant()
    def nobody_has_two_slots(self):
        held = [slot.thread_id for slot in self.pool.slots.values() if slot.thread_id]
        assert len(held) == len(set(held))

    @invariant()
    def the_bounds_hold(self):
        assert len(self.pool.slots) <= self.pool.most
        assert self.pool.count(SlotStatus.STARTING) <= STARTS_AT_ONCE

    @invariant()
    def nobody_waits_beside_a_slot_that_could_serve(self):
        strangers = [thread for thread in self.pool.waiting if self.pool.holder(thread) is None]
        assert not (strangers and self.pool.count(SlotStatus.FREE))
        assert not strangers or self.pool.slots, "nothing is even starting"


TestThreads = Threads.TestCase
