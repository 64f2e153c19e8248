"""What a cluster is started with, and what has to be alike where another command joins it."""

from collections.abc import Collection
from pathlib import Path

from msgspec import Struct

from actors.project import Project, RunLimits
from storage.deployment import Deployment
from storage.errors import ServiceError
from storage.pricelists import NO_OWN_PRICES, OwnPrices
from storage.records import TapeLimits

ONLY_THERE = "Gateways reach threads over Unix sockets, so they can only be where its head is."


class JoinError(ServiceError):
    """The Ray that was named cannot be joined. The message is one line, for the user."""


class ClusterSettings(Struct, frozen=True):
    project: Project
    data: Path
    """The folder of everything that is kept."""
    warm: int
    most: int
    limits: RunLimits
    tape_limits: TapeLimits
    own_prices: OwnPrices = NO_OWN_PRICES
    server: Deployment = Deployment()
    left_open: frozenset[str] = frozenset()
    """Names of those of the above that nobody has asked for: actors that are there already may have been given others.
    """


def refuse_others(wanted: ClusterSettings, present: ClusterSettings) -> None:
    """Raise JoinError, which names them, if there are settings that would not be obeyed."""
    names = [name for name in ClusterSettings.__struct_fields__ if name not in ("left_open", *wanted.left_open)]
    if others := [name for name in names if getattr(wanted, name) != getattr(present, name)]:
        named = " or ".join(NAMES_OF_SETTINGS.get(name, name) for name in others)
        raise JoinError(
            f"The threads of that Ray are served with another {named} "
            f"(it has {present.project.root} and {present.data}), and there can be only one."
        )


NAMES_OF_SETTINGS = {
    "project": "--config",
    "data": "--data",
    "warm": "--warm",
    "most": "--max",
    "limits": "TREADLE_CANCEL_GRACE, TREADLE_RUN_TIMEOUT or TREADLE_MAX_WAITING",
    "tape_limits": "TREADLE_TAPE_HOURS, TREADLE_TAPE_RUN_BYTES or TREADLE_TAPE_BYTES",
    "own_prices": "TREADLE_PRICES",
    "server": "TREADLE_ENVIRONMENT or TREADLE_RELEASE",
}
"""As whoever starts a server knows them."""


def address_here(wanted: str, known: Collection[str]) -> str:
    """Which Ray of those on this machine is meant. Ray itself would look for any other for two minutes."""
    if wanted in known:
        return wanted
    here = f"on this machine, which has {', '.join(sorted(known)) or 'none'}"
    if wanted != "auto":
        raise JoinError(f"There is no Ray at {wanted} {here}. {ONLY_THERE}")
    if len(known) != 1:
        raise JoinError(f"`auto` needs one Ray {here}.")
    return next(iter(known))
