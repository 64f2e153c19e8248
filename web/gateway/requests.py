"""From a body of the gateway dialect to what a run is asked to do."""

from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from storage.errors import SenselessError
from storage.records import Durability, RunRequest, StreamMode
from web import bodies
from web.bodies import Checkpoint
from web.gateway import messages
from web.gateway.schemas import GatewayConfig, RunCreateRequest

MODES = {mode.value: mode for mode in StreamMode} | {"messages": StreamMode.MESSAGES_TUPLE}
"""Two names for one mode: the accumulated form of messages is the Platform dialect's."""

OWN_KEYS = frozenset({"thread_id", "run_id"})
"""Keys that the server sets; what a client says there is not heard."""


def check_form(body: RunCreateRequest) -> None:
    """Refuse fields of a wrong form."""
    bodies.stream_modes(bodies.names_in(body.stream_mode), MODES)
    bodies.checkpoint_in(_configurable(body))


def run_request(body: RunCreateRequest, sent: Mapping[str, Any], thread_id: str) -> RunRequest:
    """What the run is asked to do. Refuses what is of the right form and makes no sense."""
    checkpoint = body.checkpoint or Checkpoint()
    _check_sense(body, checkpoint, thread_id)
    config = body.config or GatewayConfig()
    configurable, context = _mirrored(config, body.context)
    return RunRequest(
        input=body.input,
        command=bodies.command_of(body.command),
        config={**_without_context(config), "configurable": configurable},
        context=context,
        stream_modes=bodies.stream_modes(bodies.names_in(body.stream_mode), MODES) or (StreamMode.VALUES,),
        subgraphs=body.stream_subgraphs,
        interrupt_before=body.interrupt_before,
        interrupt_after=body.interrupt_after,
        checkpoint=bodies.start(checkpoint, body.checkpoint_id, bodies.checkpoint_in(_configurable(body))),
        durability=_durability(body),
        on_disconnect=body.on_disconnect,
        resumable=bool(body.stream_resumable),
        feedback_keys=body.feedback_keys,
        webhook=body.webhook,
        temporary=body.on_completion == "delete",
        sent=bodies.shown(body, sent, OWN_KEYS),
    )


def _check_sense(body: RunCreateRequest, checkpoint: Checkpoint, thread_id: str) -> None:
    if checkpoint.thread_id not in (None, thread_id):
        raise SenselessError("checkpoint thread_id does not match request thread_id")
    if len({checkpoint.checkpoint_id, body.checkpoint_id} - {None}) > 1:
        raise SenselessError("checkpoint and checkpoint_id name different checkpoints")
    command = bodies.command_of(body.command)
    if command and body.input:
        raise SenselessError("input and command cannot be sent together")
    messages.check(body.input, "input")
    messages.check((command or {}).get("update"), "command.update")


def _mirrored(config: GatewayConfig, given: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configurable and context: a key of one can be read in the other, and where they disagree each keeps its own."""
    configurable = bodies.without(OWN_KEYS.union(bodies.CHECKPOINT_KEYS), config.configurable)
    context = {**bodies.without(OWN_KEYS, given), **bodies.without(OWN_KEYS, config.context)}
    return {**context, **configurable}, {**configurable, **context}


def _configurable(body: RunCreateRequest) -> Mapping[str, Any]:
    return (body.config and body.config.configurable) or {}


def _without_context(config: GatewayConfig) -> dict[str, Any]:
    return {key: value for key, value in to_builtins(config).items() if key != "context"}


def _durability(body: RunCreateRequest) -> Durability:
    if body.durability is None and body.checkpoint_during is not None:
        return Durability.ASYNC if body.checkpoint_during else Durability.EXIT
    return body.durability or Durability.ASYNC
