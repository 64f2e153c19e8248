"""The processes of a server: which of them does what, what memory is theirs alone, and what CPU they have used."""

from collections.abc import Iterable
from enum import StrEnum

import psutil

MEGABYTE = 1e6


class Role(StrEnum):
    GATEWAY = "gateway"
    DIRECTORY = "directory"
    LEDGER = "ledger"
    SLOT = "slot"
    OTHER = "other"
    """Ray's own, of a Treadle; all of them but the first, of another server."""


STAYING = (Role.GATEWAY, Role.DIRECTORY, Role.LEDGER)
"""Whatever is kept of threads that rest, these have it; a slot is wiped."""
OURS = (*STAYING, Role.SLOT)

_TITLES = {
    "ray::_DirectoryActor": Role.DIRECTORY,
    "ray::_LedgerActor": Role.LEDGER,
    "ray::_SlotActor": Role.SLOT,
}
"""As Ray titles the processes of `actors/cluster.py`."""


class Family:
    """A server's process, and all below it. What ends while one looks counts as nothing."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def memory(self, *roles: Role) -> list[float]:
        """Megabytes that are each process's own (USS); without roles, of all."""
        return [_memory(process) for process in self._members(roles)]

    def cpu(self, *roles: Role) -> float:
        """Seconds of CPU so far, of processes that still run; without roles, of all."""
        return sum(map(_cpu, self._members(roles)))

    def _members(self, roles: tuple[Role, ...]) -> Iterable[psutil.Process]:
        for process in (self._root, *self._root.children(recursive=True)):
            if not roles or self._role(process) in roles:
                yield process

    def _role(self, process: psutil.Process) -> Role:
        """`treadle dev` is its own gateway."""
        return Role.GATEWAY if process == self._root else role_of(_command(process))


def role_of(command: list[str]) -> Role:
    return next((role for title, role in _TITLES.items() if command and command[0].startswith(title)), Role.OTHER)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _memory(process: psutil.Process) -> float:
    try:
        return process.memory_full_info().uss / MEGABYTE
    except psutil.Error:
        return 0


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0
    return times.user + times.system
