"""From what clients send to what a run is asked to do, in both dialects."""

import pytest
from litestar.exceptions import ValidationException
from msgspec import convert

from storage.errors import InvalidError, SenselessError
from storage.records import Dialect, Durability, MultitaskStrategy, OnDisconnect, StreamMode
from tests.factories import a_run, an_assistant
from web.errors import mistakes
from web.gateway import messages
from web.gateway import requests as gateway
from web.gateway.schemas import RunCreateRequest
from web.platform import requests as platform
from web.platform.schemas import RunCreate
from web.submissions import submission

CHECKPOINT = "1f1c7b2a-6a34-6c52-8001-4be90a1d33f7"


def on_platform(**sent):
    sent = {"assistant_id": "agent", **sent}
    return platform.run_request(convert(sent, RunCreate), sent)


def on_gateway(**sent):
    body = convert(sent, RunCreateRequest)
    gateway.check_form(body)
    return gateway.run_request(body, sent, "t1")


either = pytest.mark.parametrize("asked", [on_platform, on_gateway])


@either
def test_no_input_stays_none_and_an_empty_one_stays_empty(asked):
    assert asked().input is None
    assert asked(input=None).input is None
    assert asked(input={}).input == {}


def test_the_defaults_of_the_platform_dialect():
    request = on_platform()
    assert request.stream_modes == (StreamMode.VALUES,)
    assert request.on_disconnect is OnDisconnect.CONTINUE
    assert request.durability is Durability.ASYNC
    assert not request.subgraphs


def test_the_defaults_of_the_gateway_dialect():
    body = RunCreateRequest()
    assert body.multitask_strategy is MultitaskStrategy.REJECT
    assert body.if_not_exists == "create"
    assert on_gateway().on_disconnect is OnDisconnect.CANCEL
    assert on_gateway().stream_modes == (StreamMode.VALUES,)


@pytest.mark.parametrize(
    ("sent", "on_one", "on_other"),
    [
        ("", ["values"], ["values"]),
        ([], ["values"], ["values"]),
        ("debug", ["debug"], ["debug"]),
        (["updates", "values", "updates"], ["updates", "values"], ["updates", "values"]),
        ("messages", ["messages"], ["messages-tuple"]),
        (["messages", "values", "messages-tuple"], ["values", "messages-tuple"], ["messages-tuple", "values"]),
    ],
)
def test_modes_are_recorded_in_order(sent, on_one, on_other):
    assert list(on_platform(stream_mode=sent).stream_modes) == on_one
    assert list(on_gateway(stream_mode=sent).stream_modes) == on_other


@either
@pytest.mark.parametrize("mode", ["tools", "lifecycle", "value"])
def test_an_unknown_mode_is_refused(asked, mode):
    with pytest.raises(ValidationException):
        asked(stream_mode=["values", mode])


@either
@pytest.mark.parametrize(("sent", "durability"), [(True, "async"), (False, "exit")])
def test_checkpoint_during_is_the_old_name_of_durability(asked, sent, durability):
    assert asked(checkpoint_during=sent).durability == durability
    assert asked(checkpoint_during=sent, durability="sync").durability is Durability.SYNC


@either
def test_no_delay_is_no_request_for_one(asked):
    assert asked(after_seconds=0) == asked(after_seconds=0.0)


def test_what_nothing_is_traced_to_is_refused():
    with pytest.raises(ValidationException):
        on_platform(langsmith_tracer={"project_name": "p"})
    assert on_platform(on_completion="delete", langsmith_tracer=None).input is None


def test_only_the_gateway_lets_a_thread_go_with_the_run_that_made_it():
    assert on_gateway(on_completion="delete").temporary
    assert not on_gateway().temporary
    assert not on_platform(on_completion="delete").temporary  # there it concerns stateless runs alone


@either
@pytest.mark.parametrize(
    ("sent", "command"),
    [
        (None, None),
        ({}, None),
        ({"resume": None}, None),
        ({"resume": False}, {"resume": False}),
        ({"goto": "a"}, {"goto": "a"}),
        ({"goto": [{"node": "a"}, "b"]}, {"goto": [{"node": "a", "input": None}, "b"]}),
        ({"update": {"a": 1}, "odd": 2}, {"update": {"a": 1}}),
    ],
)
def test_a_command_is_what_of_it_was_given(asked, sent, command):
    assert asked(command=sent).command == command


def test_a_command_beats_the_input_on_the_platform_and_contradicts_it_at_the_gateway():
    both = {"command": {"resume": 1}, "input": {"a": 1}}
    assert on_platform(**both).command == {"resume": 1}
    with pytest.raises(SenselessError):
        on_gateway(**both)
    assert on_gateway(command={"resume": 1}, input={}).command == {"resume": 1}


@either
@pytest.mark.parametrize(
    ("sent", "checkpoint"),
    [
        pytest.param({}, None, id="none: the newest"),
        pytest.param({"checkpoint": {"checkpoint_ns": "", "checkpoint_map": {}}}, None, id="one without an id"),
        pytest.param({"checkpoint_id": CHECKPOINT}, {"checkpoint_id": CHECKPOINT}, id="an id alone"),
        pytest.param(
            {"checkpoint": {"checkpoint_id": CHECKPOINT, "checkpoint_ns": ""}},
            {"checkpoint_id": CHECKPOINT, "checkpoint_ns": ""},
            id="one with its namespace",
        ),
        pytest.param(
            {"config": {"configurable": {"checkpoint_id": CHECKPOINT, "checkpoint_ns": "a"}}},
            {"checkpoint_id": CHECKPOINT, "checkpoint_ns": "a"},
            id="as older clients name it",
        ),
        pytest.param(
            {"checkpoint_id": CHECKPOINT, "config": {"configurable": {"checkpoint_id": "other"}}},
            {"checkpoint_id": CHECKPOINT},
            id="the field wins over the configurable",
        ),
    ],
)
def test_a_run_starts_from(asked, sent, checkpoint):
    request = asked(**sent)
    assert request.checkpoint == checkpoint
    assert request.config["configurable"] == {}


@either
def test_a_checkpoint_id_that_is_no_text_is_refused(asked):
    with pytest.raises(ValidationException) as refused:
        asked(config={"configurable": {"checkpoint_id": 5}})
    assert [mistake.loc for mistake in mistakes(refused.value)] == [["body", "config", "configurable", "checkpoint_id"]]


def test_a_checkpoint_id_of_the_platform_is_a_uuid():
    with pytest.raises(InvalidError):
        on_platform(checkpoint_id="newest")


@pytest.mark.parametrize(
    "sent",
    [
        {"checkpoint": {"thread_id": "t2"}},
        {"checkpoint": {"checkpoint_id": "a"}, "checkpoint_id": "b"},
    ],
)
def test_a_checkpoint_that_contradicts_is_senseless_at_the_gateway(sent):
    with pytest.raises(SenselessError):
        on_gateway(**sent)


SERVERS = {"thread_id": "evil", "run_id": "evil", "__pregel_x": 1, "langgraph_auth_user": {"identity": "root"}}


@either
def test_what_is_the_servers_to_say_is_dropped_and_not_shown_again(asked):
    request = asked(config={"configurable": {"model": "m", **SERVERS}, "tags": ["t"]})
    assert request.config == {"configurable": {"model": "m"}, "tags": ["t"]}
    assert request.sent["config"] == {"configurable": {"model": "m"}, "tags": ["t"]}
    assert asked(context={"model": "m", **SERVERS}).sent["context"] == {"model": "m"}


@either
def test_what_is_shown_again_is_what_is_known_of_what_was_sent(asked):
    request = asked(metadata={"tab": 2}, odd=1, stream_subgraphs=True, input={"a": 1}, config=None)
    assert request.sent.pop("assistant_id", "agent") == "agent"
    assert request.sent == {"metadata": {"tab": 2}, "stream_subgraphs": True, "config": None}


@pytest.mark.parametrize("sent", [{"context": {"a": 1}}, {"config": {"configurable": {"a": 1}}}])
def test_configurable_and_context_mirror_each_other_on_the_platform(sent):
    request = on_platform(**sent)
    assert (request.config["configurable"], request.context) == ({"a": 1}, {"a": 1})


def test_configurable_and_context_exclude_each_other_on_the_platform():
    with pytest.raises(SenselessError, match="Cannot specify both configurable and context"):
        on_platform(context={"a": 1}, config={"configurable": {"b": 1}})


def test_configurable_and_context_complete_each_other_at_the_gateway():
    config = {"configurable": {"a": 1, "c": 1}, "context": {"b": 2, "d": 2}}
    request = on_gateway(config=config, context={"c": 3, "d": 3})
    assert request.config == {"configurable": {"a": 1, "b": 2, "c": 1, "d": 2}}
    assert request.context == {"a": 1, "b": 2, "c": 3, "d": 2}


GOOD = [
    "hello",
    {"role": "user", "content": "x", "id": "m1", "name": "n"},
    {"type": "ai", "content": "", "tool_calls": []},
    {"role": "assistant", "content": None, "tool_calls": [{"name": "t", "args": {}, "id": "1"}]},
    {"role": "developer", "content": [{"type": "text", "text": "x"}]},
    {"role": "tool", "content": "x", "tool_call_id": "1"},
    {"type": "remove", "id": "m1"},
    ["system", "x"],
]


@pytest.mark.parametrize("message", GOOD)
def test_a_good_message_is_taken_in(message):
    messages.check({"messages": [message]}, "input")


@pytest.mark.parametrize(
    "message",
    [
        5,
        None,
        {},
        {"role": "user"},
        {"content": "x"},
        {"role": "boss", "content": "x"},
        {"role": ["user"], "content": "x"},
        {"role": "user", "content": 5},
        {"role": "tool", "content": "x"},
        {"role": "remove", "content": ""},
        ["user"],
        ["boss", "x"],
        ["user", 5],
    ],
)
@pytest.mark.parametrize(
    ("place", "where"),
    [
        (lambda bad: {"input": {"messages": ["x", "y", bad]}}, "input"),
        (lambda bad: {"command": {"update": {"messages": ["x", "y", bad]}}}, "command.update"),
    ],
)
def test_a_bad_message_is_refused_by_its_index(message, place, where):
    with pytest.raises(SenselessError, match=rf"^Invalid message at {where}\.messages\[2\]: ."):
        on_gateway(**place(message))


def test_messages_that_are_no_list_are_the_graphs_to_judge():
    assert on_gateway(input={"messages": "hello"}).input == {"messages": "hello"}


def submitted(*, create_thread, after_seconds=None, **given):
    return submission(
        after_seconds=after_seconds,
        idempotency_key=None,
        dialect=Dialect.GATEWAY,
        thread_id="t1",
        assistant=an_assistant(),
        request=on_gateway(config={"metadata": {"from": "config", "a": 1}}),
        metadata={"from": "request"},
        strategy=MultitaskStrategy.ENQUEUE,
        create_thread=create_thread,
        **given,
    )


def test_a_run_says_only_what_its_client_sent():
    run = submitted(create_thread=False).run
    assert run.metadata == {"from": "request"}
    assert (run.assistant_id, run.graph_id) == ("a1", "agent")
    assert run.run_id != submitted(create_thread=False).run.run_id


def test_a_thread_made_by_a_run_says_what_the_run_says_and_whose_it_is():
    thread = submitted(create_thread=True).new_thread
    assert thread.metadata == {"from": "request", "a": 1, "graph_id": "agent", "assistant_id": "a1"}
    assert submitted(create_thread=False).new_thread is None


def test_metadata_that_is_the_servers_to_say_is_dropped_on_the_platform():
    assert platform.metadata_of({"owner": "u", "run_id": "x", "cron_id": "y"}) == {"owner": "u"}
    assert platform.metadata_of(None) == {}


def test_run_ids_grow_with_time():
    ids = [submitted(create_thread=False).run.run_id for _ in range(3)]
    assert ids == sorted(ids)
    assert all(run_id[14] == "7" for run_id in ids)
    assert a_run().run_id
