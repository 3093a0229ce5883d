"""Amounts as people read them: bytes, rates, durations, counts. Decimal units, as on disks and network cards."""

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def bytes_text(count_bytes: float) -> str:
    """`999 B`, `18.4 MB`, `1.00 GB`: three figures at most, so that columns stay narrow."""
    value, unit = float(count_bytes), 0
    while value >= 999.5 and unit < len(_BYTE_UNITS) - 1:
        value /= 1000
        unit += 1
    if unit == 0:
        return f"{value:.0f} B"
    return f"{value:.{_decimals(value)}f} {_BYTE_UNITS[unit]}"


def rate_text(count_bytes: float, seconds: float) -> str:
    """`61.0 MB/s`; a dash when no time has passed."""
    return f"{bytes_text(count_bytes / seconds)}/s" if seconds > 0 else "-"


def seconds_text(seconds: float) -> str:
    """`0.8 ms`, `412 ms`, `2.1 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 1:
        milliseconds = seconds * 1000
        return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def count_text(count: int, noun: str) -> str:
    """`1 file`, `142 files`, `12,000 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def percent_text(part: float, whole: float) -> str:
    """`37 %`; of nothing, everything is 100 %."""
    return f"{100 * part / whole:.0f} %" if whole > 0 else "100 %"


def _decimals(value: float) -> int:
    if value < 9.995:
        return 2
    return 1 if value < 99.95 else 0
