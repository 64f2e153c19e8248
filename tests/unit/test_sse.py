"""Parts to bytes, in both dialects, and where readers go on."""

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph_sdk.sse import BytesLineDecoder, SSEDecoder

from storage.records import END, METADATA, Gap, Part, RunStatus, StreamMode
from tests.factories import a_run
from web import sse
from web.gateway.wire import GatewayWire
from web.platform.wire import PlatformWire
from web.sse import Reader, frames, has_had_all, nothing_new, reader_of, wanted_by

PLATFORM = PlatformWire(mask_errors=False)
GATEWAY = GatewayWire(mask_errors=False)


def part(event, data, seq=3):
    return Part(seq, 1795358403512, "r1", event, msgspec.json.encode(data))


def the_end(status, error=None, seq=9):
    return part(END, {"run_id": "r1", "status": status, "error": error}, seq)


STARTED = part(METADATA, {"run_id": "r1", "thread_id": "t1", "attempt": 2}, 1)
GOODBYE = "event: end\ndata: null\n\n"
BOOM = {"error": "KeyError", "message": "'x'"}


@pytest.mark.parametrize(
    ("said", "written"),
    [
        pytest.param(
            part("values|child:1", {"a": "é"}),
            'event: values|child:1\r\ndata: {"a":"é"}\r\nid: 1795358403512-3\r\n\r\n',
            id="an ordinary part as it is",
        ),
        pytest.param(
            STARTED,
            'event: metadata\r\ndata: {"run_id":"r1","attempt":2}\r\nid: 1795358403512-1\r\n\r\n',
            id="metadata without the thread",
        ),
        pytest.param(
            the_end("success"),
            'event: end\r\ndata: {"run_id":"r1","status":"success"}\r\nid: 1795358403512-9\r\n\r\n',
            id="the end with the status",
        ),
        pytest.param(
            the_end("interrupted"),
            'event: end\r\ndata: {"run_id":"r1","status":"interrupted"}\r\nid: 1795358403512-9\r\n\r\n',
            id="a cancelled run ends, it does not fail",
        ),
        pytest.param(
            the_end("timeout", BOOM),
            'event: error\r\ndata: {"error":"KeyError","message":"\'x\'"}\r\nid: 1795358403512-9\r\n\r\n',
            id="an error instead of the end",
        ),
    ],
)
def test_the_platform_dialect_writes(said, written):
    assert PLATFORM.frame(said).decode() == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        pytest.param(
            part("messages|child:1", ["é", {}]),
            'event: messages|child:1\ndata: ["é",{}]\nid: 1795358403512-3\n\n',
            id="an ordinary part as it is",
        ),
        pytest.param(
            STARTED,
            'event: metadata\ndata: {"run_id":"r1","thread_id":"t1","attempt":2}\nid: 1795358403512-1\n\n',
            id="metadata as it is",
        ),
        pytest.param(the_end("interrupted"), GOODBYE, id="the end without an id"),
        pytest.param(
            the_end("error", BOOM),
            'event: error\ndata: {"message":"\'x\'","name":"KeyError"}\nid: 1795358403512-9\n\n' + GOODBYE,
            id="an error before the end",
        ),
        pytest.param(
            the_end("error", {"error": "KeyError", "message": ""}),
            'event: error\ndata: {"message":"KeyError","name":"KeyError"}\nid: 1795358403512-9\n\n' + GOODBYE,
            id="an error without a text says its class",
        ),
    ],
)
def test_the_gateway_dialect_writes(said, written):
    assert GATEWAY.frame(said).decode() == written


@pytest.mark.parametrize("wire", [PlatformWire(mask_errors=True), GatewayWire(mask_errors=True)])
def test_masked_errors_keep_their_class_and_lose_their_text(wire):
    secret = {"error": "DatabaseError", "message": "password is hunter2"}
    written = wire.frame(the_end("error", secret))
    assert b"DatabaseError" in written
    assert b"An internal error occurred" in written
    assert b"hunter2" not in written
    assert b"'x'" in wire.frame(the_end("error", BOOM))


names = st.text(min_size=1).filter(lambda name: name not in {END, METADATA})


@given(st.lists(st.tuples(names, st.text()), min_size=1, max_size=9))
def test_what_the_platform_dialect_writes_the_sdk_reads(said):
    parts = [part(event, data, seq) for seq, (event, data) in enumerate(said, 1)]
    decoder, lines = SSEDecoder(), BytesLineDecoder()
    wire = b"".join(map(PLATFORM.frame, parts))
    events = [found for line in [*lines.decode(wire), *lines.flush()] if (found := decoder.decode(bytes(line)))]
    assert [event.data for event in events] == [data for _, data in said]
    assert [event.id for event in events] == [sse.event_id(one) for one in parts]


@given(st.text())
def test_an_event_name_never_ends_its_line(name):
    assert not re.search(rb"[\r\n]", sse.one_line(name))


LOST = Gap(after=4, first=8, last=12, ms=1795358403000, first_ms=1795358403000, last_ms=1795358403000)
NOTHING_KEPT = Gap(after=4, first=None, last=12, ms=1795358403000)


def test_the_platform_gap_has_the_id_of_the_last_part_lost():
    event, data, number = PLATFORM.gap(LOST, "r1", "1795358402000-4").decode().split("\r\n")[:3]
    assert (event, number) == ("event: gap", "id: 1795358403000-7")
    assert json.loads(data.removeprefix("data: ")) == {
        "code": "stream_replay_gap",
        "run_id": "r1",
        "requested_event_id": "1795358402000-4",
        "earliest_available_event_id": "1795358403000-8",
        "latest_available_event_id": "1795358403000-12",
        "recovery": "reload_durable_state",
    }


def test_the_platform_gap_stays_before_the_end_when_nothing_else_is_kept():
    written = PLATFORM.gap(NOTHING_KEPT, "r1", None).decode()
    assert '"earliest_available_event_id":null,"latest_available_event_id":null' in written
    assert written.endswith("id: 1795358403000-11\r\n\r\n")


def test_the_gateway_gap_moves_no_cursor():
    assert b"id:" not in GATEWAY.gap(LOST, "r1", "1795358402000-4").replace(b"_id:", b"")


def test_the_gateway_tells_of_no_gap_to_a_reader_who_had_nothing():
    assert GATEWAY.gap(LOST, "r1", None) == b""


async def stream_of(*batches):
    for batch in batches:
        yield batch


async def written(wire, reader, *batches):
    return [chunk async for chunk in frames(stream_of(*batches), wire, reader)]


async def test_a_batch_is_one_chunk():
    both = [STARTED, the_end("success")]
    assert await written(PLATFORM, Reader(run_id="r1"), both) == [b"".join(map(PLATFORM.frame, both))]


async def test_a_batch_of_which_nothing_is_wanted_says_nothing():
    reader = Reader(run_id="r1", wanted=wanted_by([StreamMode.UPDATES]))
    chunks = await written(PLATFORM, reader, [part("values", {})], [the_end("success")])
    assert chunks == [PLATFORM.frame(the_end("success"))]


async def test_a_gap_requests_from_the_last_event_that_was_sent():
    chunks = await written(GATEWAY, Reader(run_id="r1"), [STARTED], LOST)
    assert b'"requested_event_id":"1795358403512-1"' in chunks[1]


async def test_a_gap_at_the_start_requests_from_what_the_client_had():
    chunks = await written(GATEWAY, Reader(run_id="r1", after=4, last_id="17-4"), LOST)
    assert b'"requested_event_id":"17-4"' in chunks[0]


ALL = {"values", "values|n:1", "messages", "messages|n:1", "messages/partial", "updates"}


@pytest.mark.parametrize(
    ("modes", "passing"),
    [
        pytest.param([StreamMode.VALUES], {"values", "values|n:1"}, id="a name, in all namespaces"),
        pytest.param(
            [StreamMode.MESSAGES_TUPLE], {"messages", "messages|n:1", "messages/partial"}, id="either form of messages"
        ),
        pytest.param([StreamMode.MESSAGES, StreamMode.UPDATES], ALL - {"values", "values|n:1"}, id="several"),
        pytest.param([StreamMode.DEBUG], set(), id="what was not recorded"),
    ],
)
def test_a_filter_lets_through(modes, passing):
    wanted = wanted_by(modes)
    assert wanted
    assert {event for event in ALL if sse.head(event) in wanted} == passing
    assert {METADATA, END} <= wanted


def test_no_mode_is_no_filter():
    assert wanted_by([]) is None


FINISHED = a_run(status=RunStatus.SUCCESS, first_seq=10, last_seq=20)


@pytest.mark.parametrize(
    ("header", "after"),
    [
        pytest.param(None, 0, id="absent"),
        pytest.param("", 0, id="empty"),
        pytest.param("-1", 0, id="from the start"),
        pytest.param("-", 0, id="from the start, shorter"),
        pytest.param("15", 0, id="one number"),
        pytest.param("x-15", 0, id="garbage"),
        pytest.param("17-15 ", 0, id="more than an id"),
        pytest.param("17-" + "9" * 5000, 0, id="longer than any number of ours"),
        pytest.param("17-9", 0, id="another run's, before"),
        pytest.param("17-21", 0, id="another run's, after"),
        pytest.param("17-10", 10, id="the first"),
        pytest.param("17-15", 15, id="one in the middle"),
        pytest.param("17-20", 20, id="the last"),
    ],
)
def test_a_reader_goes_on_after(header, after):
    reader = reader_of(FINISHED, header, None)
    assert reader.after == after
    assert reader.last_id == (header if after else None)


def test_a_run_that_has_not_ended_can_be_taken_up_anywhere():
    assert reader_of(a_run(), "17-15", None).after == 15


async def test_a_reader_who_has_had_all_gets_only_what_has_no_id():
    reader = reader_of(FINISHED, "17-20", None)
    assert has_had_all(FINISHED, reader)
    assert [chunk async for chunk in nothing_new(PLATFORM)] == []
    assert [chunk async for chunk in nothing_new(GATEWAY)] == [b"event: end\ndata: null\n\n"]


def test_a_reader_of_a_running_run_has_never_had_all():
    assert not has_had_all(a_run(status=RunStatus.RUNNING), Reader(run_id="r1"))


@pytest.mark.parametrize(("wire", "end"), [(PLATFORM, "\r\n"), (GATEWAY, "\n")])
def test_a_server_that_stops_tells_readers_to_come_back_in_one_frame_that_is_no_part(wire, end):
    said = '{"code":"server_stopping","run_id":"r1","retry_ms":1000}'
    assert wire.reconnect("r1").decode() == end.join(["retry: 1000", "event: reconnect", f"data: {said}", "", ""])


@pytest.mark.parametrize("wire", [PLATFORM, GATEWAY])
def test_a_client_that_is_told_to_come_back_keeps_the_last_id_that_it_had(wire):
    decoder, lines = SSEDecoder(), BytesLineDecoder()
    written = wire.frame(STARTED) + wire.reconnect("r1")
    found = [sse for line in lines.decode(written) if (sse := decoder.decode(bytes(line)))]
    assert [(sse.event, sse.id) for sse in found] == [
        ("metadata", "1795358403512-1"),
        ("reconnect", "1795358403512-1"),
    ]
