"""Where our processes listen: sockets in a folder of Ray's session that nobody else can enter."""

import os
from pathlib import Path
from typing import Self

from msgspec import Struct


def process_id(slot: str) -> int:
    """Whose address this is."""
    return int(slot.rpartition("-")[2])


class Home(Struct, frozen=True):
    """Where a thread is that does not rest."""

    address: str | None
    """Of its slot; None is the lobby."""


class Addresses(Struct, frozen=True):
    folder: str

    @classmethod
    def of_session(cls, session: Path) -> Self:
        folder = session / "links"
        folder.mkdir(mode=0o700, exist_ok=True)
        return cls(str(folder))

    @property
    def ledger(self) -> str:
        return f"{self.folder}/ledger"

    @property
    def directory(self) -> str:
        return f"{self.folder}/directory"

    def slot(self, number: int) -> str:
        """A new one for every process, also when the directory has restarted and counts anew."""
        return f"{self.folder}/slot-{number}-{os.getpid()}"

    def of_slot(self, number: int) -> str | None:
        """The one that the newest process of this number has taken, if it listens already."""
        taken = Path(self.folder).glob(f"slot-{number}-*")
        return max(map(str, taken), key=os.path.getmtime, default=None)
