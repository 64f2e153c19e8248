"""A run's context, as the schema of its graph takes it. Pure.

Clients may send a key in `configurable` and read it in the context, and the other way round. What only came
over from there is left out where a schema does not declare it; what was sent as context is never left out,
so that the graph itself refuses what it does not know (`spec/gateway.md` §3.2).
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from storage.records import Dialect, Run


def fitting(run: Run, schema: Any) -> dict[str, Any] | None:
    """The context for a graph with this `context_schema`; None when there is nothing to say."""
    context = run.request.context
    declared = _declared(schema)
    if declared is None:
        identity = {"thread_id": run.thread_id, "run_id": run.run_id} if run.dialect is Dialect.GATEWAY else {}
        return {**context, **identity} or None
    came_over = _configurable(run) - _sent(run)
    return {key: value for key, value in context.items() if key in declared or key not in came_over} or None


def complaint(run: Run, schema: Any) -> str | None:
    """What is wrong with the context, which LangGraph hands to a schema that is a class as it stands."""
    context = fitting(run, schema)
    is_class = is_dataclass(schema) or hasattr(schema, "model_fields")
    if not context or not is_class:
        return None
    make: Any = schema
    try:
        make(**context)
    except Exception as error:  # noqa: BLE001 - the class is the user's
        return str(error)
    return None


def _declared(schema: Any) -> set[str] | None:
    """The names that a schema knows; None when it takes any."""
    if schema is None:
        return None
    if is_dataclass(schema):
        return {field.name for field in fields(schema)}
    return set(getattr(schema, "model_fields", None) or getattr(schema, "__annotations__", {})) or None


def _configurable(run: Run) -> set[str]:
    return set(run.request.config.get("configurable") or ())


def _sent(run: Run) -> set[str]:
    """The keys that the client sent as context, by either of the two ways."""
    config = run.request.sent.get("config")
    inner = config.get("context") if isinstance(config, Mapping) else None
    return set(run.request.sent.get("context") or ()) | set(inner or ())
