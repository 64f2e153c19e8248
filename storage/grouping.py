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
        """What it is about. Things that share a key keep their order."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether those of its kind may be done together even if they share a key."""
        ...


def grouped(things: Sequence[Groupable]) -> list[list[int]]:
    """Positions, in groups of a kind. Those that share a key are not reordered, and in a group only if
    they may be repeated there."""
    groups: list[list[int]] = []
    kinds: list[Hashable] = []
    last_group: dict[str, int] = {}

    def earliest(thing: Groupable, key: str) -> int:
        """The first group in which it may be, as far as a key is concerned."""
        if (last := last_group.get(key)) is None:
            return 0
        return last if thing.repeatable and kinds[last] == thing.kind else last + 1

    for position, thing in enumerate(things):
        first = max((earliest(thing, key) for key in thing.keys), default=0)
        group = next((n for n in range(first, len(groups)) if kinds[n] == thing.kind), len(groups))
        if group == len(groups):
            groups.append([])
            kinds.append(thing.kind)
        groups[group].append(position)
        last_group.update(dict.fromkeys(thing.keys, group))
    return groups
