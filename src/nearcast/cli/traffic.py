"""What a serving node tells while it serves: one line per request or fetch, and one line at the end.

12:01:07  192.168.1.33     GET  bafy…x3kq/index.html                       200   4.10 kB   0.8 ms
"""

import re
import shutil
from dataclasses import dataclass, field, replace
from datetime import datetime

from nearcast.cli.amounts import bytes_text, count_text, seconds_text
from nearcast.cli.output import printable

WHO_COLUMNS = 15  # an IPv4 address
WHAT_COLUMNS_MIN = 24
OTHER_COLUMNS = 8 + 2 + WHO_COLUMNS + 2 + 5 + 2 + 7 + 2 + 8 + 2 + 8
READERS_MAX = 10_000  # distinct readers that are counted; more are "10,000 readers" in the summary
_CID = re.compile(r"\b(?:baf[a-z2-7]{20,}|Qm[1-9A-HJ-NP-Za-km-z]{44})")


@dataclass(frozen=True, slots=True)
class Served:
    """One request that was answered. `how` is the HTTP method or `quic`; `status` is 200 or a word."""

    who: str
    how: str
    what: str
    status: str
    size_bytes: int
    seconds: float

    def joined(self, other: "Served") -> "Served | None":
        """Both as one, when they are parts of the same download that ended alike; else None."""
        if (self.who, self.how, self.what, self.status) != (other.who, other.how, other.what, other.status):
            return None
        return replace(self, size_bytes=self.size_bytes + other.size_bytes)

    def line(self, at: datetime, columns: int) -> str:
        """For people, at most `columns` wide unless that is absurdly narrow."""
        room = max(columns - OTHER_COLUMNS, WHAT_COLUMNS_MIN)
        what = shortened(printable(self.what), room)
        who = printable(self.who)[:WHO_COLUMNS]
        numbers = f"{self.status:>7}  {bytes_text(self.size_bytes):>8}  {seconds_text(self.seconds):>8}"
        return f"{at:%H:%M:%S}  {who:<{WHO_COLUMNS}}  {self.how:<5}{what:<{room}}  {numbers}"

    def fields(self, at: datetime) -> dict[str, object]:
        """For programs."""
        return {
            "event": "request",
            "time": at.isoformat(timespec="milliseconds"),
            "who": self.who,
            "how": self.how,
            "what": self.what,
            "status": self.status,
            "size": self.size_bytes,
            "seconds": round(self.seconds, 6),
        }


@dataclass(slots=True)
class Traffic:
    """The sum of what was served."""

    requests: int = 0
    size_bytes: int = 0
    _readers: set[str] = field(default_factory=set)

    def add(self, served: Served) -> None:
        self.requests += 1
        self.size_bytes += served.size_bytes
        if len(self._readers) < READERS_MAX:
            self._readers.add(served.who)

    def summary(self, seconds: float) -> str:
        """`Served 12 requests, 18.4 MB, to 3 readers in 2 min 05 s.`"""
        if not self.requests:
            return f"Nobody asked for anything in {seconds_text(seconds)}."
        readers = count_text(len(self._readers), "reader")
        return (
            f"Served {count_text(self.requests, 'request')}, {bytes_text(self.size_bytes)}, "
            f"to {readers} in {seconds_text(seconds)}."
        )

    def fields(self, seconds: float) -> dict[str, object]:
        return {
            "event": "stopped",
            "requests": self.requests,
            "size": self.size_bytes,
            "readers": len(self._readers),
            "seconds": round(seconds, 3),
        }


def shortened(what: str, columns: int) -> str:
    """CIDs become `bafy…x3kq`; what is still too long loses its middle."""
    text = _CID.sub(lambda match: f"{match[0][:4]}…{match[0][-4:]}", what.removeprefix("/ipfs/"))
    if len(text) <= columns:
        return text
    tail = columns * 2 // 3
    return f"{text[: columns - tail - 1]}…{text[-tail:]}"


def terminal_columns() -> int:
    return shutil.get_terminal_size(fallback=(100, 24)).columns
