"""Messages arrive as they were sent, however the socket cuts them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from actors.frames import Cutter, Kind, Message, frame

SAID = st.none() | st.binary(max_size=300) | st.tuples(st.text(max_size=5), st.lists(st.integers(), max_size=3))
MESSAGES = st.builds(Message, st.sampled_from(Kind), st.integers(0, 2**40), SAID)


@given(st.lists(MESSAGES, max_size=8), st.lists(st.integers(0, 1000), max_size=20))
def test_messages_are_cut_where_they_were_joined(messages, cuts):
    sent = b"".join(map(frame, messages))
    edges = sorted({0, len(sent), *(cut % (len(sent) + 1) for cut in cuts)})
    cutter = Cutter()
    pieces = [sent[start:end] for start, end in pairwise(edges)]
    assert [message for piece in pieces for message in cutter.feed(piece)] == messages


def test_the_start_of_a_message_is_no_message():
    whole = frame(Message(Kind.CALL, 1, "something"))
    cutter = Cutter()
    assert list(cutter.feed(whole[:-1])) == []
    assert list(cutter.feed(whole[-1:])) == [Message(Kind.CALL, 1, "something")]
