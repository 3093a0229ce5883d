"""What all bindings share: one contract at one address, over one endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nearcast.chain.abi import Contract, Decoded, contract
from nearcast.chain.rpc import BlockTag, JsonRpc
from nearcast.chain.rpc_types import Log
from nearcast.chain.transaction_signing import Call, Spend
from nearcast.errors import ChainError

PAGE_ENTRIES = 500  # of an enumeration in one call: about 100 kB, and 3 million gas of the endpoint's 50
PAGES_MAX = 2_000  # a million entries; a contract that claims more is not ours


@dataclass(frozen=True, slots=True)
class Event:
    """One decoded event and its place."""

    name: str
    arguments: dict[str, Any]
    log: Log


class Bound:
    """A contract at an address. Reads raise ChainError, RevertedError and UnavailableError as JsonRpc does."""

    artifact_name: ClassVar[str]

    def __init__(self, rpc: JsonRpc, address: bytes) -> None:
        self._rpc = rpc
        self.address = address

    @property
    def rpc(self) -> JsonRpc:
        """The endpoint that it is read through."""
        return self._rpc

    @property
    def contract(self) -> Contract:
        """Its ABI, parsed once in the process."""
        return contract(self.artifact_name)

    async def read(self, function: str, *arguments: Any, block: BlockTag = "latest") -> Any:
        """What a view function returns: one value, or a tuple of several."""
        return (await self.read_many([(function, arguments)], block=block))[0]

    async def read_many(self, calls: Sequence[tuple[str, Sequence[Any]]], *, block: BlockTag = "latest") -> list[Any]:
        """Several view functions in as few requests as they fit; all at one block only when `block` is a number."""
        asked = [(self.address, self.contract.encode_call(function, arguments)) for function, arguments in calls]
        told = await self._rpc.calls(asked, block=block)
        return [self.contract.decode_result(function, data) for (function, _), data in zip(calls, told, strict=True)]

    async def pages(self, count: int, function: str, *arguments: Any, block: BlockTag = "latest") -> list[Any]:
        """All `count` entries of an enumeration. Raises ChainError when it breaks off or says more than it has."""
        found: list[Any] = []
        for _ in range(PAGES_MAX):
            if len(found) >= count:
                return found
            page = await self.read(function, *arguments, len(found), PAGE_ENTRIES, block=block)
            if not page or len(page) > PAGE_ENTRIES:
                break
            found += page
        raise ChainError(f"the endpoint breaks off after {len(found)} of {count} entries of {self.artifact_name}")

    def write(
        self,
        function: str,
        *arguments: Any,
        intent: str = "",
        once: bool = False,
        value: int = 0,
        spends: tuple[Spend, ...] = (),
    ) -> Call:
        """A call that changes something, for Sender.send. Raises UsageError when an argument does not fit."""
        data = self.contract.encode_call(function, arguments)
        return Call(self.address, data, value, intent, once, spends)

    async def events(
        self, name: str, first: int, last: int, *, topics: Sequence[Sequence[bytes] | None] = ()
    ) -> list[Event]:
        """Its events of one name in blocks first to last; `topics[i]`: what its i-th indexed argument may be.

        Addresses and shorter bytes are padded here: addresses on the left, the rest on the right.
        """
        chosen = (None if some is None else [_topic(each) for each in some] for some in topics)
        wanted = [[self.contract.topic(name)], *chosen]
        logs = await self._rpc.logs([self.address], wanted, first, last)
        decoded = [(self.contract.decode_log(log.topics, log.data), log) for log in logs]
        return [_event(what, log) for what, log in decoded if what is not None]

    def event(self, log: Log) -> Event | None:
        """One log of a receipt as an event of this contract; None when it is another's."""
        what = self.contract.decode_log(log.topics, log.data) if log.address == self.address else None
        return None if what is None else _event(what, log)


def _event(what: Decoded, log: Log) -> Event:
    return Event(what.name, dict(what.arguments), log)


def _topic(value: bytes) -> bytes:
    return value.rjust(32, b"\0") if len(value) == 20 else value.ljust(32, b"\0")
