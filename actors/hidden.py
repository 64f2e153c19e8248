"""Modules that others import if they are there, and can do without. A slot is a process, and there are many of them."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_modules: dict[str, Any] = sys.modules


def hide(name: str) -> None:
    """Who imports it from here on is told that there is none, unless it was imported before."""
    _modules.setdefault(name, None)


def show(name: str) -> None:
    """From here on it can be imported."""
    if _modules.get(name, name) is None:
        del _modules[name]


@contextmanager
def hiding(name: str) -> Generator[None, None, None]:
    hide(name)
    try:
        yield
    finally:
        show(name)
