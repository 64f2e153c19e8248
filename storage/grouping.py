"""Which of many things can be done together without changing what comes of them. Pure."""

from collections.abc import Hashable, Sequence
from typing import Protocol


class Groupable(Protocol):
    @property
    def kind(self) -> Hashable:
        """Things of a kind can be done together."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """What it is about. Things that share a key keep their order, and are not done together."""
        ...


def grouped(things: Sequence[Groupable]) -> list[list[int]]:
    """Positions, in groups of a kind. No key is twice in a group, nor are those that share one reordered."""
    groups: list[list[int]] = []
    kinds: list[Hashable] = []
    first_group: dict[str, int] = {}
    for position, thing in enumerate(things):
        first = max((first_group.get(key, 0) for key in thing.keys), default=0)
        group = next((n for n in range(first, len(groups)) if kinds[n] == thing.kind), len(groups))
        if group == len(groups):
            groups.append([])
            kinds.append(thing.kind)
        groups[group].append(position)
        first_group.update(dict.fromkeys(thing.keys, group + 1))
    return groups
