"""What the bodies of both dialects share, and how it is read: strictly, obeyed or refused, never dropped."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from litestar import Request
from msgspec import Meta, Struct, ValidationError, convert, to_builtins

from storage.records import StreamMode
from web.errors import wrong

B = TypeVar("B", bound=Struct)

LONGEST_DELAY = 31_536_000
"""Seconds in a year."""

Seconds = Annotated[float, Meta(ge=0, le=LONGEST_DELAY)]

CHECKPOINT_KEYS = ("checkpoint_id", "checkpoint_ns", "checkpoint_map")


class SendTo(Struct, frozen=True):
    """A node to go to, with an input of its own."""

    node: str
    input: Any = None


class Command(Struct, frozen=True, omit_defaults=True):
    """LangGraph's Command."""

    resume: Any = None
    update: dict[str, Any] | list[tuple[str, Any]] | None = None
    goto: str | SendTo | list[str | SendTo] | None = None


class Config(Struct, frozen=True, omit_defaults=True):
    """LangChain's RunnableConfig, as far as a client may set it."""

    configurable: dict[str, Any] | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    recursion_limit: Annotated[int, Meta(ge=1)] | None = None
    max_concurrency: Annotated[int, Meta(ge=1)] | None = None
    run_name: str | None = None


class Checkpoint(Struct, frozen=True):
    """Where a run starts from."""

    checkpoint_id: str | None = None
    checkpoint_ns: str | None = None
    checkpoint_map: dict[str, Any] | None = None
    thread_id: str | None = None


async def strictly(request: Request[Any, Any, Any], body: B) -> tuple[B, dict[str, Any]]:
    """The body once more, and as it was sent. Litestar reads it leniently: to it "5" is a number and "null" a null."""
    sent = await request.json()
    try:
        return convert(sent, type(body)), sent
    except ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise wrong(path.strip("`").lstrip(".") or "data", message) from error


def refuse(**fields: object) -> None:
    """Refuse fields whose work this server cannot do yet, if they ask for any."""
    for name, value in fields.items():
        if value:
            raise wrong(name, f"{name} is not supported yet")


def stream_modes(
    names: Iterable[str], known: Mapping[str, StreamMode], field: str = "stream_mode", source: str = "body"
) -> tuple[StreamMode, ...]:
    """The modes of these names, in order and without repeats."""
    asked = list(names)
    for name in asked:
        if name not in known:
            raise wrong(field, f"Unknown stream mode {name!r}; known are {', '.join(known)}", source)
    return tuple(dict.fromkeys(known[name] for name in asked))


def names_in(given: str | list[str] | None) -> list[str]:
    """A field that takes a name or a list of them; an empty text is none."""
    return ([given] if given else []) if isinstance(given, str) else given or []


def command_of(command: Command | None) -> dict[str, Any] | None:
    """What of a command was given; None for an empty one."""
    return (to_builtins(command) or None) if command else None


def checkpoint_in(configurable: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint that a configurable names, as older clients do it."""
    named = {key: configurable[key] for key in CHECKPOINT_KEYS if key in configurable}
    try:
        return convert(named, Checkpoint)
    except ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise wrong(f"config.configurable{path.strip('`')}", message) from error


def start(checkpoint: Checkpoint, checkpoint_id: str | None, otherwise: Checkpoint) -> dict[str, Any] | None:
    """Where a run starts, the first that says so winning; None is the newest checkpoint."""
    if not (found := checkpoint.checkpoint_id or checkpoint_id or otherwise.checkpoint_id):
        return None
    namespace = otherwise.checkpoint_ns if checkpoint.checkpoint_ns is None else checkpoint.checkpoint_ns
    others = {"checkpoint_ns": namespace, "checkpoint_map": checkpoint.checkpoint_map or otherwise.checkpoint_map}
    return {"checkpoint_id": found, **{key: value for key, value in others.items() if value is not None}}


def without(owned: frozenset[str], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of a configurable or context is the client's to say; `owned` and private keys are the server's."""
    private = ("langgraph_auth_", "__")
    return {key: value for key, value in (given or {}).items() if key not in owned and not key.startswith(private)}


def shown(body: Struct, sent: Mapping[str, Any], owned: frozenset[str]) -> dict[str, Any]:
    """The known fields as they were sent, without the input and without what is the server's to say."""
    kept = {name: sent[name] for name in body.__struct_fields__ if name in sent and name != "input"}
    kept = {name: without(owned, value) if name == "context" and value else value for name, value in kept.items()}
    if config := kept.get("config"):
        inner = {key: without(owned, config[key]) for key in ("configurable", "context") if config.get(key)}
        kept["config"] = {**config, **inner}
    return kept
