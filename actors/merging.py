"""A run as it is executed: what the client sent, over its thread, over its assistant. Pure."""

from typing import Any

from msgspec.structs import replace

from storage.records import Assistant, Dialect, Run, RunRequest, Thread

RECURSION_LIMIT = {Dialect.PLATFORM: 10011, Dialect.GATEWAY: 100}
"""Supersteps of a run whose client, thread and assistant say nothing of it."""


def merged(run: Run, assistant: Assistant, thread: Thread, *, is_new: bool) -> Run:
    """The run with all that its assistant and its thread say, later ones winning (`spec/platform.md` §3)."""
    metadata = {
        **assistant.metadata,
        **thread.metadata,
        **run.request.config.get("metadata", {}),
        **run.metadata,
        "assistant_id": assistant.assistant_id,
    }
    request = _request(run, assistant, thread)
    return replace(run, metadata=metadata, request=replace(request, temporary=request.temporary and is_new))


def stored_thread(thread: Thread, run: Run) -> Thread:
    """The thread as the admission of `run` leaves it, as far as other runs are merged with it."""
    return replace(thread, metadata={**thread.metadata, "graph_id": run.graph_id, "assistant_id": run.assistant_id})


def replaced_in(thread: Thread) -> dict[str, Any]:
    """What `stored_thread` replaces; None where there is nothing."""
    return {name: thread.metadata.get(name) for name in ("graph_id", "assistant_id")}


def _request(run: Run, assistant: Assistant, thread: Thread) -> RunRequest:
    request = run.request
    configurable = {
        **_configurable(assistant.config),
        **assistant.context,
        **_configurable(thread.config),
        **_configurable(request.config),
    }
    limit = {"recursion_limit": RECURSION_LIMIT[run.dialect]}
    config = {**limit, **assistant.config, **thread.config, **request.config, "configurable": configurable}
    return replace(request, config=config, context={**assistant.context, **request.context})


def _configurable(config: dict[str, Any]) -> dict[str, Any]:
    return config.get("configurable") or {}
