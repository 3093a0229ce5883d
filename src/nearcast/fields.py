"""The fields of strangers' messages, read strictly: the exact type, within the caller's bounds, or RemoteError.

Messages are DAG-CBOR (wire.py), so a value is None, True, False, a number, text, bytes, a list or a map, and nothing is
guessed: "1" and True are no numbers, None is no empty list. A reader gives back the very value it was given. `name` is
what the error calls it; the error is one line that says what came and what was due, and quotes no stranger's text.

The messages of x402 are JSON, where numbers and hashes are text; chain/fields.py reads those.
"""

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from nearcast.errors import RemoteError

WORDS_CHARACTERS_MAX = 512  # what a peer may put into an error line of ours

_SAID_MAX = 1 << 64  # a larger number, and one below 0 as long, is not printed: str() of a huge one takes long

T = TypeVar("T")


def map_of(value: Any, name: str) -> dict[str, Any]:
    """A map. Its keys are text: DAG-CBOR has no others."""
    if type(value) is not dict:
        _refuse(value, name, "a map")
    return value


def list_of(value: Any, name: str, count_max: int) -> list[Any]:
    """A list of at most `count_max` items."""
    if type(value) is not list or len(value) > count_max:
        _refuse(value, name, f"a list of at most {count_max}")
    return value


def exactly(value: Any, name: str, count: int) -> list[Any]:
    """A list of `count` items, to be taken apart."""
    if type(value) is not list or len(value) != count:
        _refuse(value, name, f"a list of {count}")
    return value


def integer_of(value: Any, name: str, maximum: int) -> int:
    """A whole number from 0 to `maximum`, both included."""
    if type(value) is not int or not 0 <= value <= maximum:  # type(): True is an int to isinstance
        _refuse(value, name, f"a whole number from 0 to {maximum}")
    return value


def boolean_of(value: Any, name: str) -> bool:
    if type(value) is not bool:
        _refuse(value, name, "true or false")
    return value


def bytes_of(value: Any, name: str, size_bytes: int) -> bytes:
    """Exactly so many bytes."""
    if type(value) is not bytes or len(value) != size_bytes:
        _refuse(value, name, f"{size_bytes} bytes")
    return value


def bytes_within(value: Any, name: str, minimum_bytes: int, maximum_bytes: int) -> bytes:
    """So many bytes, both bounds included."""
    if type(value) is not bytes or not minimum_bytes <= len(value) <= maximum_bytes:
        _refuse(value, name, f"{minimum_bytes} to {maximum_bytes} bytes")
    return value


def choice_of(value: Any, name: str, choices: Mapping[str, T]) -> T:
    """What `choices` has for this text."""
    if type(value) is not str or value not in choices:
        _refuse(value, name, f"one of {', '.join(choices)}")
    return choices[value]


def words_of(value: Any, name: str) -> str:
    """A stranger's words for our error line: short, and without control characters that could move a terminal."""
    if type(value) is not str:
        _refuse(value, name, "a text")
    return "".join(letter if letter.isprintable() else " " for letter in value[:WORDS_CHARACTERS_MAX])


def _refuse(value: Any, name: str, due: str) -> NoReturn:
    raise RemoteError(f"malformed message: {name} is {_told(value)}, not {due}")


def _told(value: Any) -> str:
    """What came, in a few words of ours."""
    match value:
        case None:
            return "missing"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if -_SAID_MAX < value < _SAID_MAX else "a huge number"
        case bytes():
            return f"{len(value)} bytes"
        case str():
            return f"a text of {len(value)} characters"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"a map of {len(value)}"
        case _:
            return f"of the type {type(value).__name__}"
