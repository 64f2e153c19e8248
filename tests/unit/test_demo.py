"""The demo assistants say the same thing twice, as a model would say it, and know who said it."""

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from actors.demo import authors, chat, research
from actors.demo.library import PASSAGES, calculate, key_words, known_words, search, sum_in
from actors.demo.model import Call, DemoModel, Reply, default_pace, pace_of, tokens_of

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t", "pace": 0}}
QUESTION = "How do the tides follow the moon, and what is 12 * 7?"
QUESTIONS = [QUESTION, "Who won the cup in 1954?", "2 + 2", "", "¿Qué?", "a " * 500, "1 / 0", "((2 + 3) * 4", "潮汐"]


def speaking(text="Two  words\n", *calls):
    return DemoModel(author=lambda prompt: Reply(text, calls), pace=0)


def asking(text) -> Any:
    return {"messages": [HumanMessage(text)]}


def whole(chunks) -> Any:
    return sum(chunks[1:], start=chunks[0])


# The model


async def test_all_four_ways_of_asking_give_the_same_answer():
    model = speaking("Some words, and a call.", Call("search", {"query": "the moon"})).bind_tools([search])
    streamed = [whole(list(model.stream("hi"))), whole([chunk async for chunk in model.astream("hi")])]
    answers: list[Any] = [model.invoke("hi"), await model.ainvoke("hi"), *streamed]
    told = [(a.content, a.tool_calls, a.usage_metadata, a.response_metadata) for a in answers]
    assert told == told[:1] * 4
    assert answers[0].tool_calls[0]["args"] == {"query": "the moon"}
    assert answers[0].response_metadata == {"model_name": "demo-large", "finish_reason": "tool_calls"}


async def test_words_and_calls_come_in_pieces_and_usage_comes_last():
    model = speaking("One two three", Call("search", {"query": "x y"})).bind_tools([search])
    chunks: list[Any] = [chunk async for chunk in model.astream("hi")]
    assert [chunk.content for chunk in chunks if chunk.content] == ["One ", "two ", "three"]
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    assert [piece["name"] for piece in pieces] == ["search", None, None, None]
    assert "".join(piece["args"] for piece in pieces) == '{"query": "x y"}'
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    usage = chunks[-1].usage_metadata
    assert usage["output_tokens"] == len(chunks) - 1
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_a_message_has_one_id_from_its_first_chunk_on():
    assert len({chunk.id async for chunk in speaking().astream("hi")}) == 1


async def test_a_longer_prompt_and_tools_cost_more_input():
    def read(model, prompt):
        return model.invoke(prompt).usage_metadata["input_tokens"]

    short, longer = read(speaking(), "one two"), read(speaking(), "one two three")
    assert (short, longer) == (5, 6), "three for the frame of the message"
    assert read(speaking().bind_tools([search]), "one two") > short


def test_tokens_joined_are_the_text():
    for text in ("", " ", "a", "  a  b\n\nc ", "\n"):
        assert "".join(tokens_of(text)) == text


def test_a_stop_word_ends_the_answer():
    assert speaking("one two three").invoke("hi", stop=["three", "two"]).content == "one "


def test_a_call_of_a_tool_that_is_not_bound_is_refused():
    with pytest.raises(ValueError, match="the model has no tool search"):
        speaking("x", Call("search", {"query": "x"})).invoke("hi")


def test_the_same_call_in_another_turn_has_another_id():
    model = speaking("x", Call("search", {"query": "x"})).bind_tools([search])
    ids = [model.invoke(prompt).tool_calls[0]["id"] for prompt in (["a"], ["a"], ["a", "b"])]
    assert ids[0] == ids[1] != ids[2]


def test_the_pace_is_the_runs_or_the_environments(monkeypatch):
    assert default_pace() == 0.02
    monkeypatch.setenv("TREADLE_DEMO_PACE", "0.5")
    assert DemoModel(author=authors.plan).pace == pace_of({}) == 0.5
    assert pace_of(CONFIG) == 0


def test_tracers_are_told_provider_and_model():
    told = {"ls_provider": "treadle", "ls_model_name": "demo-large", "ls_model_type": "chat"}
    assert speaking()._get_ls_params() == told


# Tools


@pytest.mark.parametrize(
    ("expression", "value"),
    [("(3 + 4) * 2", "14"), ("-2 ** 2", "-4"), ("1 / 4", "0.25"), ("2 ** 64", "1.844674407e+19")],
)
def test_the_calculator_works_out_arithmetic(expression, value):
    assert calculate.invoke({"expression": expression}) == value


@pytest.mark.parametrize(
    "expression", ["1 / 0", "9 ** 9 ** 9", "(-8) ** 0.5", "__import__('os')", "1 +", "", "'a' * 9"]
)
def test_the_calculator_says_what_it_cannot(expression):
    assert calculate.invoke({"expression": expression}) == f"{expression} cannot be worked out."


def test_a_search_prefers_titles_and_says_when_it_found_nothing():
    assert search.invoke({"query": "a loom"}).startswith("[Looms] ")
    assert search.invoke({"query": "pizza"}) == "Nothing found."


def test_every_passage_is_found_by_its_title():
    assert [search.invoke({"query": title})[: len(title) + 2] for title in PASSAGES] == [f"[{t}]" for t in PASSAGES]


def test_known_words_are_those_of_the_library():
    assert known_words.invoke({"words": ["moon", "pizza", "tide"]}) == "moon, tide"
    assert known_words.invoke({"words": ["pizza"]}) == "none"


def test_key_words_leave_out_what_means_nothing():
    assert key_words("What are the Tides, and why do tides follow 2 moons?") == ["tides", "follow", "moons"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("what is 12*7?", "12*7"), ("(1 + 2) / 3 please", "(1 + 2) / 3"), ("2^8", "2**8"), ("on 2026-11-22", None)],
)
def test_a_sum_is_found_in_a_text(text, found):
    assert sum_in(text) == found


# Chat


@pytest.fixture
def talk():
    """Say something to a chat that remembers; returns the whole state."""
    graph = chat.graph.copy({"checkpointer": InMemorySaver()})

    async def talk(said):
        return await graph.ainvoke(asking(said) if isinstance(said, str) else said, CONFIG)

    return talk


async def test_a_chat_remembers_earlier_turns(talk):
    await talk("My name is Ada")
    state = await talk("What is my name?")
    assert state["messages"][-1].text == (
        "Your name is Ada.\n\nI remember one message before this one. The last was “My name is Ada”."
    )


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_chat_has_an_answer_to_anything(talk, question):
    assert (await talk(question))["messages"][-1].text


async def test_a_chat_without_messages_greets():
    state = await chat.graph.ainvoke(chat.Chat(messages=[]), CONFIG)
    assert state["messages"][-1].text.startswith("Hello!")


@pytest.mark.parametrize(
    ("resume", "answer"),
    [
        (True, "You approved it"),
        ("Yes", "You approved it"),
        ({"type": "accept"}, "You approved it"),
        ([{"decision": "approve"}], "You approved it"),
        (False, "You did not approve it"),
        ({"approved": False}, "You did not approve it"),
        ({"comment": "hm"}, "You did not approve it"),
        ("tomorrow", "You said “tomorrow”"),
    ],
)
async def test_a_chat_asks_for_approval_and_obeys_the_answer(talk, resume, answer):
    state = await talk("Please APPROVE the trip")
    [interrupt] = state["__interrupt__"]
    assert interrupt.value["request"] == "Please APPROVE the trip"
    state = await talk(Command(resume=resume))
    assert answer in state["messages"][-1].text
    assert "You said: “Thanks”" in (await talk("Thanks"))["messages"][-1].text, "the decision was for one turn"


# Research


class Callers(BaseCallbackHandler):
    """Which tags the model calls had."""

    def __init__(self):
        self.tags = []

    def on_chat_model_start(self, serialized, messages, *, tags=None, **more):
        self.tags += [tag for tag in tags or [] if not tag.startswith("seq:")]


async def test_research_plans_and_then_writes_from_what_was_found():
    state = await research.graph.ainvoke(asking(QUESTION), CONFIG)
    _, plan, answer = state["messages"]
    assert plan.text.startswith("Here is my plan:")
    assert answer.text == (
        "## How do the tides follow the moon, and what is 12 * …\n\n"
        "**12 * 7 = 84**\n\n"
        "- **Tides.** The tides follow the moon, and the sun to a smaller degree. "
        "Most coasts see two high waters in a little less than 25 hours.\n\n"
        "The library covers 3 of 3 key words (100 %)."
    )


@pytest.mark.parametrize("question", QUESTIONS)
async def test_research_answers_anything_and_the_same_twice(question):
    first, second = [await research.graph.ainvoke(asking(question), CONFIG) for _ in range(2)]
    assert [m.text for m in first["messages"]] == [m.text for m in second["messages"]]
    assert all(message.text for message in first["messages"][1:])


async def test_every_call_says_who_makes_it():
    callers = Callers()
    await research.graph.ainvoke(asking(QUESTION), {**CONFIG, "callbacks": [callers]})
    assert sorted(callers.tags) == [
        "lead_agent",
        "lead_agent",
        "middleware:summarize",
        *["subagent:analyst"] * 3,
        *["subagent:librarian"] * 2,
    ]


async def test_both_subagents_stream_words_tool_calls_and_results():
    stream = research.graph.astream(asking(QUESTION), CONFIG, stream_mode="messages", subgraphs=True)
    said = [(namespace[0].partition(":")[0], message) async for namespace, (message, _) in stream if namespace]
    for name in ("librarian", "analyst"):
        messages = [message for caller, message in said if caller == name]
        assert any(getattr(message, "tool_call_chunks", None) for message in messages)
        assert any(isinstance(message, ToolMessage) for message in messages)


async def test_progress_is_told_from_start_to_end():
    stream: Any = research.graph.astream(asking(QUESTION), CONFIG, stream_mode="custom", subgraphs=True)
    events = [event async for _, event in stream]
    assert [e["percent"] for e in events if e["type"] == "progress"] == [0, 60, 80, 100]
    assert sorted(e["by"] for e in events if e["type"] == "finding") == ["analyst", "librarian"]


async def test_the_next_question_begins_with_empty_hands():
    graph = research.graph.copy({"checkpointer": InMemorySaver()})
    await graph.ainvoke(asking(QUESTION), CONFIG)
    state = await graph.ainvoke(asking("pizza"), CONFIG)
    assert state["findings"] == ["The library has nothing on this.", "The library covers 0 of 1 key words (0 %)."]


def test_the_analyst_waits_for_the_library_before_it_reckons():
    prompt = [SystemMessage("x"), HumanMessage("tides and pizza")]
    first = authors.analyst(prompt)
    assert first.calls == (Call("known_words", {"words": ["tides", "pizza"]}),)
    prompt += [AIMessage("x"), ToolMessage("tides", tool_call_id="1")]
    second = authors.analyst(prompt)
    assert second.calls == (Call("calculate", {"expression": "100 * 1 / 2"}),)
    prompt += [AIMessage("x"), ToolMessage("50", tool_call_id="2")]
    assert authors.analyst(prompt) == Reply("The library covers 1 of 2 key words (50 %).")
