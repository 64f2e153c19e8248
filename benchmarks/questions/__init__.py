"""The questions, a file each: its docstring is the question, its `ask` finds the answer. A new one is a new file.

A file may also say whom the question is asked of: `BESIDE`, the subjects beside Treadle; `NEEDS`, the Treadle that it
wants; and `BY_NAME_ONLY`, that it takes too long for everybody.
"""

import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from msgspec import Struct

from benchmarks.figures import Figure
from benchmarks.load import Plan
from benchmarks.servers import Needs, Pool

NAMES = [module.name for module in pkgutil.iter_modules(__path__)]


class Question(Struct, frozen=True):
    name: str
    text: str
    ask: Callable[[Any, Plan], Awaitable[list[Figure]]]
    """Takes a Subject; a Server, if it is asked of nobody but servers."""
    beside: tuple[str, ...]
    """Subjects other than Treadle that are asked."""
    needs: Pool | Needs
    by_name_only: bool


def question(name: str) -> Question:
    module = import_module(f"{__name__}.{name}")
    return Question(
        name=name,
        text=" ".join((inspect.getdoc(module) or name).split()),
        ask=module.ask,
        beside=getattr(module, "BESIDE", ()),
        needs=getattr(module, "NEEDS", Needs.ANY),
        by_name_only=getattr(module, "BY_NAME_ONLY", False),
    )
