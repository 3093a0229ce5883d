"""What the gateway says when it cannot answer: a status, one honest line, and what to do.

A browser gets a small page, a program one line of text, or JSON if it asks for it. Only messages that Nearcast wrote
itself leave the node, and none that may hold a path of this machine (those of the store).
"""

import json
from collections.abc import Mapping
from typing import Any

from nearcast.content.cid import Cid
from nearcast.errors import (
    ChangedError,
    DiskFullError,
    NearcastError,
    NotFoundError,
    RefusedError,
    RemoteError,
    StoreError,
    UnavailableError,
    UsageError,
)
from nearcast.gateways.http import listed
from nearcast.gateways.http.headers import UNCACHED, page_headers
from nearcast.gateways.http.page import error_page
from nearcast.gateways.http.payment import PaymentRequiredError, payment_response
from nearcast.gateways.http.pipe import BusyError
from nearcast.gateways.http.ranges import UnsatisfiableRangeError
from nearcast.gateways.http.request import Request
from nearcast.gateways.http.response import Response

MESSAGE_CHARACTERS_MAX = 2000  # of a peer's words inside a message


class NotAcceptableError(UsageError):
    """The content exists, but not in the form that was asked for."""


class NotCachedError(NotFoundError):
    """The client wants it only from here (Cache-Control: only-if-cached), and here it is not."""


# The first class that fits counts, so that the narrow ones come first.
_STATUSES: tuple[tuple[type[NearcastError], int, str], ...] = (
    (UnsatisfiableRangeError, 416, "Nothing there to read"),
    (NotAcceptableError, 406, "Not in that form"),
    (NotCachedError, 412, "Not on this node"),
    (BusyError, 503, "Too busy right now"),
    (UsageError, 400, "That address is not right"),
    (NotFoundError, 404, "Not found"),
    (ChangedError, 410, "This file has changed"),
    (DiskFullError, 507, "This node's disk is full"),
    (StoreError, 500, "This node cannot read it"),
    (listed.ListedError, listed.STATUS, listed.HEADLINE),
    (RefusedError, 403, "Refused"),
    (RemoteError, 502, "A wrong answer from another node"),
    (UnavailableError, 504, "No answer from other nodes"),
)
_RETRY_AFTER_S = "5"


def status_of(error: NearcastError) -> tuple[int, str]:
    """The HTTP status and a headline."""
    for kind, status, headline in _STATUSES:
        if isinstance(error, kind):
            return status, headline
    return 500, "Something went wrong"


def error_response(error: NearcastError, request: Request, *, about: str) -> Response:
    """The answer for `error`, in the form that `request` prefers. `about` names what was asked for."""
    if isinstance(error, PaymentRequiredError):
        return payment_response(error, request)
    status, headline = status_of(error)
    message, fix = _words(error, about)
    fields = error.fields() if isinstance(error, listed.ListedError) else {}
    response = told(status, headline, message, fix, request, fields)
    if isinstance(error, listed.ListedError):
        response.headers.append(listed.BLOCKED_BY)
    if isinstance(error, UnsatisfiableRangeError):
        response.headers.append(("content-range", f"bytes */{error.size_bytes}"))
    return response


def told(
    status: int,
    headline: str,
    message: str,
    fix: str | None,
    request: Request | None,
    fields: Mapping[str, Any] | None = None,
) -> Response:
    """A status with its explanation as HTML, JSON or a line of text; `fields` are more for who takes JSON."""
    if request is not None and request.accepts("text/html"):
        content_type, body = "text/html; charset=utf-8", error_page(status, headline, message, fix)
    elif request is not None and request.accepts("application/json"):
        content_type = "application/json"
        body = json.dumps({"status": status, "error": message, "fix": fix, **(fields or {})}) + "\n"
    else:
        content_type = "text/plain; charset=utf-8"
        body = f"{message} ({fix})\n" if fix else f"{message}\n"
    headers = page_headers(content_type, cache_control=UNCACHED, cors=True)
    headers.append(("vary", "accept"))
    if status in (503, 504):
        headers.append(("retry-after", _RETRY_AFTER_S))
    return Response(status, headers, body.encode("utf-8", "replace"))


def undisplayable(cid: Cid) -> NotAcceptableError:
    """The codec is none that becomes a web page."""
    return NotAcceptableError(
        f"{cid} is neither a file nor a folder: codec 0x{cid.codec:x}", fix="add ?format=raw to get its bytes"
    )


def _words(error: NearcastError, about: str) -> tuple[str, str | None]:
    """The line and the advice. A store's own messages stay here: they name files of this machine."""
    match error:
        case ChangedError():
            return (
                f"{about!r} was changed after it was shared, so it no longer is what this link names",
                "whoever shares it can share it again, and gets a new link; or put the old file back",
            )
        case DiskFullError():
            return "this node has no room left to fetch it", "free some space, or raise store.quota_bytes"
        case StoreError():
            return "this node cannot read it from its store", "its log says why"
        case _:
            return error.message[:MESSAGE_CHARACTERS_MAX], error.fix
