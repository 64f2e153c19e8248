"""Everything a caller may be told went wrong, by kind: what can the caller do about it?

    ServiceError
    ├── NotFoundError       ask for something else
    │   ├── ThreadNotFoundError
    │   ├── RunNotFoundError
    │   └── AssistantNotFoundError
    ├── ConflictError       change the thing's state first
    │   ├── ThreadExistsError
    │   └── RunExistsError
    ├── InvalidError        the request is malformed
    ├── SenselessError      the request is well formed, and means nothing here
    ├── UnsupportedError    the request is sound, and this server cannot do it
    ├── TooLargeError       ask for less
    ├── UnavailableError    try again in a moment; nothing was admitted
    ├── StaleError          an actor that no longer holds its thread tried to write
    └── DamagedError        a file of what is kept is broken; whoever keeps it has to see to it

Leaves that belong to a part live beside it. Each class's docstring is its message when none is given.
All of them cross process borders by pickle, so each takes exactly one string.
"""


class ServiceError(Exception):
    """Something went wrong."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or type(self).__doc__)


class NotFoundError(ServiceError):
    """There is no such thing."""


class ThreadNotFoundError(NotFoundError):
    """The detail is the thread's id; each dialect has a text of its own."""


class RunNotFoundError(NotFoundError):
    """The detail is the run's id; each dialect has a text of its own."""


class AssistantNotFoundError(NotFoundError):
    """The detail is the assistant's id or name; each dialect has a text of its own."""


class ConflictError(ServiceError):
    """The thing exists, but not in a state that allows this."""


class ThreadExistsError(ConflictError):
    """The detail is the thread's id."""


class RunExistsError(ConflictError):
    """A run of this id has ended, or is another thread's. The detail is the id."""


class InvalidError(ServiceError):
    """The request is malformed."""


class SenselessError(ServiceError):
    """The request is well formed, but makes no sense here."""


class UnsupportedError(ServiceError):
    """This server cannot do that."""


class TooLargeError(ServiceError):
    """What was asked for is larger than it may be."""


class UnavailableError(ServiceError):
    """The server cannot take this now. Nothing was admitted; try again."""


class StaleError(ServiceError):
    """Another actor holds this thread now; nothing was written."""


class DamagedError(ServiceError):
    """A file of what is kept is broken. The detail names it."""
