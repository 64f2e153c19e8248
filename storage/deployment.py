"""What rows say of the server that wrote them. Imports nothing of ours."""

from msgspec import Struct


class Deployment(Struct, frozen=True):
    environment: str | None = None
    """Such as `production`."""
    release: str | None = None
    """Which version of the graphs was running."""


UNSAID = Deployment()
