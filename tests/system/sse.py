"""Reading server-sent events, byte by byte as the specifications write them."""

import json
import re
from typing import Any, NamedTuple

FRAME = {
    "": re.compile(rb"event: ([^\r\n]*)\r\ndata: ([^\r\n]*)\r\nid: (\d+-\d+)\r\n\r\n|: heartbeat\r\n"),
    "/api": re.compile(rb"event: ([^\r\n]*)\ndata: ([^\r\n]*)\n(?:id: (\d+-\d+)\n)?\n|: heartbeat\n\n"),
}


class Event(NamedTuple):
    name: str
    data: Any
    id: str | None

    @property
    def seq(self) -> int:
        assert self.id is not None
        return int(self.id.partition("-")[2])


def parse(body: bytes, prefix: str = "") -> list[Event]:
    """All events of a body that has nothing else in it but heartbeats."""
    events, position = [], 0
    while position < len(body):
        found = FRAME[prefix].match(body, position)
        assert found, f"not a frame: {body[position : position + 200]!r}"
        position = found.end()
        if found[1] is not None:
            events.append(Event(found[1].decode(), json.loads(found[2]), found[3] and found[3].decode()))
    return events


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]
