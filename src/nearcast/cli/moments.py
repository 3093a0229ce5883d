"""Durations and moments of the chain as people type and read them."""

import re
from datetime import UTC, datetime

from nearcast.errors import UsageError

_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}


def parse_duration_s(text: str, what: str = "a duration") -> int:
    """`90`, `30min`, `24h`, `14d` in seconds. UsageError for anything else."""
    match = re.fullmatch(r"([0-9]{1,9})\s*(s|min|m|h|d)?", text.strip())
    if match is None:
        raise UsageError(f"{what} is a number of seconds, or like 30min, 24h or 14d, not {text!r}")
    return int(match[1]) * _SECONDS[match[2] or "s"]


def duration_text(seconds: int) -> str:
    """`14 d`, `1 d 6 h`, `24 h`, `20 min`, `45 s`: the two largest units that say something."""
    if seconds < 60:
        return f"{max(0, seconds)} s"
    parts: list[str] = []
    rest = seconds
    for unit in ("d", "h", "min"):
        count, rest = divmod(rest, _SECONDS[unit])
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def moment_text(unix_s: int) -> str:
    """`2026-11-21 04:15`, in this machine's time."""
    try:
        return f"{datetime.fromtimestamp(unix_s, UTC).astimezone():%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        return "never"


def due_text(unix_s: int, now_s: int) -> str:
    """`on 2026-12-05 04:15, in 14 d`, or `now`; `now_s` is the chain's time."""
    return "now" if unix_s <= now_s else f"on {moment_text(unix_s)}, in {duration_text(unix_s - now_s)}"
