"""Which bytes a Range header asks for (RFC 9110, section 14).

One range, or a suffix, is honoured. Several ranges at once are answered with the whole file, which the RFC allows and
which keeps one hostile header from asking for a thousand overlapping copies. Anything that is not a byte range is
ignored, as the RFC wants. The suffix of an empty file is the whole, empty file.
"""

import re
from dataclasses import dataclass

from nearcast.errors import UsageError

# 19 digits hold every offset below 2**63; a longer number is not an offset of anything.
_SINGLE = re.compile(r"bytes[ \t]*=[ \t]*(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))[ \t]*", re.ASCII | re.IGNORECASE)


class UnsatisfiableRangeError(UsageError):
    """The range lies wholly behind the end of the file, which has `size_bytes`."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the range that was asked for holds no byte: the file has {size_bytes}")
        self.size_bytes = size_bytes


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes start..end of a file, end not included; never empty."""

    start: int
    end: int

    def content_range(self, size_bytes: int) -> str:
        """The value of Content-Range in the answer."""
        return f"bytes {self.start}-{self.end - 1}/{size_bytes}"


def select_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """The range to send, or None for the whole file. Raises UnsatisfiableRangeError (status 416)."""
    match = _SINGLE.fullmatch(header) if header else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return _suffix(int(suffix), size_bytes)
    start = int(first)
    end = int(last) + 1 if last else size_bytes
    if last and end <= start:
        return None  # "5-3" is not a range: an invalid header is ignored
    if start >= size_bytes:
        raise UnsatisfiableRangeError(size_bytes)
    return ByteRange(start, min(end, size_bytes))


def _suffix(length: int, size_bytes: int) -> ByteRange | None:
    if length == 0:
        raise UnsatisfiableRangeError(size_bytes)
    if size_bytes == 0:
        return None
    return ByteRange(max(size_bytes - length, 0), size_bytes)
