"""What a model's answer says of its tokens, by table: each number in its column, and each once."""

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, LLMResult

from actors import usage
from storage.accounting import MOST_TOKENS, Usage, UsageSource

PROMPT = [HumanMessage("How many are there, all told?")]
GUESS = usage.estimated(PROMPT, [])


def said(input_tokens=7, output_tokens=5, **more):
    return {"input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": 0, **more}


def answers(*usages, llm_output=None, content="four", **fields):
    """The result of a call with an answer for each of `usages`."""
    messages = [AIMessage(content, **fields) for _ in usages]
    for message, one in zip(messages, usages, strict=True):
        message.usage_metadata = one  # not checked: what fits nothing comes as well
    return LLMResult(generations=[[ChatGeneration(message=one) for one in messages]], llm_output=llm_output)


def told(llm_output):
    return answers(None, llm_output=llm_output)


def reported(input_tokens=7, output_tokens=5, total_tokens=12, **more):
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total_tokens,
        usage_source=UsageSource.REPORTED,
        **more,
    )


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(answers(said(total_tokens=12)), reported(), id="plain"),
        pytest.param(answers(said()), reported(), id="a missing total is input and output"),
        pytest.param(answers(said(total_tokens=20)), reported(total_tokens=20), id="a total is as reported"),
        pytest.param(
            answers(said(input_token_details={"cache_read": 3, "cache_creation": 2})),
            reported(cache_read_tokens=3, cache_write_tokens=2),
            id="cache",
        ),
        pytest.param(
            answers(said(input_token_details={"audio": 4}, output_token_details={"audio": 1})),
            reported(input_audio_tokens=4, output_audio_tokens=1),
            id="audio",
        ),
        pytest.param(
            answers(said(output_token_details={"reasoning": 4})), reported(reasoning_tokens=4), id="reasoning"
        ),
        pytest.param(
            answers(
                said(
                    service_tier="flex",
                    input_token_details={"cache_read": 1, "ephemeral_1h_input_tokens": 6},
                    output_token_details={"images": 2},
                )
            ),
            reported(
                cache_read_tokens=1, usage_detail={"service_tier": "flex", "ephemeral_1h_input_tokens": 6, "images": 2}
            ),
            id="what else was said",
        ),
        pytest.param(
            answers(said(input_token_details={"cache_read": None, "audio": -1})), reported(), id="no number is none"
        ),
        pytest.param(
            told({"token_usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}),
            reported(),
            id="OpenAI's own form",
        ),
        pytest.param(
            told(
                {
                    "token_usage": {
                        "prompt_tokens": 7,
                        "completion_tokens": 5,
                        "prompt_tokens_details": {"cached_tokens": 4},
                        "completion_tokens_details": {"reasoning_tokens": 3},
                    }
                }
            ),
            reported(cache_read_tokens=4, reasoning_tokens=3),
            id="OpenAI's own form with details, without total",
        ),
        pytest.param(told({"usage": {"input_tokens": 7, "output_tokens": 5}}), reported(), id="Anthropic's own form"),
        pytest.param(
            answers(said(), llm_output={"token_usage": {"prompt_tokens": 70, "completion_tokens": 50}}),
            reported(),
            id="the message comes first, and nothing is added to it",
        ),
        pytest.param(answers(said(), said(), said()), reported(), id="n > 1: the same usage several times is one"),
        pytest.param(
            answers(said(), said(output_tokens=6)),
            reported(input_tokens=14, output_tokens=11, total_tokens=25),
            id="n > 1: different ones are added",
        ),
        pytest.param(
            answers(said(total_cost=0)),
            Usage(usage_source=UsageSource.REPORTED, from_cache=True, usage_detail={"saved": said()}),
            id="a local cache answered",
        ),
        pytest.param(
            answers({"total_cost": 0}),
            Usage(usage_source=UsageSource.REPORTED, from_cache=True, usage_detail={"saved": {}}),
            id="a local cache answered, and nothing was said at first",
        ),
    ],
)
def test_what_a_provider_reports_lands_in_its_columns(result, expected):
    assert usage.reported(result) == expected


@pytest.mark.parametrize(
    "result",
    [
        None,
        LLMResult(generations=[]),
        answers(None),
        told({}),
        told({"token_usage": None}),
        told({"token_usage": {}}),
        told({"token_usage": {"prompt_tokens": 0, "completion_tokens": 0}}),
        told({"token_usage": "twelve"}),
        LLMResult(generations=[[Generation(text="four")]]),
    ],
)
def test_what_says_nothing_reports_nothing(result):
    assert usage.reported(result) is None


@pytest.mark.parametrize("number", [2**80, 1e300, float("inf"), float("nan"), -3, "9", True])
def test_no_number_of_a_provider_can_be_too_strange_to_be_kept(number):
    found = usage.reported(answers(said(input_tokens=number)))
    assert found is not None
    assert 0 <= found.input_tokens <= MOST_TOKENS
    assert 0 <= found.total_tokens <= 3 * MOST_TOKENS


def test_texts_for_several_prompts_count_what_is_told_with_the_first():
    """LangChain gives the usage of all prompts to the first, and an empty one to each of the others."""
    output = {"token_usage": {"prompt_tokens": 7, "completion_tokens": 5}}
    whole = LLMResult(generations=[[Generation(text="four")], [Generation(text="five")]], llm_output=output)
    assert [usage.reported(one) for one in whole.flatten()] == [reported(), reported(0, 0, 0)]


def test_an_estimate_counts_prompt_and_answer():
    of_both = usage.estimated(PROMPT, [AIMessage("There are four of them.")])
    assert of_both.usage_source is UsageSource.ESTIMATED
    assert of_both.input_tokens == GUESS.input_tokens > 0
    assert of_both.output_tokens > 0
    assert of_both.total_tokens == of_both.input_tokens + of_both.output_tokens
    assert usage.estimated(["How many?"], ["four"]).total_tokens > 0
    assert usage.estimated([], []) == Usage(usage_source=UsageSource.ESTIMATED)


def so_far(content="", **fields):
    return LLMResult(generations=[[ChatGenerationChunk(message=AIMessageChunk(content, **fields))]])


def test_a_call_that_failed_before_it_said_anything_took_nothing_that_we_know_of():
    assert usage.of_failed(PROMPT, None) == Usage()
    assert usage.of_failed(PROMPT, so_far()) == Usage()
    assert usage.of_failed(PROMPT, so_far("There")) == usage.of_cut_off(PROMPT, so_far("There"))


def test_a_call_cut_off_before_it_said_anything_took_its_prompt():
    assert usage.of_cut_off(PROMPT, None) == usage.of_cut_off(PROMPT, so_far()) == usage.estimated(PROMPT, [])


def test_a_call_cut_off_in_its_answer_is_estimated_from_the_text_so_far():
    found = usage.of_cut_off(PROMPT, so_far("There are four of"))
    assert found == usage.estimated(PROMPT, [AIMessageChunk("There are four of")])
    assert found.output_tokens > 0


@pytest.mark.parametrize(("content", "least"), [("", 1), ("There are four of them", 2)])
def test_a_call_cut_off_has_the_input_that_its_provider_counted(content, least):
    first = said(input_tokens=700, output_tokens=1, input_token_details={"cache_read": 600})
    found = usage.of_cut_off(PROMPT, so_far(content, usage_metadata=first))
    assert (found.input_tokens, found.cache_read_tokens) == (700, 600)
    assert found.output_tokens >= least
    assert found.total_tokens == 700 + found.output_tokens
    assert found.usage_source is UsageSource.ESTIMATED


def test_a_call_cut_off_while_it_asked_for_a_tool_had_said_something():
    calls = [{"name": "search", "args": '{"q": "any', "id": "c1", "index": 0}]
    found = usage.of_cut_off(PROMPT, so_far(tool_call_chunks=calls))
    assert found.usage_source is UsageSource.ESTIMATED
    assert found.input_tokens > 0


@pytest.mark.parametrize(
    ("result", "model"),
    [
        (answers(None, response_metadata={"model_name": "gpt-4o-2024-08-06"}), "gpt-4o-2024-08-06"),
        (answers(None, response_metadata={"model": "claude-sonnet-4-5"}), "claude-sonnet-4-5"),
        (answers(None, response_metadata={"model_name": "a", "model": "b"}), "a"),
        (told({"model_name": "gpt-3.5-turbo-instruct"}), "gpt-3.5-turbo-instruct"),
        (told({"model": "llama3"}), "llama3"),
        (told({}), None),
        (None, None),
    ],
)
def test_the_model_is_the_one_that_answered(result, model):
    assert usage.model_of(result) == model


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"finish_reason": "length"}, "length"),  # OpenAI
        ({"finish_reason": "MAX_TOKENS"}, "MAX_TOKENS"),  # Google
        ({"stop_reason": "end_turn", "stop_sequence": None}, "end_turn"),  # Anthropic
        ({"stopReason": "tool_use"}, "tool_use"),  # Bedrock
        ({"done_reason": "stop", "done": True}, "stop"),  # Ollama
        ({"finish_reason": None}, None),
        ({}, None),
    ],
)
def test_why_it_ended_is_as_the_provider_named_it(place, reason):
    assert usage.finish_reason(answers(None, response_metadata=place)) == reason
    assert usage.finish_reason(LLMResult(generations=[[Generation(text="4", generation_info=place)]])) == reason


@pytest.mark.parametrize(
    ("tags", "caller"),
    [
        (None, "lead_agent"),
        ([], "lead_agent"),
        (["seq:step:1", "mine"], "lead_agent"),
        (["seq:step:1", "subagent:research"], "subagent:research"),
        (["middleware:title", "subagent:research"], "middleware:title"),
        (["lead_agent", "subagent:research"], "lead_agent"),
        (["subagent", "middlewares:x", "my subagent:y"], "lead_agent"),
        ([7, None, "subagent:research"], "subagent:research"),
    ],
)
def test_the_first_tag_that_says_who_called_counts(tags, caller):
    assert usage.caller_of(tags) == caller


@pytest.mark.parametrize(
    ("checkpoint_ns", "node", "subgraph"),
    [
        (None, None, None),
        ("", None, None),
        ("agent:9f", "agent", None),
        ("research:9f|search:41", "search", "research"),
        ("plan:9f|research:9f|search:41", "search", "plan/research"),
        ("research:9f|1|search:41", "search", "research"),
        ("research|search:41", "search", "research"),
        ("research|1|search:41", "search", "research"),
        ("tools:9f|2|agent:41|3", "agent", "tools"),
    ],
)
def test_a_place_is_the_names_of_a_namespace(checkpoint_ns, node, subgraph):
    assert usage.place_of(checkpoint_ns) == (node, subgraph)
