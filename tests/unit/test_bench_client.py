"""The measuring client counts what is on the wire: no event twice, none missed, however the network cuts the bytes."""

import asyncio

import pytest

from benchmarks.client import HttpClient
from benchmarks.constant import Constant
from benchmarks.subject import MeasuringError
from benchmarks.wire import Answer, Chunks, Events
from benchmarks.workloads import REPLY, TRIVIAL

METADATA = b'event: metadata\r\ndata: {"run_id":"1"}\r\nid: 1-1\r\n\r\n'
MESSAGE = b'event: messages\r\ndata: [{"content":"event: error"},{}]\r\nid: 1-2\r\n\r\n'
END = b'event: end\r\ndata: {"status":"success"}\r\nid: 1-3\r\n\r\n'
STREAM = METADATA + MESSAGE + b": heartbeat\r\n" + MESSAGE + END

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def counted(*pieces: bytes) -> Events:
    events = Events()
    for now, piece in enumerate(pieces, start=1):
        events.feed(piece, now)
    return events


@pytest.fixture
async def client():
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", 0)
    client = HttpClient(*server.sockets[0].getsockname())
    yield client
    client.close()
    server.close()


def test_every_event_is_counted_once():
    assert counted(STREAM).count == 4


def test_the_count_does_not_depend_on_where_the_stream_is_cut():
    cuts = range(1, len(STREAM))
    assert {counted(STREAM[:cut], STREAM[cut:]).count for cut in cuts} == {4}
    assert counted(*(STREAM[at : at + 1] for at in range(len(STREAM)))).count == 4


def test_plain_newlines_count_like_carriage_returns():
    assert counted(STREAM.replace(b"\r\n", b"\n")).count == 4


def test_the_name_of_an_event_inside_of_data_is_not_an_event():
    events = counted(b'event: values\ndata: "event: error"\n\n')
    assert events.count == 1
    assert not events.failed


def test_the_graph_speaks_when_an_event_other_than_metadata_has_come():
    events = counted(METADATA[:9], METADATA[9:], MESSAGE[:9], MESSAGE[9:], END)
    assert events.first == 1
    assert events.spoke == 4


def test_a_graph_that_says_nothing_has_not_spoken():
    assert counted(METADATA).spoke is None


def test_each_token_that_says_when_it_was_said_is_timed_once_wherever_the_stream_is_cut():
    said = b"".join(b'event: messages\r\ndata: [{"content":"@%d.5@","id":"1"},{}]\r\n\r\n' % at for at in (7, 8, 9))
    for cut in range(1, len(said)):
        events = Events()
        events.feed(said[:cut], 20)
        events.feed(said[cut:], 20)
        assert events.delays == [12.5, 11.5, 10.5]


def test_a_token_is_timed_when_all_of_its_time_has_come():
    events = Events()
    events.feed(b'data: [{"content":"@7.', 8)
    events.feed(b'5@"}', 9)
    assert events.delays == [1.5]


def test_a_failure_is_seen_wherever_its_name_is_cut():
    failing = METADATA + b'event: error\r\ndata: {"error":"ValueError"}\r\n\r\n'
    assert all(counted(failing[:cut], failing[cut:]).failed for cut in range(1, len(failing)))


def test_chunks_give_the_same_content_wherever_the_bytes_are_cut():
    wire = chunked(b"one\r\n", b"t", b"0\r\n\r\nthree" * 20)
    for cut in range(1, len(wire)):
        chunks = Chunks()
        content = b"".join([*chunks.feed(wire[:cut]), *chunks.feed(wire[cut:])])
        assert content == b"one\r\nt" + b"0\r\n\r\nthree" * 20
        assert chunks.done


def test_a_chunk_may_have_an_extension_and_the_last_one_trailers():
    chunks = Chunks()
    assert b"".join(chunks.feed(b"3;name=value\r\none\r\n0\r\nTrailer: 10\r\n")) == b"one"
    assert not chunks.done
    assert not list(chunks.feed(b"\r\n"))
    assert chunks.done


def test_an_answer_is_done_with_its_last_chunk_and_not_before():
    wire = HEAD + chunked(METADATA, MESSAGE, END)
    answer = Answer()
    for byte in range(len(wire) - 1):
        answer.feed(wire[byte : byte + 1], 0)
        assert not answer.done
    answer.feed(wire[-1:], 0)
    assert answer.done
    assert (answer.status, answer.events.count, answer.size) == (200, 3, len(METADATA + MESSAGE + END))


def test_an_answer_of_a_given_length_keeps_its_body():
    answer = Answer()
    answer.feed(b'HTTP/1.1 404 Not Found\r\ncontent-length: 7\r\n\r\n{"a"', 0)
    assert not answer.done
    answer.feed(b":1", 0)
    assert not answer.done
    answer.feed(b"}", 0)
    assert (answer.done, answer.status, bytes(answer.body)) == (True, 404, b'{"a":1}')


def test_an_answer_that_does_not_say_where_it_ends_is_refused():
    with pytest.raises(ValueError, match="neither how long"):
        Answer().feed(b"HTTP/1.1 200 OK\r\n\r\n", 0)


async def test_one_connection_carries_one_run_after_another(client):
    thread_id = await client.new_thread()
    for workload in (TRIVIAL, REPLY, TRIVIAL):
        reading = await client.stream(thread_id, workload)
        assert reading.events == workload.least + 2
        assert reading.first is not None


async def test_a_run_can_be_joined(client):
    reading = await client.join(await client.new_thread(), "the-run", REPLY)
    assert reading.events == REPLY.least + 2


async def test_a_stream_with_too_few_events_is_no_measurement(client):
    with pytest.raises(MeasuringError, match="broke off after 202 events"):
        await client.stream(await client.new_thread(), REPLY._replace(least=500))


async def test_a_server_that_hangs_up_is_an_error():
    hang_up = asyncio.Event()

    async def answer_half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + chunked(METADATA)[:-3])
        writer.close()
        await writer.wait_closed()
        hang_up.set()

    server = await asyncio.start_server(answer_half, "127.0.0.1", 0)
    client = HttpClient(*server.sockets[0].getsockname())
    with pytest.raises(MeasuringError, match="hung up"):
        await client.stream("any", TRIVIAL)
    await hang_up.wait()
    client.close()
    server.close()
