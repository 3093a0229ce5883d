"""An honest node's price: changed without ever having signed two prices within the Court's window.

Two offers for one content to one client, at different prices and on blocks less than a window apart, are an offence,
whoever was careless. So the price belongs to the whole node, and a new one starts more than a window after the last
block that the old one was signed on. Until then offers are still made, at the old price and on that last block.
What may have been signed is on disk before it is signed, so a crash forgets nothing.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nearcast.chain.durable import write_private
from nearcast.chain.fields import object_of, uint_field
from nearcast.errors import NearcastError, StoreError, UsageError

# The most that governance can widen the Court's `rateWindowBlocks` to: with it, no later vote makes a past change of
# price an offence. On a chain of 2 s blocks a new price takes 10 minutes to start.
RATE_WINDOW_BLOCKS_MAX = 300
# How far ahead of the last signed block the file allows: one write per so many blocks, and after a crash a new price
# starts at most so much later than it would have had to.
RESERVED_BLOCKS = 16
_BLOCK_BITS = 64  # of Offer.blockNumber
_FILE_BYTES_MAX = 1_024  # the five numbers take at most 200
_NONE = -1


@dataclass(frozen=True, slots=True)
class Quote:
    """What to sign now: this price, on the block of this number."""

    price_units_per_gib: int
    block_number: int


@dataclass(frozen=True, slots=True)
class PriceState:
    """A price, the blocks it is signed on, and the price that follows if one was set.

    `last_block`: the highest that an offer at this price bears; -1: none was made. `next_price` -1: no change is due.
    """

    price: int
    first_block: int
    last_block: int = _NONE
    next_price: int = _NONE
    next_first_block: int = _NONE


def quote(state: PriceState, head: int) -> tuple[PriceState, Quote | None]:
    """What to sign when `head` is the newest block, and what is then so. None: nothing may be signed on it yet."""
    if state.next_price != _NONE and head >= state.next_first_block:
        state = PriceState(state.next_price, state.next_first_block)
    block = head if state.next_price == _NONE else min(head, state.last_block)
    if block < state.first_block:
        return state, None
    return replace(state, last_block=max(state.last_block, block)), Quote(state.price, block)


def changed(state: PriceState, price: int, window_blocks: int) -> PriceState:
    """The same, with `price` to follow as soon as it may. Setting the present price cancels a change that is due."""
    if price == state.price:
        return replace(state, next_price=_NONE, next_first_block=_NONE)
    if state.last_block == _NONE:
        return replace(state, price=price)
    return replace(state, next_price=price, next_first_block=state.last_block + window_blocks + 1)


class PriceSchedule:
    """The state and its file: one for all hot keys of an operator, since the Court judges them together.

    For one process at a time. About once in RESERVED_BLOCKS blocks a call waits for the disk.
    """

    def __init__(self, path: Path, state: PriceState, window_blocks: int) -> None:
        self._path = path
        self._state = state
        self._window_blocks = window_blocks
        self._reserved_block = state.last_block

    @classmethod
    def open(
        cls, path: Path, *, price_units_per_gib: int, first_block: int, window_blocks: int = RATE_WINDOW_BLOCKS_MAX
    ) -> "PriceSchedule":
        """The schedule at `path`, made with this price where there is none; a price in the file stays until `change`.

        `first_block`: for a new file the first block that may be signed on. 0 for a node that never signed an offer;
        for one that lost its file the newest block + `window_blocks` + 1, since nobody knows what it signed.
        StoreError for a damaged file, which is left alone.
        """
        _check(price_units_per_gib, "the price")
        _check(first_block, "the first block")
        try:
            return cls(path, _parse(_read(path), path), window_blocks)
        except FileNotFoundError:
            made = cls(path, PriceState(price_units_per_gib, first_block), window_blocks)
            made._write(made._state)
            return made
        except OSError as error:
            raise StoreError(f"the price file {path} cannot be read: {error.strerror}") from error

    @property
    def price_units_per_gib(self) -> int:
        """What is asked now."""
        return self._state.price

    @property
    def next_change(self) -> Quote | None:
        """The price that follows and the first block it may be signed on, if a change is due."""
        if self._state.next_price == _NONE:
            return None
        return Quote(self._state.next_price, self._state.next_first_block)

    def change(self, price_units_per_gib: int) -> None:
        """Ask another price as soon as that is safe (see `next_change`)."""
        _check(price_units_per_gib, "the price")
        state = changed(self._state, price_units_per_gib, self._window_blocks)
        self._write(state)
        self._state, self._reserved_block = state, state.last_block

    def quote(self, head: int) -> Quote | None:
        """What to sign when `head` is the newest block that is known; None when nothing may be signed on it yet."""
        _check(head, "a block's number")
        state, given = quote(self._state, head)
        if state.first_block != self._state.first_block or state.last_block > self._reserved_block:
            reserved_block = state.last_block + RESERVED_BLOCKS
            self._write(replace(state, last_block=reserved_block))
            self._reserved_block = reserved_block
        self._state = state
        return given

    def _write(self, state: PriceState) -> None:
        try:
            write_private(self._path, json.dumps(asdict(state)).encode() + b"\n", replace=True)
        except OSError as error:
            raise StoreError(f"the price file {self._path} cannot be written: {error.strerror}") from error


def _read(path: Path) -> bytes:
    """What is of use of the file. Deep JSON would overflow the stack where py-evm has raised the recursion limit."""
    with path.open("rb") as file:
        return file.read(_FILE_BYTES_MAX)


def _parse(data: bytes, path: Path) -> PriceState:
    try:
        given = object_of(json.loads(data), frozenset(PriceState.__slots__))
        numbers = {name: _number_or_none(given[name], name) for name in PriceState.__slots__}
    except (ValueError, RecursionError, NearcastError) as error:
        raise StoreError(
            f"{path} does not hold a price",
            fix=f"move it away: mv {path} {path}.bad; the node then waits until no earlier offer can clash",
        ) from error
    return PriceState(**numbers)


def _number_or_none(value: object, name: str) -> int:
    return _NONE if value == _NONE else uint_field(value, _BLOCK_BITS + 1, name)


def _check(value: int, name: str) -> None:
    if not 0 <= value < 1 << _BLOCK_BITS:
        raise UsageError(f"{name} is a number of {_BLOCK_BITS} bits, not {value}")
