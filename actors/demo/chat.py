"""A demo assistant: one model, a memory of the conversation, and a question back where something needs approval."""

import re
from collections.abc import Sequence
from typing import Any, Literal, NotRequired

from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

from actors.demo.library import calculate, search, sum_in
from actors.demo.model import DemoModel, Reply, pace_of

ROLE = "You are a friendly assistant. Remember what the user told you."
DECISION = "The user was asked for approval. Decision: "
NO = frozenset(("no", "n", "reject", "rejected", "deny", "denied", "decline", "declined", "cancel", "false", "ignore"))
YES = frozenset(("yes", "y", "ok", "okay", "approve", "approved", "accept", "accepted", "true"))


class Chat(MessagesState):
    decision: NotRequired[str]
    """What the user said when asked for approval; belongs to the newest turn if that needs one."""


def route(state: Chat) -> Literal["approval", "answer"]:
    return "approval" if _needs_approval(state["messages"]) else "answer"


async def approval(state: Chat) -> dict[str, Any]:
    """Pause until the user has decided."""
    answer = interrupt(
        {
            "question": "Shall I go ahead?",
            "request": _said(state["messages"])[-1],
            "options": ["approve", "reject"],
        }
    )
    return {"decision": decision_of(answer)}


async def answer(state: Chat, config: RunnableConfig) -> dict[str, Any]:
    model = DemoModel(author=converse, pace=pace_of(config))
    prompt: list[AnyMessage] = [SystemMessage(ROLE), *state["messages"]]
    if _needs_approval(state["messages"]):
        prompt.append(SystemMessage(DECISION + state.get("decision", "no decision")))
    return {"messages": [await model.ainvoke(prompt, config)]}


def decision_of(answer: Any) -> str:
    """What a resume value means: true or false, a word, or a mapping that has one of these in it."""
    if isinstance(answer, dict):
        given = (answer[key] for key in ("approved", "decision", "type", "action", "answer") if key in answer)
        return decision_of(next(given, None))
    if isinstance(answer, list) and len(answer) == 1:
        return decision_of(answer[0])
    word = str(answer).strip().lower()
    if word in YES:
        return "approved"
    if word in NO or answer is None:
        return "rejected"
    return str(answer)


def converse(prompt: Sequence[BaseMessage]) -> Reply:
    """The author of the answers: the decision if there was one, then the newest message, then the memory."""
    *earlier, newest = _said(prompt) or [""]
    remarks = [_on_decision(prompt, newest) or _on_message(newest, earlier), _on_memory(earlier)]
    return Reply("\n\n".join(filter(None, remarks)))


def _on_decision(prompt: Sequence[BaseMessage], request: str) -> str:
    if not prompt or not prompt[-1].text.startswith(DECISION):
        return ""
    what = f"“{_short(request)}”"
    match prompt[-1].text.removeprefix(DECISION):
        case "approved":
            return f"Thank you. You approved it, so I went ahead: {what} is done."
        case "rejected":
            return f"Understood. You did not approve it, so I left everything as it is: {what} is not done."
        case other:
            return f"You neither approved nor rejected it. You said “{_short(other)}”, so I wait with {what}."


def _on_message(newest: str, earlier: list[str]) -> str:
    if not newest:
        return "Hello! I am Treadle's demo assistant. Tell me something, and I will remember it."
    if name := _name_in(newest):
        return f"Nice to meet you, {name}. I will remember your name."
    if re.search(r"\bmy name\b", newest, re.IGNORECASE):
        names = [name for text in earlier if (name := _name_in(text))]
        return f"Your name is {names[-1]}." if names else "You have not told me your name yet."
    if expression := sum_in(newest):
        return f"{expression} = {calculate.invoke({'expression': expression})}"
    found = search.invoke({"query": newest}).splitlines()[0]
    if found.startswith("["):
        return f"I know something about that. {found.partition('] ')[2]}"
    return (
        f"You said: “{_short(newest)}”. I am a demo without a language model behind me, so that is all I can make of "
        "it. Ask me about Ray, tides or coffee, give me a sum such as 12 * 7, or write “approve” to see me ask back."
    )


def _on_memory(earlier: list[str]) -> str:
    if not earlier:
        return ""
    times = "one message" if len(earlier) == 1 else f"{len(earlier)} messages"
    return f"I remember {times} before this one. The last was “{_short(earlier[-1])}”."


def _needs_approval(messages: Sequence[BaseMessage]) -> bool:
    said = _said(messages)
    return bool(said) and "approve" in said[-1].lower()


def _said(messages: Sequence[BaseMessage]) -> list[str]:
    return [message.text for message in messages if isinstance(message, HumanMessage)]


def _name_in(text: str) -> str | None:
    found = re.search(r"\bmy name is (\w+)", text, re.IGNORECASE)
    return found and found[1]


def _short(text: str, longest: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[:longest].rstrip()}…"


graph = (
    StateGraph(Chat)
    .add_node(approval)
    .add_node(answer)
    .add_conditional_edges(START, route)
    .add_edge("approval", "answer")
    .add_edge("answer", END)
    .compile(name="chat")
)
