"""Tables of a TOML file as frozen dataclasses, read strictly: every mistake is one line that names the place.

A field's bounds stand in its metadata (`bounded`, `one_of`), so that the dataclass is the whole description. Fields may
be float, int, bool, str, tuple[str, ...], tuple[float, ...], another such dataclass, or a tuple of them.
"""

import difflib
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from nearcast.errors import UsageError

_Table = TypeVar("_Table")
_NAMES: dict[Any, str] = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}


def bounded(default: Any = MISSING, *, least: float = 0.0, most: float = math.inf) -> Any:
    """A number with bounds, both included."""
    metadata = {"least": least, "most": most}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def one_of(default: Any, choices: tuple[str, ...]) -> Any:
    """Text, or a list of texts, from these."""
    return field(default=default, metadata={"choices": choices})


def read_table(kind: type[_Table], table: Any, where: str) -> _Table:
    """The table as a `kind`. Raises UsageError; `where` is how the message names the table."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: expected a table, not {table!r}")
    hints = _hints(kind)  # type: ignore[arg-type]  # a class is hashable, whatever its type variable says
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # always called with a dataclass
    for name in table:
        if name not in known:
            raise UsageError(f"{where}: no such key: {name}", fix=_nearest(name, list(known)))
    missing = [name for name, each in known.items() if name not in table and _is_required(each)]
    if missing:
        raise UsageError(f"{where}: {missing[0]} is missing")
    return kind(**{name: read_value(known[name], hints[name], table[name], f"{where}: {name}") for name in table})


def read_value(described: "Field[Any]", hint: Any, value: Any, where: str) -> Any:
    """One value of such a table. Raises UsageError."""
    if is_dataclass(hint) and isinstance(hint, type):
        return read_table(hint, value, where)
    if get_origin(hint) is tuple:
        return _read_list(described, get_args(hint)[0], value, where)
    if get_origin(hint) in (dict, Mapping) or hint in (dict, Mapping):
        return dict(value) if isinstance(value, Mapping) else _refuse(where, "a table", value)
    if isinstance(hint, types.UnionType):
        hint = next(each for each in get_args(hint) if each is not types.NoneType)
    return _checked(described, _plain(hint, value, where), where)


def _read_list(described: "Field[Any]", kind: Any, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        _refuse(where, "a list", value)
    if is_dataclass(kind) and isinstance(kind, type):
        return tuple(read_table(kind, each, f"{where} {at}") for at, each in enumerate(value, 1))
    return tuple(_checked(described, _plain(kind, each, where), where) for each in value)


def _plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        _refuse(where, _NAMES.get(kind, str(kind)), value)
    if kind is float and not math.isfinite(value):
        _refuse(where, "a finite number", value)
    return value


def _checked(described: "Field[Any]", value: Any, where: str) -> Any:
    bounds = described.metadata
    choices = bounds.get("choices")
    if choices is not None and value not in choices:
        raise UsageError(f"{where}: {value!r} is not one of {', '.join(choices)}", fix=_nearest(str(value), choices))
    if "least" in bounds and not bounds["least"] <= value <= bounds["most"]:
        span = f"at least {bounds['least']:g}" if bounds["most"] == math.inf else _span(bounds)
        raise UsageError(f"{where}: {value!r} is out of bounds: {span}")
    return value


def _span(bounds: Mapping[str, Any]) -> str:
    return f"{bounds['least']:g} to {bounds['most']:g}"


def _refuse(where: str, expected: str, value: Any) -> Any:
    raise UsageError(f"{where}: expected {expected}, not {value!r}")


def _nearest(name: str, known: "list[str] | tuple[str, ...]") -> str | None:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"known are: {', '.join(known)}"


def _is_required(described: "Field[Any]") -> bool:
    return described.default is MISSING and described.default_factory is MISSING


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
