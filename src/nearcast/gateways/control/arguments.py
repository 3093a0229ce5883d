"""Reading the arguments of a control request: each has one type, and nothing else gets through."""

from pathlib import Path
from typing import Any

from nearcast.errors import UsageError
from nearcast.naming.link import Link, parse_link

Arguments = dict[str, Any]


def text(arguments: Arguments, name: str, default: str | None = None) -> str:
    """Raises UsageError when it is missing and has no default, or is no text."""
    value = arguments.get(name, default)
    if not isinstance(value, str):
        raise UsageError(f"{name!r} must be a text")
    return value


def flag(arguments: Arguments, name: str) -> bool:
    """False when it is missing."""
    value = arguments.get(name, False)
    if not isinstance(value, bool):
        raise UsageError(f"{name!r} must be true or false")
    return value


def count(arguments: Arguments, name: str) -> int:
    """A number of bytes, not negative."""
    value = arguments.get(name)
    if type(value) is not int or value < 0:
        raise UsageError(f"{name!r} must be a number that is not negative")
    return value


def path(arguments: Arguments, name: str) -> Path:
    """An absolute path: the command that sends it may stand in another folder than the node."""
    value = Path(text(arguments, name))
    if not value.is_absolute():
        raise UsageError(f"{name!r} must be an absolute path")
    return value


def link(arguments: Arguments, name: str) -> Link:
    """A link or a CID with a path."""
    return parse_link(text(arguments, name))


def links(arguments: Arguments, name: str) -> list[Link]:
    """A list of links."""
    value = arguments.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{name!r} must be a list of texts")
    return [parse_link(item) for item in value]
