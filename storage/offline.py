"""Users' SQL about a database that no server has open: for the command line."""

import asyncio
from pathlib import Path

from storage.analytics import Analytics
from storage.database import FILE, Database, UnreadableError, open_to_read
from storage.errors import NotFoundError
from storage.questions import Answer, Question

PATIENCE = 3.0
"""Seconds to wait for the processes of a server that was just killed to let go of the file."""


class Offline:
    """The database of a data folder. `close` is last."""

    def __init__(self, data: Path) -> None:
        """Raises NotFoundError, UnavailableError while another process has the file, UnreadableError."""
        path = data / FILE
        if not path.exists():
            raise NotFoundError(f"There is no database in {data}")
        self._runner = asyncio.Runner()
        self.missing = self._catch_up(path)
        """Why what was answered in the last moment before a crash is not seen; empty if it is."""
        self._db = open_to_read(path)
        self._analytics = self._runner.run(self._open(str(data)))

    def ask(self, question: Question) -> Answer:
        """As `Analytics.ask`."""
        return self._runner.run(self._analytics.ask(question))

    def close(self) -> None:
        self._runner.run(self._analytics.close())
        self._runner.close()
        self._db.close()

    async def _open(self, hidden: str) -> Analytics:
        return Analytics(self._db, lambda: None, hidden)

    def _catch_up(self, path: Path) -> str:
        """Have the database make what a crash has left in its journal, as the next start of a server would."""
        if not Path(f"{path}.journal").exists():
            return ""
        try:
            self._runner.run(_opened_and_closed(path))
        except UnreadableError as error:  # it may be on a disk that cannot be written; what is in it can be read
            return str(error)
        return ""


async def _opened_and_closed(path: Path) -> None:
    database = Database(str(path), patience=PATIENCE)
    await database.open()
    await database.close()
