"""What can be set about the web, read from the environment once, at the start."""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct, convert

MEBIBYTE = 1024 * 1024


class Settings(Struct, frozen=True, kw_only=True):
    body_limit: int = 300 * MEBIBYTE
    """Bytes of a request's body; a larger one is answered 413."""
    mask_errors: bool = False
    """Whether the texts of user code's errors are hidden, for servers whose callers are strangers."""
    default_assistant: str | None = None
    """Assistant of gateway requests that name none. Unset, it is the only graph there is."""
    platform_heartbeat: float = 5.0
    """Seconds of silence after which the Platform dialect sends a heartbeat."""
    gateway_heartbeat: float = 15.0
    """Seconds of silence after which the gateway dialect sends a heartbeat."""

    run_timeout: float = 86_400.0
    """Seconds of execution that an attempt of a run may take; then it ends with the status `timeout`."""
    max_waiting: int = 100
    """Runs that may wait on one thread; the next one is answered 429, and nothing is admitted."""
    cancel_grace: float = 5.0
    """Seconds a cancelled run has to stop by itself, before its process is ended."""

    environment: str | None = None
    """What rows about runs and model calls say of where this is, such as `production`."""
    release: str | None = None
    """What they say of which version of the graphs this is."""
    prices: str | None = None
    """A JSON file of own prices, and of names of providers; see `storage/USAGE.md`."""
    webhook_allow_local: bool = False
    """Whether webhooks may go to this machine and to private addresses, which those who are outside cannot reach."""
    tape_hours: float = 24.0
    """Hours for which what a run has said can be replayed after it was said."""
    tape_run_bytes: int = 64 * MEBIBYTE
    """Bytes that are kept of one run's stream, compressed; beyond them its beginning is forgotten."""
    tape_bytes: int = 4096 * MEBIBYTE
    """Bytes that are kept of all streams, compressed; beyond them the oldest are forgotten."""

    max_connections: int | None = None
    """That a gateway keeps open at a time; the next is answered 503. None is as many as the system lets it."""

    @classmethod
    def from_env(cls, env: Mapping[str, str], prefix: str = "TREADLE_") -> Self:
        """The settings that `env` names, as `TREADLE_BODY_LIMIT` and so on; the others keep their defaults."""
        given = {name: env[key] for name in cls.__struct_fields__ if (key := prefix + name.upper()) in env}
        return convert(given, cls, strict=False)
