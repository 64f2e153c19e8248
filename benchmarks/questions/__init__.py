"""The questions, a file each: its docstring is the question, its `ask` finds the answer. A new one is a new file."""

import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from importlib import import_module

from msgspec import Struct

from benchmarks.figures import Figure
from benchmarks.load import Plan
from benchmarks.subject import Subject

NAMES = [module.name for module in pkgutil.iter_modules(__path__)]


class Question(Struct, frozen=True):
    name: str
    text: str
    ask: Callable[[Subject, Plan], Awaitable[list[Figure]]]


def question(name: str) -> Question:
    module = import_module(f"{__name__}.{name}")
    return Question(name, " ".join((inspect.getdoc(module) or name).split()), module.ask)
