"""What is done together is of a kind, and no thread's order changes."""

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.grouping import grouped


class Thing(NamedTuple):
    """Those of a kind in capitals may be repeated in a group."""

    kind: str
    keys: str

    @property
    def repeatable(self) -> bool:
        return self.kind.isupper()


@pytest.mark.parametrize(
    ("things", "groups"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("a1 b1 a2 b2", "a1a2 b1b2", id="those of a kind share, whatever came between"),
        pytest.param("a1 a1 a2", "a1a2 a1", id="one thread is not twice in a group"),
        pytest.param("b1 a1 b2", "b1b2 a1", id="what shares no key may go first"),
        pytest.param("a1 b1 a1 b1", "a1 b1 a1 b1", id="one thread keeps its order"),
        pytest.param("a1 b2 a12 b1", "a1 b2 a12 b1", id="all keys count"),
        pytest.param("a1 a2 a12 b3", "a1a2 a12 b3", id="the latest of its keys counts"),
        pytest.param("A1 A1 A2", "A1A1A2", id="what only adds may share a group and a key"),
        pytest.param("A1 b1 A1 A1", "A1 b1 A1A1", id="what only adds waits for others of its key"),
    ],
)
def test_things_are_grouped(things, groups):
    given = [Thing(kind, "".join(keys)) for kind, *keys in things.split()]
    found = ["".join(given[position].kind + given[position].keys for position in group) for group in grouped(given)]
    assert found == groups.split()


@given(st.lists(st.builds(Thing, st.sampled_from("abC"), st.text("123", min_size=1, max_size=2)), max_size=20))
def test_each_thing_is_done_once_and_no_order_changes_that_matters(things):
    order = [position for group in grouped(things) for position in group]
    assert sorted(order) == list(range(len(things)))
    for key in "123":
        assert all(first < second for first, second in pairwise(p for p in order if key in things[p].keys))
