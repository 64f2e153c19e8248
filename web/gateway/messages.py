"""Which messages the gateway dialect takes in, checked at the door."""

from typing import Any

from storage.errors import SenselessError

ROLES = frozenset({"user", "human", "assistant", "ai", "system", "developer", "tool", "remove"})
NEEDED = {"tool": "tool_call_id", "remove": "id"}
"""What a message of a role cannot do without."""


def check(values: Any, where: str) -> None:
    """Refuse a bad message in `values`, by its index. What is no list of messages only the graph can judge."""
    if isinstance(values, dict) and isinstance(messages := values.get("messages"), list):
        for index, message in enumerate(messages):
            if complaint := _complaint(message):
                raise SenselessError(f"Invalid message at {where}.messages[{index}]: {complaint}")


def _complaint(message: Any) -> str | None:
    """What is wrong with a message; None if nothing is."""
    match message:
        case str():
            return None
        case [role, str()]:
            return _about_role(role)
        case dict():
            return _about_fields(message)
        case _:
            return "expected a text, an object with role and content, or [role, text]"


def _about_fields(message: dict[str, Any]) -> str | None:
    role = message.get("role", message.get("type"))
    if complaint := _about_role(role):
        return complaint
    if role != "remove" and "content" not in message:
        return "content is missing"
    if not isinstance(message.get("content"), str | list | None):
        return "content is neither a text nor a list of blocks"
    needed = NEEDED.get(str(role))
    return f"{needed} is missing" if needed and not isinstance(message.get(needed), str) else None


def _about_role(role: Any) -> str | None:
    if role is None:
        return "role is missing"
    known = isinstance(role, str) and role in ROLES
    return None if known else f"unknown role {role!r}"
