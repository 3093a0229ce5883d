"""The fields of a delivery message, read strictly. What is not in its type and within its bound raises RemoteError."""

from typing import Any, TypeVar

from nearcast.content.cid import Cid, decode_cid
from nearcast.errors import RemoteError, UsageError

PATH_BYTES_MAX = 4096  # PATH_MAX of Linux
TEXT_CHARACTERS_MAX = 512  # what a peer may put into an error line of ours

T = TypeVar("T")


def map_of(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RemoteError("a message is not a map of fields")
    return value


def list_of(value: Any, name: str, limit: int) -> list[Any]:
    """At most `limit` items."""
    if not isinstance(value, list) or len(value) > limit:
        raise RemoteError(f"the field {name!r} is not a list of at most {limit}")
    return value


def integer_of(value: Any, name: str, limit: int) -> int:
    """0 to `limit`, both included."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        raise RemoteError(f"the field {name!r} is not a whole number up to {limit}")
    return value


def boolean_of(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise RemoteError(f"the field {name!r} is not true or false")
    return value


def bytes_of(value: Any, name: str, size_bytes: int) -> bytes:
    """Exactly so many."""
    if not isinstance(value, bytes) or len(value) != size_bytes:
        raise RemoteError(f"the field {name!r} is not {size_bytes} bytes")
    return value


def choice_of(value: Any, name: str, choices: dict[str, T]) -> T:
    found = choices.get(value) if isinstance(value, str) else None
    if found is None:
        raise RemoteError(f"the field {name!r} is none of {', '.join(choices)}")
    return found


def path_of(value: Any) -> str:
    if not isinstance(value, str) or len(value.encode(errors="surrogatepass")) > PATH_BYTES_MAX:
        raise RemoteError(f"the field 'path' is not a text of at most {PATH_BYTES_MAX} bytes")
    return value


def text_of(value: Any) -> str:
    """A stranger's words for our error line: short, and without control characters that could move a terminal."""
    if not isinstance(value, str):
        raise RemoteError("the field 'text' is not a text")
    return "".join(character if character.isprintable() else " " for character in value[:TEXT_CHARACTERS_MAX])


def cid_of(value: Any) -> Cid:
    if not isinstance(value, bytes):
        raise RemoteError("a CID in a message is not bytes")
    try:
        return decode_cid(value)
    except UsageError as error:
        raise RemoteError(error.message) from error
