"""Listening to what whole nodes do with money, at the few places where it happens, without their knowing.

Each node's tasks carry its name (`WHO`), so that a method that many nodes share is heard as one node's. Undone when the
block ends.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final, Protocol

from nearcast.overlay.link import Link
from nearcast.payments.credit_line import CreditLine
from nearcast.payments.customer import Customer
from nearcast.payments.promising import Promising
from nearcast.payments.spent import Signing

WHO: Final[ContextVar[str]] = ContextVar("WHO", default="")
"""The name of the node's life whose task this is; empty for the world's own, and for a life that is over."""


class Watcher(Protocol):
    """What it hears of, right after it was done. It must not raise: the node would catch it."""

    def delivered(self, who: str, line: CreditLine, root: str, size_bytes: int, parts: int) -> None:
        """A payee counts so many bytes of an object as on their way to a payer."""

    def earned(self, who: str, customer: Customer) -> None:
        """A voucher is on a payee's disk and counts."""

    def promised(self, who: str, receiver: bytes, channel_id: bytes, units: int) -> None:
        """A payer's books have it that so much was promised on a channel, in all; `receiver` is the payee's wallet."""

    def queued(self, who: str, queued_bytes: int) -> None:
        """So much waits on one of a node's overlay links, now that something was put there."""


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """While the block runs."""
    with ExitStack() as stack:
        _after(
            stack, CreditLine, "deliver", lambda who, line, _result, *told: watcher.delivered(who, line, *_sale(told))
        )
        _after(stack, Customer, "entry_written", lambda who, customer, _result, *_: watcher.earned(who, customer))
        _after(
            stack, Promising, "write", lambda who, _, signed, signing: _promised(watcher, who, signing, signed.units)
        )
        _after(stack, Link, "put", lambda who, link, _result, *_: watcher.queued(who, link.queued_bytes))
        yield


def _sale(told: tuple[Any, ...]) -> tuple[str, int, int]:
    """Root, bytes and parts, out of the arguments of CreditLine.deliver."""
    root, _role, size_bytes, parts = told
    return root, size_bytes, parts


def _promised(watcher: Watcher, who: str, signing: Signing, units: int) -> None:
    watcher.promised(who, signing.receiver, signing.channel_id, units)


def _after(stack: ExitStack, owner: type, name: str, hear: Callable[..., None]) -> None:
    """Call `hear(who, self, result, *arguments)` after a method of a class, for nodes only."""
    method = getattr(owner, name)

    @wraps(method)
    def heard(self: Any, *arguments: Any) -> Any:
        result = method(self, *arguments)
        if who := WHO.get():
            hear(who, self, result, *arguments)
        return result

    setattr(owner, name, heard)
    stack.callback(setattr, owner, name, method)
