"""What is said of tool calls that a cancelled run left without a result."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from actors.liverun import was_cancelled
from actors.unanswered import answered
from storage.records import Failure
from tests.factories import a_thread

HUMAN = HumanMessage("go on")


def a_call(call_id):
    return {"name": "look_up", "args": {}, "id": call_id}


def calling(*call_ids):
    return AIMessage("", tool_calls=[a_call(call_id) for call_id in call_ids])


def result(call_id):
    return ToolMessage("found", tool_call_id=call_id)


def ids_in_front(given, messages):
    *answers, last = answered(given, messages)["messages"]
    assert last == HUMAN
    return [answer.tool_call_id for answer in answers]


@pytest.mark.parametrize(
    ("messages", "in_front"),
    [
        ([], []),
        ([HUMAN], []),
        ([HUMAN, AIMessage("done")], []),
        ([HUMAN, calling("1")], ["1"]),
        ([HUMAN, calling("1", "2")], ["1", "2"]),
        ([HUMAN, calling("1", "2"), result("1")], ["2"]),
        ([HUMAN, calling("1"), result("1")], []),
        ([HUMAN, calling("1"), HUMAN], []),
        ([HUMAN, calling("1"), result("1"), calling("2")], ["2"]),
    ],
    ids=["none", "human", "answer", "call", "two", "half", "whole", "spoken-past", "only-the-last"],
)
def test_each_call_at_the_end_without_a_result_gets_one_in_front_of_the_input(messages, in_front):
    assert ids_in_front({"messages": [HUMAN]}, messages) == in_front


def test_a_garbled_call_gets_an_answer_too():
    garbled = {"name": None, "args": "{", "id": "1", "error": None, "type": "invalid_tool_call"}
    assert ids_in_front({"messages": [HUMAN]}, [AIMessage("", invalid_tool_calls=[garbled])]) == ["1"]


def test_the_answer_names_the_tool_and_says_that_it_was_interrupted():
    answer = answered({"messages": [HUMAN]}, [calling("1")])["messages"][0]
    assert answer.status == "error"
    assert "look_up was interrupted" in answer.content


@pytest.mark.parametrize("one", [HUMAN, "go on", {"role": "user", "content": "go on"}, ("user", "go on")], ids=type)
def test_one_message_in_place_of_a_list_stays_one_message(one):
    assert answered({"messages": one}, [calling("1")])["messages"][1:] == [one]


def test_the_rest_of_the_input_stays_as_it_was():
    assert answered({"tone": "plain"}, [calling("1")])["tone"] == "plain"


@pytest.mark.parametrize("given", [None, "text", ["a", "list"]])
def test_an_input_that_holds_no_messages_by_name_stays_as_it_is(given):
    assert answered(given, [calling("1")]) == given


@pytest.mark.parametrize("messages", [None, {}, 3])
def test_a_state_whose_messages_are_no_list_leaves_the_input_as_it_is(messages):
    assert answered({"messages": [HUMAN]}, messages) == {"messages": [HUMAN]}


@pytest.mark.parametrize(
    ("thread", "cancelled"),
    [
        (None, False),
        (a_thread(), False),
        (a_thread(error=Failure("ValueError", "no")), False),
        (a_thread(error=Failure("UserInterrupt", "")), True),
    ],
    ids=["new", "fine", "failed", "cancelled"],
)
def test_a_thread_that_wakes_up_knows_whether_its_last_run_was_cancelled(thread, cancelled):
    assert was_cancelled(thread) is cancelled
