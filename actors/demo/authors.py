"""What the members of the research team say: pure functions from a prompt to a reply."""

import re
from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from actors.demo.library import PASSAGES, key_words, sum_in
from actors.demo.model import Call, Reply

MOST_WORDS = 8
"""Key words of a question that the team goes after."""


def plan(prompt: Sequence[BaseMessage]) -> Reply:
    """The lead, before the work: who does what."""
    question = _question(prompt)
    words = _quoted(_topics(question)) or "what the question is about"
    task = f"work out {expression} and " if (expression := sum_in(question)) else ""
    return Reply(
        "Here is my plan:\n\n"
        f"1. The **librarian** searches the library for {words}.\n"
        f"2. At the same time the **analyst** will {task}check how much of the question the library covers.\n"
        "3. I put together what they found and write the answer.\n"
    )


def librarian(prompt: Sequence[BaseMessage]) -> Reply:
    """Searches for everything at once and for the first word alone, then reports what was found."""
    topics = _topics(_question(prompt))
    if found := _results(prompt):
        passages = [line for result in found for line in result.splitlines() if line.startswith("[")]
        return Reply("\n".join(dict.fromkeys(passages)) or "The library has nothing on this.")
    if not topics:
        return Reply("The question has no words to search for.")
    queries = dict.fromkeys((" ".join(topics), topics[0]))
    return Reply(f"I search for {_quoted(topics)}.", tuple(Call("search", {"query": query}) for query in queries))


def analyst(prompt: Sequence[BaseMessage]) -> Reply:
    """Asks which words are known, then works out their share and the sum in the question, then reports."""
    question = _question(prompt)
    topics, expression, results = _topics(question), sum_in(question), _results(prompt)
    sums = [expression] if expression else []
    if not results and topics:
        return Reply("First I ask what the library knows.", (Call("known_words", {"words": topics}),))
    known = [word for word in topics if results and word in results[0].split(", ")]
    wanted = [*sums, *([f"100 * {len(known)} / {len(topics)}"] if topics else [])]
    answers = results[1:] if topics else results
    if len(answers) < len(wanted):
        return Reply("Now the figures.", tuple(Call("calculate", {"expression": one}) for one in wanted))
    lines = [f"{one} = {answer}" for one, answer in zip(sums, answers, strict=False)]
    if topics:
        lines.append(f"The library covers {len(known)} of {len(topics)} key words ({float(answers[-1]):.0f} %).")
    return Reply("\n".join(lines) or "There is nothing to work out.")


def condense(prompt: Sequence[BaseMessage]) -> Reply:
    """The summary: of each line of the findings, the first two sentences."""
    lines = [line for line in _question(prompt).splitlines() if line]
    return Reply("\n".join(" ".join(re.split(r"(?<=[.!?])\s", line)[:2]) for line in lines))


def conclude(prompt: Sequence[BaseMessage]) -> Reply:
    """The lead, after the work: the answer, from the question and the notes."""
    question, notes = [message.text for message in prompt if isinstance(message, HumanMessage)][-2:]
    lines = notes.splitlines()
    sums = [f"**{line}**" for line in lines if re.match(r"[\d(].* = ", line)]
    facts = [re.sub(r"^\[(.+?)\] ", r"- **\1.** ", line) for line in lines if line.startswith("[")]
    cover = [line for line in lines if line.startswith("The library covers")]
    if not facts and not sums:
        facts = [f"I found nothing on this in my small library. It has pages on {', '.join(PASSAGES)}."]
    return Reply("\n\n".join([f"## {_title(question)}", *sums, "\n".join(facts), *cover]).strip())


def _question(prompt: Sequence[BaseMessage]) -> str:
    return next((message.text for message in reversed(prompt) if isinstance(message, HumanMessage)), "")


def _topics(question: str) -> list[str]:
    return key_words(question)[:MOST_WORDS]


def _results(prompt: Sequence[BaseMessage]) -> list[str]:
    return [message.text for message in prompt if isinstance(message, ToolMessage)]


def _quoted(words: list[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)


def _title(question: str) -> str:
    words = question.split()
    return " ".join(words[:12]) + (" …" if len(words) > 12 else "") if words else "Answer"  # noqa: PLR2004 - one line
