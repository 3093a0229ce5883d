"""An answer, before it is sent. sending.py knows how each kind of body reaches the client."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nearcast.gateways.http.headers import Headers
from nearcast.gateways.http.open_file import OpenFile

SMALL_BYTES = 256 << 10  # up to here bodies are sent as bytes: for 100 KiB measured twice as fast as sending a file

Cache = Literal["hit", "miss", "-"]


@dataclass(frozen=True, slots=True)
class StoredBody:
    """The bytes start..end of a file of the store's own, which never changes."""

    path: Path
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class GuardedBody:
    """The bytes start..end of a user's file that is shared in place and may change at any moment."""

    file: OpenFile
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class StreamBody:
    """`size_bytes` bytes that come in pieces, while they are fetched or put together; None: nobody knows how many."""

    pieces: AsyncIterator[bytes]
    size_bytes: int | None


Body = bytes | StoredBody | GuardedBody | StreamBody


@dataclass(frozen=True, slots=True)
class Response:
    """Everything about an answer but Content-Length, which follows from the body; `whole_bytes` tells it for HEAD."""

    status: int
    headers: Headers
    body: Body = b""
    cache: Cache = "-"
    whole_bytes: int | None = None


def body_bytes(response: Response) -> int | None:
    """How many bytes the body has, where that is known."""
    if response.whole_bytes is not None:
        return response.whole_bytes
    match response.body:
        case bytes() as body:
            return len(body)
        case StoredBody() | GuardedBody() as body:
            return body.end - body.start
        case StreamBody() as body:
            return body.size_bytes
