"""Modules that are hidden are as if they were not installed, and come back."""

import sys
from importlib import import_module

import pytest

from actors import hidden


def test_a_hidden_module_is_not_found_until_it_is_shown(monkeypatch):
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with hidden.hiding("this"), pytest.raises(ModuleNotFoundError):
        import_module("this")
    with hidden.hiding("antigravity"):
        pass
    assert "this" not in sys.modules
    assert "antigravity" not in sys.modules


def test_one_that_is_there_stays():
    with hidden.hiding("sys"):
        assert sys.modules["sys"] is sys
    assert sys.modules["sys"] is sys


def test_showing_what_was_not_hidden_does_nothing():
    hidden.show("sys")
    hidden.show("no such module")
    assert sys.modules["sys"] is sys
    assert "no such module" not in sys.modules
