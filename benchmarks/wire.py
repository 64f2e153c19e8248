"""What comes over the wire: one HTTP/1.1 answer, decoded no further than counting its events needs.

Pure: bytes and times go in. An event is a line that starts with `event:`, whichever server sent it.
"""

import re
from collections.abc import Iterator

_EVENT = b"\nevent:"
_ERROR = b"\nevent: error"
_KEPT = len(_ERROR) - 1
"""An event's name may be cut in two by the network; this much of the past is enough to see it whole."""

_STAMP = re.compile(rb'"content": ?"@([0-9.]+)@')
"""When a token was said, by `time.perf_counter`, which all processes of a machine share; models with a pace say it."""
_LONGEST_STAMP = 48
"""Bytes."""

_SAID_BY_THE_GRAPH = re.compile(rb"\nevent:(?! ?metadata)[^\r\n]+\r?\n")


class Events:
    """Counts the events of one body, and remembers when the first of them came."""

    def __init__(self) -> None:
        self.count = 0
        self.failed = False
        self.first: float | None = None
        """When the first event came, whatever it is."""
        self.spoke: float | None = None
        """When the graph first said something: `metadata` is the server's own word."""
        self.delays: list[float] = []
        """Seconds from when a token was said until it came, of tokens that say when."""
        self._opening = b"\n"
        self._tail = b"\n"
        self._unread = b""

    def feed(self, piece: bytes, now: float) -> None:
        if self.spoke is None:
            self._listen(piece, now)
        text = self._tail + piece
        # Looking from here on, a name that lay wholly in the tail is not counted twice.
        self.count += text.count(_EVENT, max(0, len(self._tail) - len(_EVENT) + 1))
        self.failed = self.failed or _ERROR in text
        self._tail = text[-_KEPT:]
        if self.first is None and self.count:
            self.first = now
        self._read_stamps(piece, now)

    def _read_stamps(self, piece: bytes, now: float) -> None:
        text, read = self._unread + piece, 0
        for stamp in _STAMP.finditer(text):
            self.delays.append(now - float(stamp[1]))
            read = stamp.end()
        self._unread = text[max(read, len(text) - _LONGEST_STAMP) :]

    def _listen(self, piece: bytes, now: float) -> None:
        self._opening += piece
        if _SAID_BY_THE_GRAPH.search(self._opening):
            self.spoke = now
            self._opening = b""


class Chunks:
    """Takes the framing off a chunked body."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        self._last = False
        self._line = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What of `data` is content, in pieces."""
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                yield piece
            elif (end := data.find(b"\n", at)) < 0:
                self._line += data[at:]
                return
            else:
                self._begin((self._line + data[at:end]).rstrip(b"\r"))
                self._line = b""
                at = end + 1

    def _begin(self, line: bytes) -> None:
        """A line between chunks: the empty one that ends a chunk, the next one's size, or a trailer."""
        if self._last:
            self.done = self.done or not line
        elif line:
            self._left = int(line.partition(b";")[0], 16)
            self._last = not self._left


class Sized:
    """A body whose length was said beforehand."""

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def done(self) -> bool:
        return not self._left

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._left -= len(data)
        if data:
            yield data


class Answer:
    """One HTTP answer, as it comes in."""

    def __init__(self) -> None:
        self.status = 0
        self.events = Events()
        self.body = bytearray()
        """Kept unless it is a stream of events: those are only counted."""
        self.size = 0
        self._head = b""
        self._frames: Chunks | Sized | None = None
        self._is_stream = False

    @property
    def done(self) -> bool:
        return self._frames is not None and self._frames.done

    def feed(self, data: bytes, now: float) -> None:
        if self._frames is None:
            head, found, data = (self._head + data).partition(b"\r\n\r\n")
            if not found:
                self._head = head
                return
            self._frames = self._open(head)
        for piece in self._frames.feed(data):
            self.size += len(piece)
            if self._is_stream:
                self.events.feed(piece, now)
            else:
                self.body += piece

    def _open(self, head: bytes) -> Chunks | Sized:
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split()[1])
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._is_stream = headers.get("content-type", "").startswith("text/event-stream")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return Chunks()
        if "content-length" not in headers:
            raise ValueError("The answer says neither how long it is nor that it comes in chunks.")
        return Sized(int(headers["content-length"]))
