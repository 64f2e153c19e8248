"""What our processes say to one another on a socket, and how it is cut into frames. Pure: bytes in, messages out.

A frame is four bytes of length, then one pickled message. Both ends are processes of ours, behind a folder that only
their user can enter; nothing that came over HTTP is ever unpickled, it travels inside as plain values.
"""

import pickle
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

LENGTH = 4
"""Bytes in front of each message; enough for 4 GiB."""


class Kind(IntEnum):
    CALL = 0
    """What is said is `(method, args, kwargs)`. Answered by one RESULT or ERROR."""
    STREAM = 1
    """As CALL; answered by any number of ITEMs, then END or ERROR."""
    TELL = 2
    """As CALL; not answered."""
    MORE = 3
    """The reader of a stream takes so many items more."""
    STOP = 4
    """The reader of a stream has gone."""
    RESULT = 5
    ERROR = 6
    ITEM = 7
    END = 8


class Message(NamedTuple):
    kind: Kind
    number: int
    """Of the call that it belongs to; each end counts its own."""
    said: Any = None


def frame(message: Message) -> bytes:
    """Raises whatever pickle raises for what cannot be sent."""
    body = pickle.dumps((int(message.kind), message.number, message.said), protocol=pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(LENGTH, "big") + body


class Cutter:
    """Cuts what comes from a socket into messages, however it was cut on its way."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete now. Take all of them before feeding more."""
        self._bytes += data
        while (end := self._end()) is not None:
            body = self._bytes[LENGTH:end]
            del self._bytes[:end]
            kind, number, said = pickle.loads(body)  # noqa: S301 - from a process of ours, see above
            yield Message(Kind(kind), number, said)

    def _end(self) -> int | None:
        """Where the first message ends, if all of it is here."""
        if len(self._bytes) < LENGTH:
            return None
        end = LENGTH + int.from_bytes(self._bytes[:LENGTH], "big")
        return end if len(self._bytes) >= end else None
