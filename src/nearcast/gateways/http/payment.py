"""Content for money over plain HTTP (402): who has to pay, how much, and in which order things happen.

A request from another machine for content names, by its path and its range, how many bytes it wants. Without a payment
it is told what they cost. With one, the answer is prepared first (so that nothing is charged for what cannot be read),
then the voucher is put on disk, then the bytes leave. Pages of our own, 304 and HEAD cost nothing.

What the gateway needs of whoever takes the money is `Payments`; payment_desk.py is that of a node.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nearcast.content.cid import Cid
from nearcast.errors import NearcastError
from nearcast.gateways.http.headers import UNCACHED, page_headers
from nearcast.gateways.http.payment_messages import PAYMENT_HEADER, RECEIPT_HEADER, REQUIRED_HEADER, Payment, encoded
from nearcast.gateways.http.payment_page import payment_page
from nearcast.gateways.http.request import Request
from nearcast.gateways.http.response import Response

STATUS = 402
# Whoever paid may keep it for ever, but a cache on the way has not paid.
PAID_CACHING = ("cache-control", "private, max-age=29030400, immutable")


@dataclass(frozen=True, slots=True)
class Sale:
    """What one request wants: so many bytes of this object, by this address."""

    root: Cid
    size_bytes: int
    url: str


class PaymentRequiredError(NearcastError):
    """The request has to be paid for, and was not, or not rightly. `required` is x402's PaymentRequired."""

    def __init__(self, reason: str, sale: Sale, price_units_per_gib: int, required: dict[str, Any]) -> None:
        super().__init__(reason)
        self.sale = sale
        self.price_units_per_gib = price_units_per_gib
        self.required = required


class Payments(Protocol):
    """Whoever takes the money. Both raise PaymentRequiredError for a payment that buys nothing."""

    def is_free(self, size_bytes: int) -> bool:
        """Whether so many bytes cost nothing."""

    def check(self, header: str | None, sale: Sale) -> Payment:
        """A payment that may be right, as far as that can be said without waiting."""

    async def take(self, payment: Payment, sale: Sale) -> str:
        """Take it; when this returns the voucher is on disk. The value of PAYMENT-RESPONSE."""


async def sold(
    payments: Payments | None,
    request: Request,
    root: Cid,
    size_bytes: int,
    prepare: Callable[[], Awaitable[Response]],
) -> Response:
    """The answer that `prepare` makes, for whoever need not pay or has paid. Raises PaymentRequiredError."""
    if payments is None or request.is_local or payments.is_free(size_bytes):
        return await prepare()
    sale = Sale(root, size_bytes, _url(request))
    payment = payments.check(request.header(PAYMENT_HEADER), sale)
    response = await prepare()
    receipt = await payments.take(payment, sale)
    kept = [header for header in response.headers if header[0] != "cache-control"]
    return replace(response, headers=[*kept, PAID_CACHING, (RECEIPT_HEADER, receipt)])


def payment_response(error: PaymentRequiredError, request: Request) -> Response:
    """402: a page for people, x402's own JSON for everybody else."""
    header = (REQUIRED_HEADER, encoded(error.required))
    if request.accepts("text/html") and request.header(PAYMENT_HEADER) is None:
        page = payment_page(request.path, error.sale.size_bytes, error.price_units_per_gib)
        content_type, body = "text/html; charset=utf-8", page
    else:
        content_type, body = "application/json", json.dumps(error.required) + "\n"
    headers = page_headers(content_type, cache_control=UNCACHED, cors=True)
    return Response(STATUS, [*headers, ("vary", "accept"), header], body.encode())


def _url(request: Request) -> str:
    """As the client wrote it, as far as we can tell: x402 repeats it to the payer."""
    host = request.header("host") or "localhost"
    query = f"?{request.raw_query}" if request.raw_query else ""
    return f"http://{host}{request.path}{query}"
