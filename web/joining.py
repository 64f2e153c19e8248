"""What somebody asks for who joins a run that exists: from where on, what of it, and whether leaving ends it."""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from storage.records import Run, StreamMode
from web import query
from web.bodies import stream_modes
from web.sse import Reader, reader_of, wanted_by


class Wish(Struct, frozen=True):
    """The header and the query of a join."""

    last_event_id: str | None
    modes: list[str]
    """As they were asked for."""
    wanted: frozenset[str] | None
    cancel: bool

    @classmethod
    def of(
        cls,
        last_event_id: str | None,
        stream_mode: list[str] | None,
        cancel_on_disconnect: str | None,
        known: Mapping[str, StreamMode],
    ) -> Self:
        modes = query.names("stream_mode", stream_mode)
        wanted = wanted_by(stream_modes(modes, known, source="query"))
        return cls(last_event_id, modes, wanted, query.flag("cancel_on_disconnect", cancel_on_disconnect))

    def reader(self, run: Run) -> Reader:
        return reader_of(run, self.last_event_id, self.wanted)

    @property
    def again(self) -> dict[str, str]:
        """The query with which the reader comes back."""
        modes = {"stream_mode": ",".join(self.modes)} if self.modes else {}
        return modes | ({"cancel_on_disconnect": "true"} if self.cancel else {})
