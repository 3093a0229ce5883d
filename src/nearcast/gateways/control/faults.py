"""Errors across the control door: an error of ours becomes JSON there and the same error here."""

from typing import Any

from nearcast import errors
from nearcast.errors import NearcastError

_CLASSES = {
    name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, NearcastError)
}


def fault_of(error: NearcastError) -> dict[str, Any]:
    """`{"type", "message", "fix"}`. A class from elsewhere is named after the class in errors.py that it refines."""
    known = next(kind for kind in type(error).__mro__ if _CLASSES.get(kind.__name__) is kind)
    return {"type": known.__name__, "message": error.message, "fix": error.fix}


def error_of(fault: Any) -> NearcastError:
    """The error again; anything unknown is a plain NearcastError."""
    fields = fault if isinstance(fault, dict) else {}
    kind = _CLASSES.get(str(fields.get("type")), NearcastError)
    fix = fields.get("fix")
    return kind(str(fields.get("message", "the running node failed")), fix=fix if isinstance(fix, str) else None)
