"""What LangChain and LangGraph tell of a run is taken down: each call of a model once, each message of the log once.

The graphs are real; models and tools are made for the case.
"""

import asyncio
import json
import logging
import operator
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import msgspec
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import adispatch_custom_event
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import BaseChatModel, FakeListLLM
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, RetryPolicy, Send
from msgspec.structs import replace

from actors import recorder as recording
from actors.execution import run_config
from actors.logbook import LARGEST_METADATA, LONGEST
from actors.recorder import Recorder
from storage.accounting import CallStatus, Usage, UsageSource
from storage.records import RunRequest
from tests.factories import a_run

TOOK = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
ASKED = {"messages": [HumanMessage("How many?", id="h1")]}

TOOL = "llm.tool.result"


class Model(BaseChatModel):
    """Says `pieces`, one chunk each where it is streamed; and may wait, or fail, before the last of them."""

    pieces: list[Any] = ["four"]
    model_name: str = "small"
    usage: Any = TOOK
    wants: list[Any] = []
    """Calls of tools."""
    failures: list[BaseException] = []
    """Each fails one call."""
    reached: Any = None
    """Set when it waits."""
    until: Any = None
    """An asyncio.Event to wait for."""
    answers: int = 1

    @property
    def _llm_type(self):
        return "model"

    def _answer(self, pieces):
        text = "".join(pieces) if all(isinstance(one, str) for one in pieces) else pieces
        return AIMessage(
            text,
            usage_metadata=self.usage,
            tool_calls=self.wants,
            response_metadata={"model_name": f"{self.model_name}-1", "finish_reason": "stop"},
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self._fail()
        generations = [ChatGeneration(message=self._answer(self.pieces)) for _ in range(self.answers)]
        return ChatResult(generations=generations)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await self._wait()
        return self._generate(messages)

    def _fail(self):
        if self.failures:
            raise self.failures.pop(0)

    async def _wait(self):
        if self.reached:
            self.reached.set()
        if self.until:
            await self.until.wait()


class Streaming(Model):
    first_usage: Any = None
    """What the first chunk says."""
    silent: bool = False
    """Whether it leaves it to LangChain to tell of its tokens."""

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for number, piece in enumerate(self.pieces):
            if number == len(self.pieces) - 1:
                await self._wait()
                self._fail()
            message = AIMessageChunk(piece, usage_metadata=self.first_usage if number == 0 else None)
            chunk = ChatGenerationChunk(message=message)
            if run_manager and not self.silent:
                await run_manager.on_llm_new_token(piece if isinstance(piece, str) else "", chunk=chunk)
            yield chunk
        if self.usage:
            yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=self.usage))


def wanting(*names, ids=None):
    return [
        {"name": name, "args": {}, "id": ids[number] if ids else f"{name}-call"} for number, name in enumerate(names)
    ]


def graph_of(*nodes, state=MessagesState, **compiled):
    """Nodes one after the other; each under its own name, or as a pair with another."""
    graph = StateGraph(state)
    named = [node if isinstance(node, tuple) else (node.__name__, node) for node in nodes]
    for name, node in named:
        graph.add_node(name, node)
    for (one, _), (other, _) in zip([(START, None), *named], [*named, (END, None)], strict=True):
        graph.add_edge(one, other)
    return graph.compile(**compiled)


def calling(model, name="agent", **config):
    async def node(state):
        return {"messages": [await model.ainvoke(state["messages"], config or None)]}

    return name, node


class Heard:
    """An attempt of a run, and what was taken down of it."""

    def __init__(self, *, human_id=None, **given):
        given = {"attempt": 1, "request": RunRequest(config={"configurable": {}}), **given}
        self.run = a_run(**given)
        self.recorder = Recorder(self.run, human_id)
        self.notes = []

    @property
    def config(self) -> Any:
        return {"callbacks": [self.recorder], "metadata": run_config(self.run).get("metadata")}

    async def invoke(self, graph, given=None, **config):
        await graph.ainvoke(ASKED if given is None else given, {**self.config, **config})
        return self

    async def stream(self, graph, given=None):
        async for _ in graph.astream(ASKED if given is None else given, self.config, stream_mode="messages"):
            pass
        return self

    async def cut_off(self, graph, reached, mode):
        """Cancelled where the model waits."""
        task = asyncio.ensure_future(getattr(self, mode)(graph))
        await reached.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        self.recorder.close()

    def take(self):
        self.notes.append(self.recorder.taken())
        return self.notes

    @property
    def calls(self):
        return [call for notes in self.take() for call in notes.calls]

    @property
    def call(self):
        (call,) = self.calls
        return call

    def rows(self, *types):
        rows = [event for notes in self.take() for event in notes.events]
        return [one for one in rows if not types or one.event_type in types]

    def told(self, *types):
        """Content and metadata of rows."""
        return [(json.loads(one.content), json.loads(one.metadata)) for one in self.rows(*types)]

    @property
    def ids(self):
        return {call.call_id for call in self.calls}


@pytest.fixture
def heard():
    return Heard()


def reported(**more):
    return Usage(input_tokens=7, output_tokens=5, total_tokens=12, usage_source=UsageSource.REPORTED, **more)


# Calls of models


async def test_a_call_says_where_it_was_made_of_what_and_when(heard):
    await heard.invoke(graph_of(calling(Model())))
    call = heard.call
    assert call.usage == reported()
    assert (call.origin.run_id, call.origin.thread_id, call.attempt) == (heard.run.run_id, "t1", 1)
    assert (call.node, call.step, call.subgraph, call.tool) == ("agent", 1, None, None)
    assert call.checkpoint_ns.startswith("agent:")
    assert (call.caller, call.caller_name) == ("lead_agent", None)
    assert (call.provider, call.model_requested, call.model) == ("model", "small", "small-1")
    assert (call.status, call.finish_reason, call.error_type) == (CallStatus.SUCCESS, "stop", None)
    assert call.first_token_at is None
    assert call.started_at <= call.ended_at
    assert not call.was_open


async def test_a_streamed_call_has_the_time_of_its_first_token(heard):
    await heard.stream(graph_of(calling(Streaming(pieces=["fo", "ur"]))))
    call = heard.call
    assert call.usage == reported()
    assert call.started_at <= call.first_token_at <= call.ended_at


async def test_a_stream_without_usage_is_estimated(heard):
    await heard.stream(graph_of(calling(Streaming(pieces=["There are", " four of them."], usage=None))))
    usage = heard.call.usage
    assert usage.usage_source is UsageSource.ESTIMATED
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0


async def test_an_answer_of_langchains_own_fake_is_estimated(heard):
    model = GenericFakeChatModel(messages=iter([AIMessage("There are four.")]))
    await heard.invoke(graph_of(calling(model)))
    assert heard.call.usage.usage_source is UsageSource.ESTIMATED


async def test_a_model_of_texts_is_a_row_for_each_prompt(heard):
    async def node(state, config: RunnableConfig):
        model = FakeListLLM(responses=["four", "five", "six"])
        await model.agenerate(["one?", "two?", "three?"], callbacks=config.get("callbacks"))

    await heard.invoke(graph_of(node))
    assert len(heard.ids) == 3
    assert all(call.usage.usage_source is UsageSource.ESTIMATED for call in heard.calls)


@pytest.mark.parametrize("mode", ["invoke", "stream"])
@pytest.mark.parametrize("text", ["", "There are four"])
async def test_a_call_cancelled_in_its_middle_is_one_row_with_the_text_so_far(heard, mode, text):
    reached = asyncio.Event()
    model = Streaming(pieces=[text, " and more"], reached=reached, until=asyncio.Event())

    async def node(state):
        async for _ in model.astream(state["messages"]):
            pass

    await heard.cut_off(graph_of(node), reached, mode)
    await _assert_cut_off(heard, text)


@pytest.mark.parametrize("text", ["", "There are four"])
async def test_a_call_cancelled_of_which_no_callback_tells_is_one_row_with_the_text_so_far(heard, text):
    reached = asyncio.Event()
    model = Streaming(pieces=[text, " and more"], reached=reached, until=asyncio.Event())
    await heard.cut_off(graph_of(calling(model)), reached, "stream")
    await _assert_cut_off(heard, text)


async def _assert_cut_off(heard, text):
    call = heard.call
    assert (call.status, call.error_type) == (CallStatus.CANCELLED, None)
    assert call.usage.usage_source is UsageSource.ESTIMATED
    assert (call.usage.input_tokens > 0, call.usage.output_tokens > 0) == (True, bool(text))
    told = heard.told("llm.ai.response")
    assert [(content["content"], content["type"], facts["partial"]) for content, facts in told] == (
        [(text, "ai", True)] if text else []
    )


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
async def test_a_call_that_tells_events_and_is_cancelled_is_one_row_with_the_text_so_far(heard):
    reached = asyncio.Event()
    model = Streaming(pieces=["There are", " four", "!"], reached=reached, until=asyncio.Event(), silent=True)

    async def node(state):
        async for _ in await model.astream_events(state["messages"], version="v3"):
            pass

    await heard.cut_off(graph_of(node), reached, "invoke")
    await _assert_cut_off(heard, "There are four")
    assert heard.call.first_token_at is not None


async def test_a_call_cancelled_that_was_not_streamed_is_one_row(heard):
    reached = asyncio.Event()
    await heard.cut_off(graph_of(calling(Model(reached=reached, until=asyncio.Event()))), reached, "invoke")
    assert heard.call.status is CallStatus.CANCELLED
    assert heard.rows("llm.ai.response") == []


async def test_a_call_cancelled_has_the_input_that_its_provider_counted_and_no_row_without_text(heard):
    reached = asyncio.Event()
    first = {"input_tokens": 700, "output_tokens": 1, "total_tokens": 701}
    model = Streaming(pieces=["", "more"], first_usage=first, reached=reached, until=asyncio.Event())
    await heard.cut_off(graph_of(calling(model)), reached, "stream")
    assert (heard.call.usage.input_tokens, heard.call.usage.usage_source) == (700, UsageSource.ESTIMATED)
    assert heard.rows("llm.ai.response") == []


async def test_pieces_that_cannot_be_put_together_end_as_one_row_all_the_same(heard, caplog):
    faults = Recorder.errors_total
    pieces = [AIMessageChunk("fo", response_metadata={"x": 1}), AIMessageChunk("ur", response_metadata={"x": "1"})]
    run_id = uuid4()
    heard.recorder.on_chat_model_start({}, [[HumanMessage("?")]], run_id=run_id)
    for piece in pieces:
        heard.recorder.on_llm_new_token(piece.content, chunk=ChatGenerationChunk(message=piece), run_id=run_id)
    with caplog.at_level(logging.CRITICAL):
        heard.recorder.close()
    assert heard.call.status is CallStatus.CANCELLED
    assert heard.call.usage == Usage()
    assert Recorder.errors_total == faults + 1


async def test_a_model_that_fails_before_it_says_anything_took_nothing(heard):
    with pytest.raises(RuntimeError):
        await heard.invoke(graph_of(calling(Model(failures=[RuntimeError("no")]))))
    call = heard.call
    assert (call.status, call.error_type) == (CallStatus.ERROR, "RuntimeError")
    assert call.usage == Usage()
    assert heard.told("llm.error") == [("no", {"caller": "lead_agent", "error_type": "RuntimeError"})]


async def test_a_model_that_fails_in_its_answer_is_estimated(heard):
    model = Streaming(pieces=["There are four", "!"], failures=[RuntimeError("no")])
    with pytest.raises(RuntimeError):
        await heard.stream(graph_of(calling(model)))
    assert heard.call.status is CallStatus.ERROR
    assert heard.call.usage.usage_source is UsageSource.ESTIMATED
    assert heard.call.usage.output_tokens > 0
    assert [row.event_type for row in heard.rows()] == ["llm.human.input", "llm.error"]


async def test_a_node_that_is_tried_again_makes_calls_of_their_own(heard):
    model = Model(failures=[ConnectionError("no")])
    graph = StateGraph(MessagesState)
    graph.add_node(
        "agent", calling(model)[1], retry_policy=RetryPolicy(max_attempts=2, initial_interval=0.001, jitter=False)
    )
    graph.add_edge(START, "agent")
    await heard.invoke(graph.compile())
    assert len(heard.ids) == 2
    assert [call.status for call in heard.calls] == [CallStatus.ERROR, CallStatus.SUCCESS]
    assert {(call.node, call.step) for call in heard.calls} == {("agent", 1)}


async def test_each_model_that_was_tried_is_a_row(heard):
    failing = Model(model_name="large", failures=[ConnectionError("no")])
    await heard.invoke(graph_of(calling(failing.with_fallbacks([Model()]))))
    assert [(call.model_requested, call.model) for call in heard.calls] == [("large", "large"), ("small", "small-1")]


async def test_each_time_a_model_was_tried_is_a_row(heard):
    model = Model(failures=[ConnectionError("no")])
    await heard.invoke(graph_of(calling(model.with_retry(wait_exponential_jitter=False))))
    assert [call.status for call in heard.calls] == [CallStatus.ERROR, CallStatus.SUCCESS]
    assert len(heard.ids) == 2


async def test_answers_to_one_prompt_are_one_row_and_each_is_told(heard):
    async def node(state, config: RunnableConfig):
        await Model(answers=3).agenerate([state["messages"]], callbacks=config.get("callbacks"))

    await heard.invoke(graph_of(node))
    assert heard.call.usage == reported()
    assert [facts["llm_call_index"] for _, facts in heard.told("llm.ai.response")] == [1, 1, 1]


async def test_a_batch_is_a_row_for_each_prompt(heard):
    async def node(state):
        await Model().abatch([state["messages"]] * 3)

    await heard.invoke(graph_of(node))
    assert len(heard.ids) == 3
    assert [facts["llm_call_index"] for _, facts in heard.told("llm.ai.response")] == [1, 2, 3]


async def test_what_a_local_cache_answers_costs_nothing(heard):
    before = get_llm_cache()
    set_llm_cache(InMemoryCache())
    try:
        await heard.invoke(graph_of(calling(Model()), calling(Model(), "again")), {"messages": []})
    finally:
        set_llm_cache(before)
    assert [call.usage.from_cache for call in heard.calls] == [False, False]  # the second prompt is longer

    again, cache = Heard(), InMemoryCache()
    model = Model(cache=cache)

    async def node(state):
        for _ in range(2):
            await model.ainvoke("How many?")

    await again.invoke(graph_of(node))
    first, second = again.calls
    assert first.usage == reported()
    assert second.usage == Usage(usage_source=UsageSource.REPORTED, from_cache=True, usage_detail={"saved": TOOK})
    assert second.status is CallStatus.SUCCESS


async def test_places_are_told_by_node_and_by_the_subgraphs_around_it(heard):
    inner = graph_of(calling(Model(), "search"))
    middle = graph_of(("research", inner))
    await heard.invoke(graph_of(calling(Model(), "lead"), ("plan", middle)))
    assert [(call.node, call.subgraph) for call in heard.calls] == [("lead", None), ("search", "plan/research")]


async def test_an_agent_that_is_called_again_and_again_in_a_node_has_the_same_place(heard):
    inner = graph_of(calling(Model(), "search"), checkpointer=True)

    async def research(state):
        for _ in range(2):
            await inner.ainvoke({"messages": [HumanMessage("?")]})

    await heard.invoke(graph_of(research, checkpointer=InMemorySaver()), configurable={"thread_id": "t1"})
    assert [(call.node, call.subgraph) for call in heard.calls] == [("search", "research")] * 2


async def test_an_agent_used_as_a_tool_is_told_by_the_tools_name(heard):
    agent = graph_of(calling(Model(), "think", tags=["subagent:research"]))

    @tool
    async def research(question: str = "") -> str:
        """Look into it."""
        await agent.ainvoke({"messages": [HumanMessage(question)]})
        return "done"

    lead = calling(Model(wants=wanting("research")))
    await heard.invoke(graph_of(lead, ("tools", ToolNode([research])), calling(Model(), "sum_up")))
    found = [(call.node, call.tool, call.caller, call.caller_name) for call in heard.calls]
    assert found == [
        ("agent", None, "lead_agent", None),
        ("think", "research", "subagent", "research"),
        ("sum_up", None, "lead_agent", None),
    ]
    assert heard.recorder._tools == {}


async def test_of_two_tags_that_claim_the_caller_the_first_wins(heard):
    await heard.invoke(graph_of(calling(Model(), tags=["mine", "middleware:title", "subagent:research"])))
    assert (heard.call.caller, heard.call.caller_name) == ("middleware", "title")


class Counted(TypedDict):
    number: int
    done: Annotated[list, operator.add]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_of_many_calls_at_once_none_is_lost(asynchronous):
    """Sync nodes have threads of their own; and two runs, two loops."""
    model = Model()

    def call(state):
        model.invoke(f"{state['number']}?")
        return {"done": [state["number"]]}

    async def acall(state):
        await model.ainvoke(f"{state['number']}?")
        return {"done": [state["number"]]}

    graph = StateGraph(Counted)
    graph.add_node("call", acall if asynchronous else call)
    graph.add_conditional_edges(START, lambda _: [Send("call", {"number": number}) for number in range(50)], ["call"])
    branches, both = graph.compile(), [Heard(), Heard()]
    with ThreadPoolExecutor(2) as threads:
        work = [threads.submit(asyncio.run, heard.invoke(branches, {"number": 0, "done": []})) for heard in both]
        assert all(one.result() for one in work)
    for heard in both:
        assert len(heard.ids) == len(heard.calls) == 50
        assert {call.origin.run_id for call in heard.calls} == {heard.run.run_id}
        told = heard.told("llm.ai.response")
        assert sorted(facts["llm_call_index"] for _, facts in told) == list(range(1, 51))
        assert len(heard.rows("llm.human.input")) == 1


async def test_a_fault_of_the_recorder_never_fails_a_run_and_is_counted(heard, monkeypatch, caplog):
    faults = Recorder.errors_total
    monkeypatch.setattr(recording.usage, "reported", lambda _: 1 / 0)
    with caplog.at_level(logging.CRITICAL):
        await heard.invoke(graph_of(calling(Model())))
    assert (heard.call.status, heard.call.usage) == (CallStatus.SUCCESS, Usage())
    assert heard.call.ended_at is not None
    assert Recorder.errors_total == faults + 1


@pytest.mark.parametrize("broken", ["caller_of", "place_of", "_note_human", "_note_results", "event_of"])
async def test_whatever_fails_in_the_recorder_each_call_is_a_row(heard, monkeypatch, caplog, broken):
    def fail(*_):
        raise ZeroDivisionError

    faults = Recorder.errors_total
    owner = next(one for one in (recording.usage, Recorder, recording) if hasattr(one, broken))
    monkeypatch.setattr(owner, broken, fail)

    @tool
    def search() -> str:
        """Search."""
        return "found"

    model = Model(wants=wanting("search"))
    with caplog.at_level(logging.CRITICAL):
        await heard.invoke(graph_of(calling(model), ("tools", ToolNode([search]))))
    assert heard.call.status is CallStatus.SUCCESS
    assert Recorder.errors_total > faults


async def test_what_a_model_says_beyond_json_can_be_kept(heard):
    usage = {**TOOK, "service_tier": object(), "each": {1, 2}}

    class Odd(Model):
        def _answer(self, pieces):
            message = super()._answer(pieces)
            message.usage_metadata = usage
            message.response_metadata = {"model_name": {"not": "a name"}, "finish_reason": ["stop"]}
            return message

        def _get_ls_params(self, stop=None, **kwargs):
            odd: Any = {"ls_provider": ["a", "list"], "ls_model_name": 7, "ls_model_type": "chat"}
            return odd

    await heard.invoke(graph_of(calling(Odd())))
    call = heard.call
    assert call.usage.total_tokens == 12
    assert json.loads(json.dumps(call.usage.usage_detail)) == {"service_tier": None, "each": [1, 2]}
    assert all(isinstance(text, str) for text in (call.provider, call.model_requested, call.model, call.finish_reason))


async def test_what_is_no_unicode_can_be_kept(heard):
    half = "\ud83d"

    class Odd(Model):
        def _answer(self, pieces):
            message = super()._answer(pieces)
            message.response_metadata = {"model_name": half, "finish_reason": half}
            return message

    @tool
    async def research() -> str:
        """Look into it."""
        await Odd(model_name=half).ainvoke("?", {"tags": [f"subagent:{half}"]})
        await adispatch_custom_event(f"middleware:{half}", half)
        return half

    model = Model(wants=[{"name": "research", "args": {}, "id": half}])
    failing = calling(Model(failures=[ValueError(f"no {half}")]), "failing")
    with pytest.raises(ValueError, match="no"):
        await heard.invoke(graph_of(calling(model), ("tools", ToolNode([research])), failing))
    assert len(heard.calls) == 3
    assert len(heard.rows()) == 6
    assert msgspec.json.encode(heard.calls)
    assert msgspec.json.encode(heard.rows())


async def test_metadata_of_users_says_nothing_about_who_and_what():
    claims = {
        "user_id": "eve",
        "thread_id": "hers",
        "ls_provider": "openai",
        "ls_model_name": "o3",
        "langgraph_node": "hers",
        "team": "blue",
    }
    heard = Heard(user_id="ann", metadata=claims, request=RunRequest(config={"tags": ["mine"], "configurable": {}}))
    anonymous = type("Anonymous", (Model,), {"__annotations__": {}, "_get_ls_params": _says_no_name})
    await heard.invoke(graph_of(calling(anonymous())))
    call = heard.call
    assert (call.origin.user_id, call.origin.thread_id) == ("ann", "t1")
    assert (call.provider, call.model_requested, call.model, call.node) == ("model", None, "small-1", "agent")
    assert call.origin.metadata == {"user_id": "eve", "thread_id": "hers", "team": "blue"}
    assert call.origin.tags == ["mine"]


def _says_no_name(self, stop=None, **kwargs):
    return {"ls_provider": "model", "ls_model_type": "chat"}


async def test_much_metadata_is_cut():
    heard = Heard(metadata={"much": "x" * 10_000})
    await heard.invoke(graph_of(calling(Model())))
    assert heard.call.origin.metadata == {"truncated": True}
    fitting = {"much": "x" * (LARGEST_METADATA - len('{"much":""}'))}
    assert Heard(metadata=fitting).recorder._origin.metadata == fitting


async def test_calls_under_way_are_told_of_once_and_end_as_such(heard):
    reached, until = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(heard.invoke(graph_of(calling(Model(reached=reached, until=until)))))
    await reached.wait()
    (opened,) = heard.take()[0].opened
    assert heard.take()[1].opened == ()
    assert (opened.status, opened.usage.usage_source) == (CallStatus.LOST, UsageSource.ESTIMATED)
    assert opened.usage.input_tokens > 0
    until.set()
    await task
    assert heard.call.call_id == opened.call_id
    assert heard.call.was_open


async def test_once_it_is_closed_nothing_comes_in(heard):
    await heard.invoke(graph_of(calling(Model())))
    heard.recorder.close()
    before = len(heard.calls), len(heard.rows())
    await heard.invoke(graph_of(calling(Model(wants=wanting("search"))), ("tools", ToolNode([_search()]))))
    heard.recorder.close()
    assert (len(heard.calls), len(heard.rows())) == before
    assert heard.recorder.add([heard.calls[0]]) is False


def _search():
    @tool
    def search() -> str:
        """Search."""
        return "found"

    return search


async def test_a_call_that_ends_while_it_is_closed_is_counted_once():
    for _ in range(200):
        heard, run_id, together = Heard(), uuid4(), threading.Barrier(2)
        heard.recorder.on_chat_model_start({}, [[HumanMessage("?")]], run_id=run_id)

        def end(recorder=heard.recorder, run_id=run_id, together=together):
            together.wait()
            recorder.on_llm_end(LLMResult(generations=[[ChatGeneration(message=AIMessage("four"))]]), run_id=run_id)

        thread = threading.Thread(target=end)
        thread.start()
        together.wait()
        heard.recorder.close()
        thread.join()
        assert heard.call.status in (CallStatus.SUCCESS, CallStatus.CANCELLED)


async def test_durations_are_never_negative(heard, monkeypatch):
    run_id = uuid4()
    heard.recorder.on_chat_model_start({}, [[HumanMessage("?")]], run_id=run_id)
    open_call = heard.recorder._open[run_id]
    open_call.call = replace(open_call.call, started_at=open_call.call.started_at + timedelta(days=1))  # set back since
    heard.recorder.on_llm_end(LLMResult(generations=[[ChatGeneration(message=AIMessage("four"))]]), run_id=run_id)
    assert heard.call.ended_at >= heard.call.started_at


# The log


async def test_a_run_is_told_as_what_was_asked_and_answered(heard):
    await heard.invoke(graph_of(calling(Model()), calling(Model(pieces=["five"]), "again")))
    assert [row.event_type for row in heard.rows()] == ["llm.human.input", "llm.ai.response", "llm.ai.response"]
    (human, _), (first, facts), (second, later) = heard.told()
    assert (human["id"], human["content"], human["type"]) == ("h1", "How many?", "human")
    assert (first["content"], second["content"]) == ("four", "five")
    assert facts["usage"] == TOOK
    assert facts["latency_ms"] >= 0
    assert (facts["llm_call_index"], later["llm_call_index"]) == (1, 2)
    assert "partial" not in facts
    assert {row.category for row in heard.rows()} == {"message"}
    assert heard.rows()[0].message_id == "h1"
    assert json.loads(heard.recorder.outputs)["messages"][0]["id"] == "h1"


async def test_a_streamed_answer_is_told_as_the_message_that_it_makes(heard):
    await heard.stream(graph_of(calling(Streaming(pieces=["fo", "ur"]))))
    ((content, _),) = heard.told("llm.ai.response")
    assert (content["type"], content["content"]) == ("ai", "four")
    assert not {"tool_call_chunks", "chunk_position"} & set(content)


@pytest.mark.parametrize(
    "messages",
    [
        [HumanMessage("?", id="h1"), HumanMessage("What was said", id="s1", name="summary")],
        [HumanMessage("?", id="h1"), HumanMessage("?", id="s1", additional_kwargs={"hide_from_ui": True})],
        [AIMessage("four", id="a1")],
        [HumanMessage("?", id="known")],
    ],
)
async def test_what_no_person_asked_or_was_told_before_is_not_told(messages):
    heard = Heard(human_id="known")
    await heard.invoke(graph_of(calling(Model())), {"messages": messages})
    assert heard.rows("llm.human.input") == []


async def test_what_was_asked_is_told_with_the_lead_agents_call(heard):
    await heard.invoke(graph_of(calling(Model(), "research", tags=["subagent:research"]), calling(Model())))
    assert [(row.event_type, row.caller) for row in heard.rows()] == [
        ("llm.ai.response", "subagent:research"),
        ("llm.human.input", "lead_agent"),
        ("llm.ai.response", "lead_agent"),
    ]


async def test_what_tools_answer_is_told_once_each_as_asked_by_whoever_asked(heard):
    @tool
    def plain() -> str:
        """Say something."""
        return "plain"

    @tool
    def command(tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
        """Change the state."""
        return Command(update={"messages": [ToolMessage("command", tool_call_id=tool_call_id)]})

    @tool
    def listed(tool_call_id: Annotated[str, InjectedToolCallId]) -> list:
        """Change the state in a list."""
        return [Command(update={"messages": [ToolMessage("listed", tool_call_id=tool_call_id)]})]

    @tool
    def failing() -> str:
        """Fail."""
        raise ValueError("no")

    tools = ToolNode([plain, command, listed, failing], handle_tool_errors=True)
    names = ("plain", "command", "listed", "failing", "unknown")
    model = Model(wants=wanting(*names))
    await heard.invoke(graph_of(calling(model, tags=["subagent:research"]), ("tools", tools), calling(Model(), "last")))
    told = {content["tool_call_id"]: content for content, _ in heard.told(TOOL)}
    assert len(heard.rows(TOOL)) == len(told) == 5
    assert [told[f"{name}-call"]["content"] for name in names[:3]] == ["plain", "command", "listed"]
    assert told["failing-call"]["status"] == "error"
    assert "not a valid tool" in told["unknown-call"]["content"]
    assert {row.caller for row in heard.rows(TOOL)} == {"subagent:research"}


async def test_a_tool_that_fails_has_no_other_tool_told_again(heard):
    """What a subgraph gives back holds what was said in earlier runs too."""
    before = [
        HumanMessage("?", id="h0"),
        AIMessage("", tool_calls=wanting("failing", ids=["old"])),
        ToolMessage("earlier", tool_call_id="old"),
        HumanMessage("??", id="h1"),
    ]

    @tool
    def failing() -> str:
        """Fail."""
        raise ValueError("no")

    tools = ToolNode([failing], handle_tool_errors=True)
    inner = graph_of(calling(Model(wants=wanting("failing", ids=["new"]))), ("tools", tools))
    await heard.invoke(graph_of(("inner", inner), calling(Model(), "last")), {"messages": before})
    assert [content["tool_call_id"] for content, _ in heard.told(TOOL)] == ["new"]


async def test_a_tool_asked_for_in_an_earlier_run_that_fails_now_is_told(heard):
    @tool
    def failing() -> str:
        """Fail."""
        raise ValueError("no")

    asked = [HumanMessage("?", id="h0"), AIMessage("", tool_calls=wanting("failing"))]
    await heard.invoke(graph_of(("tools", ToolNode([failing], handle_tool_errors=True))), {"messages": asked})
    assert [(content["tool_call_id"], content["status"]) for content, _ in heard.told(TOOL)] == [
        ("failing-call", "error")
    ]


async def test_a_node_that_answers_for_a_tool_by_hand_is_told(heard):
    def by_hand(state):
        (call,) = state["messages"][-1].tool_calls
        return {"messages": [ToolMessage("by hand", tool_call_id=call["id"])]}

    await heard.invoke(graph_of(calling(Model(wants=wanting("search"))), by_hand))
    assert [content["content"] for content, _ in heard.told(TOOL)] == ["by hand"]


async def test_a_provider_that_uses_an_id_again_has_each_answer_told(heard):
    model, tools = Model(wants=wanting("search", ids=["call_0"])), ToolNode([_search()])
    await heard.invoke(graph_of(calling(model), ("tools", tools), calling(model, "again"), ("more_tools", tools)))
    assert len(heard.rows(TOOL)) == 2


async def test_what_middleware_tells_of_itself_is_a_row(heard):
    async def node(state):
        change = {"name": "Title", "hook": "after_model", "action": "set", "changes": {"title": "Four"}, "more": 1}
        await adispatch_custom_event("middleware:title", change)
        await adispatch_custom_event("middleware:" + "long" * 10, "changed")
        await adispatch_custom_event("something else", {})

    await heard.invoke(graph_of(node))
    assert [(row.event_type, row.category) for row in heard.rows()] == [
        ("middleware:title", "middleware"),
        ("middleware:longlonglonglonglongl", "middleware"),
    ]
    (first, _), (second, _) = heard.told()
    assert first == {"name": "Title", "hook": "after_model", "action": "set", "changes": {"title": "Four"}}
    assert second == {"name": None, "hook": None, "action": None, "changes": "changed"}


@pytest.mark.parametrize("letter", ["x", "ä", "\N{GRINNING FACE}"])
async def test_what_is_no_message_is_cut(heard, letter):
    room = LONGEST - len('""')
    fits, beyond = letter * (room // len(letter.encode())), letter * (room // len(letter.encode()) + 1)

    for text in (fits, beyond):
        with pytest.raises(RuntimeError):
            await heard.invoke(graph_of(calling(Model(failures=[RuntimeError(text)]))))
    (whole, facts), (cut, cut_facts) = heard.told("llm.error")
    assert whole == fits
    assert "content_truncated" not in facts
    assert len(cut.encode()) <= LONGEST
    assert (cut_facts["content_truncated"], cut_facts["original_byte_length"]) == (True, len(beyond.encode()) + 2)


async def test_messages_are_never_cut(heard):
    await heard.invoke(graph_of(calling(Model(pieces=["x" * 20_000]))))
    ((content, _),) = heard.told("llm.ai.response")
    assert len(content["content"]) == 20_000


class Kept(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


async def test_a_resumed_run_tells_only_what_is_new():
    saver, first = InMemorySaver(), Heard()
    graph = graph_of(calling(Model()), calling(Model(), "later"), state=Kept, checkpointer=saver)
    config = {"configurable": {"thread_id": "t1"}}
    await graph.ainvoke(ASKED, {**first.config, **config}, interrupt_before=["later"])
    second = Heard(human_id="h1")
    await graph.ainvoke(None, {**second.config, **config})
    assert [row.event_type for row in first.rows()] == ["llm.human.input", "llm.ai.response"]
    assert [row.event_type for row in second.rows()] == ["llm.ai.response"]
    assert not first.ids & second.ids
