"""Parts of a JSON object, by the paths that clients name: `values.messages`. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any


def selected_paths(whole: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """An object with what lies at `paths`, each where it was; a path that leads nowhere is left out."""
    part: dict[str, Any] = {}
    for path in paths:
        _take(whole, part, path.split("."))
    return part


def _take(source: Mapping[str, Any], target: dict[str, Any], steps: list[str]) -> None:
    step, *rest = steps
    if step not in source:
        return
    if not rest:
        target[step] = source[step]
    elif isinstance(source[step], Mapping):
        inner = target.setdefault(step, {})
        if inner is not source[step]:  # taken as a whole already
            _take(source[step], inner, rest)
