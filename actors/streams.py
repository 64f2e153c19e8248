"""What LangGraph streams, as the events of a run: names, namespaces and JSON.

The names are the wire's (`spec/platform.md` §5.2, `spec/gateway.md` §8.2): `values`, `messages`, `updates|ns1|ns2`.
"""

from collections.abc import Iterator
from typing import Any, cast

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message

from actors.encoding import encode
from actors.outcomes import Say
from storage.records import RunRequest, StreamMode

INTERRUPT = "__interrupt__"

_LANGGRAPH_MODE = {StreamMode.MESSAGES: "messages", StreamMode.MESSAGES_TUPLE: "messages"}


class Transcriber:
    """Turns one run's chunks into events. Recording follows from what was asked for."""

    def __init__(self, request: RunRequest, say: Say) -> None:
        asked = [
            _LANGGRAPH_MODE.get(mode, mode.value) for mode in request.stream_modes if mode is not StreamMode.EVENTS
        ]
        self._asked = frozenset(asked)
        self.with_events = StreamMode.EVENTS in request.stream_modes
        self.subgraphs = request.subgraphs
        self.paused = False
        """Whether the graph has said that it waits, at an `interrupt()` or at a breakpoint."""
        # Updates are always on, because they tell of interrupts whatever else was asked for.
        self.langgraph_modes = list(dict.fromkeys([*asked, "updates"]))
        self._say = say
        accumulates = (
            StreamMode.MESSAGES in request.stream_modes and StreamMode.MESSAGES_TUPLE not in request.stream_modes
        )
        self._message = _Accumulator(say).add if accumulates else self._message_tuple
        self._metadata = _MetadataCache()

    def chunk(self, chunk: Any) -> None:
        """One item of `astream` with a list of modes."""
        namespace, mode, payload = chunk if self.subgraphs else ((), *chunk)
        if mode == "messages":
            self._message(namespace, payload)
        elif mode == "updates":
            self._update(namespace, payload)
        elif mode in self._asked:
            self._say(_name(mode, namespace), encode(payload))

    def event(self, event: dict[str, Any]) -> None:
        """One item of `astream_events`: what the root graph streams in it, and the event itself."""
        if "langsmith:hidden" in event.get("tags", ()):
            return
        if event["event"] == "on_chain_stream" and not event["parent_ids"]:
            self.chunk(event["data"]["chunk"])
        self._say("events", encode(event))

    def _update(self, namespace: tuple[str, ...], payload: Any) -> None:
        interrupts = payload.get(INTERRUPT) if isinstance(payload, dict) else None
        self.paused = self.paused or interrupts is not None
        if interrupts == ():  # a static breakpoint is no interrupt
            return
        if "updates" in self._asked:
            self._say(_name("updates", namespace), encode(payload))
        elif interrupts and "values" not in self._asked:
            self._say(_name("values", namespace), encode({INTERRUPT: interrupts}))

    def _message_tuple(self, namespace: tuple[str, ...], payload: tuple[BaseMessage, dict[str, Any]]) -> None:
        message, metadata = payload
        self._say(_name("messages", namespace), b"[%b,%b]" % (encode(message), self._metadata.encoded(metadata)))


class _MetadataCache:
    """The JSON of the metadata of the calls under way: one model call's chunks all carry the same dict."""

    MOST = 32

    def __init__(self) -> None:
        self._known: dict[int, tuple[dict[str, Any], bytes]] = {}

    def encoded(self, metadata: dict[str, Any]) -> bytes:
        known = self._known.get(id(metadata))
        if known is not None and known[0] is metadata:
            return known[1]
        if len(self._known) >= self.MOST:
            self._known.clear()
        encoded = encode(metadata)
        self._known[id(metadata)] = (metadata, encoded)
        return encoded


class _Accumulator:
    """The Platform's mode `messages`: each message as far as it has come, never with a namespace."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._messages: dict[str, BaseMessage] = {}

    def add(self, _: tuple[str, ...], payload: tuple[BaseMessage, dict[str, Any]]) -> None:
        for name, data in self._events(*payload):
            self._say(name, encode(data))

    def _events(self, message: BaseMessage, metadata: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        message_id = message.id or ""
        if message_id not in self._messages:
            yield "messages/metadata", {message_id: {"metadata": metadata}}
        whole = self._add(message_id, message)
        yield "messages/partial" if isinstance(message, BaseMessageChunk) else "messages/complete", [whole]
        if getattr(message, "chunk_position", None) == "last":
            yield "messages/complete", [whole]

    def _add(self, message_id: str, message: BaseMessage) -> BaseMessage:
        known = self._messages.get(message_id)
        if isinstance(known, BaseMessageChunk) and isinstance(message, BaseMessageChunk):
            message = cast("BaseMessage", known + message)
        self._messages[message_id] = message
        return message_chunk_to_message(message) if isinstance(message, BaseMessageChunk) else message


def _name(mode: str, namespace: tuple[str, ...]) -> str:
    return "|".join((mode, *namespace)) if namespace else mode
