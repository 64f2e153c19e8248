"""A small library to look things up in, and a pocket calculator: the tools of the demo assistants."""

import ast
import operator
import re
from collections.abc import Callable

from langchain_core.tools import tool

PASSAGES = {
    "Actors": (
        "An actor is a small program with a mailbox. It takes one message at a time, so its state needs no lock, and "
        "the order of its mailbox is the order of its decisions. Actors share nothing, and meet only through "
        "messages."
    ),
    "Ray": (
        "Ray runs Python functions and classes on many cores and many machines. A class becomes an actor: a process "
        "of its own, which other processes call by a handle. When a machine is lost, its actors can be started "
        "elsewhere."
    ),
    "LangGraph": (
        "LangGraph describes an agent as a graph: nodes are steps, edges say what comes next, and the state travels "
        "along. After every step it can write a checkpoint. A node may be a whole graph itself."
    ),
    "Checkpoints": (
        "A checkpoint is the state of a graph after a step. From a checkpoint an agent can resume after a crash, wait "
        "for a human, or be sent down another path."
    ),
    "Streaming": (
        "Server-sent events carry text from a server to a browser over one long HTTP response. Each event can have an "
        "id, and a client that lost its connection asks for what came after the last id it saw. Proxies see nothing "
        "but a slow download."
    ),
    "DuckDB": (
        "DuckDB is an analytical database inside a process. It stores tables by column, which makes sums over "
        "millions of rows fast, and it reads and writes Parquet files. No server is needed."
    ),
    "Tokens": (
        "Language models read and write tokens, which are pieces of words. Providers bill input and output tokens "
        "apart, and output tokens usually cost more."
    ),
    "Looms": (
        "A loom holds the warp under tension while the weft is passed through it. On a treadle loom the weaver's feet "
        "raise the warp threads, so that both hands are free for the shuttle. Punched cards for patterns came in "
        "1804, with Jacquard."
    ),
    "Tides": (
        "The tides follow the moon, and the sun to a smaller degree. Most coasts see two high waters in a little less "
        "than 25 hours. The highest come at new and at full moon."
    ),
    "Coffee": (
        "Coffee is brewed from the roasted seeds of a tropical shrub. A common recipe takes 60 grams of ground coffee "
        "for a litre of water. Water just below boiling takes the flavour out best."
    ),
    "Bees": (
        "A honey bee tells its hive where food is by dancing. The angle of the dance shows the direction from the "
        "sun, and its length the distance. Other bees follow the dance in the dark."
    ),
    "Bread": (
        "Bread rises because yeast turns sugar into carbon dioxide, and gluten keeps the bubbles in the dough. "
        "Sourdough uses wild yeast together with bacteria that make it sour."
    ),
    "Sleep": (
        "Adults are advised to sleep at least seven hours a night. Sleep runs in cycles of about 90 minutes, and "
        "dreams are most vivid near the end of each."
    ),
    "Light": (
        "Light travels at 299792 kilometres per second in a vacuum. From the sun it needs a little more than eight "
        "minutes to reach the earth."
    ),
}

BEST = 2
"""How many passages a search gives at most."""

IN_TITLE = 3
"""How much more a word counts in a title than in the text."""

LONGEST = 200
"""Characters that the calculator takes at most, so that nothing typed into it can keep it busy."""

_EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        about after again all and another any are ask before being best better between both but can could did
        does each explain find for from give had has have her his how into its just know like make many more
        most much need not our out over please question research say should some tell than that the their them
        then there these they thing this those through use used using very want was way were what when where
        which who whom why will with work works would write you your
        """,
    )
)
_NUMBER = r"\d+(?:\.\d+)?"
_SUM = re.compile(rf"\(*{_NUMBER}\)*(?:(?:\s*[+*/×÷^]\s*|\s+-\s+)\(*{_NUMBER}\)*)+")  # noqa: RUF001 - both are what people type
_OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


@tool
def search(query: str) -> str:
    """Search the library. Gives the passages that fit best, one a line, each with its title in brackets."""
    wanted = _stems(query)
    scores = {
        title: IN_TITLE * len(wanted & _stems(title)) + len(wanted & _stems(text)) for title, text in PASSAGES.items()
    }
    enough = max(1, *scores.values()) / 2  # a passage that shares only some common word would look out of place
    best = sorted((title for title in scores if scores[title] >= enough), key=lambda title: -scores[title])[:BEST]
    return "\n".join(f"[{title}] {PASSAGES[title]}" for title in best) or "Nothing found."


@tool
def known_words(words: list[str]) -> str:
    """Tell which of these words the library has anything about, separated by commas."""
    everything = _stems(" ".join([*PASSAGES, *PASSAGES.values()]))
    return ", ".join(word for word in words if _stems(word) & everything) or "none"


@tool
def calculate(expression: str) -> str:
    """Work out an arithmetic expression, such as (3 + 4) * 2."""
    try:
        value = float(_value(ast.parse(expression[:LONGEST], mode="eval").body))  # refuses complex numbers
    except (SyntaxError, ValueError, TypeError, ArithmeticError):
        return f"{expression[:LONGEST]} cannot be worked out."
    return f"{value:.10g}"


def key_words(text: str) -> list[str]:
    """The words that carry the meaning, in order and once each."""
    words = re.findall(r"[^\W\d_]{3,}", text.lower())
    return list(dict.fromkeys(word for word in words if word not in _EMPTY_WORDS))


def sum_in(text: str) -> str | None:
    """The first arithmetic expression in the text, as the calculator takes it."""
    found = _SUM.search(text)
    return found and found[0].replace("×", "*").replace("÷", "/").replace("^", "**")  # noqa: RUF001 - as above


def _stems(text: str) -> set[str]:
    """The key words in the singular, as far as an s tells."""
    return {word.removesuffix("s") for word in key_words(text)}


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case _:
            raise ValueError("not arithmetic")
