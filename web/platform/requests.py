"""From a body of the Platform dialect to what a run is asked to do."""

from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from storage.errors import SenselessError
from storage.records import Durability, OnDisconnect, RunRequest, StreamMode
from web import bodies
from web.bodies import Checkpoint, Config
from web.platform import ids
from web.platform.schemas import RunCreate

MODES = {mode.value: mode for mode in StreamMode}

OWN_METADATA = frozenset({"thread_id", "assistant_id", "run_id", "cron_id"})
OWN_KEYS = frozenset({"thread_id", "run_id", "graph_id", "assistant_id"})
"""Keys that the server sets; what a client says there is not heard."""


def metadata_of(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (given or {}).items() if key not in OWN_METADATA}


def run_request(body: RunCreate, sent: Mapping[str, Any], *, temporary: bool = False) -> RunRequest:
    """What the run is asked to do. Fields of a wrong form are refused here, before anybody asks who is meant."""
    _check(body)
    config = body.config or Config()
    named = bodies.checkpoint_in(config.configurable or {})
    configurable, context = _mirrored(config, body.context)
    return RunRequest(
        input=body.input,
        command=bodies.command_of(body.command),
        config={**to_builtins(config), "configurable": configurable},
        context=context,
        stream_modes=_modes(body),
        subgraphs=bool(body.stream_subgraphs),
        interrupt_before=body.interrupt_before,
        interrupt_after=body.interrupt_after,
        checkpoint=bodies.start(body.checkpoint or Checkpoint(), body.checkpoint_id, named),
        durability=_durability(body),
        on_disconnect=body.on_disconnect or OnDisconnect.CONTINUE,
        resumable=bool(body.stream_resumable),
        feedback_keys=body.feedback_keys,
        webhook=body.webhook,
        temporary=temporary,
        sent=bodies.shown(body, sent, OWN_KEYS),
    )


def _check(body: RunCreate) -> None:
    bodies.refuse(
        langsmith_tracer=body.langsmith_tracer is not None,
    )
    if body.checkpoint_id:
        ids.check("checkpoint", body.checkpoint_id)


def _mirrored(config: Config, given: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configurable and context: each says the same, and only one of them may be sent."""
    configurable = bodies.without(OWN_KEYS.union(bodies.CHECKPOINT_KEYS), config.configurable)
    context = bodies.without(OWN_KEYS, given)
    if configurable and context:
        raise SenselessError(
            "Cannot specify both configurable and context. Prefer setting context alone. Context was introduced in "
            "LangGraph 0.6.0 and is the long term planned replacement for configurable."
        )
    return configurable or context, context or configurable


def _modes(body: RunCreate) -> tuple[StreamMode, ...]:
    """The modes that were asked for. Of the two forms of messages the tuple wins."""
    modes = bodies.stream_modes(bodies.names_in(body.stream_mode), MODES) or (StreamMode.VALUES,)
    if StreamMode.MESSAGES_TUPLE in modes:
        return tuple(mode for mode in modes if mode is not StreamMode.MESSAGES)
    return modes


def _durability(body: RunCreate) -> Durability:
    if body.durability is None and body.checkpoint_during is not None:
        return Durability.ASYNC if body.checkpoint_during else Durability.EXIT
    return body.durability or Durability.ASYNC
