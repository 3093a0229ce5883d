"""Whether money was conserved: what the chain, the payers' books and the payees' books say, held against each other.

Every unit that was ever paid into a channel is with its payee, on its way there, or can be had back by its payer; every
unit that a payee counts as earned was promised by a payer for bytes that it verified. Each book adds up by itself, too:
what stands beside its objects is what its vouchers are worth, to the part.

Pure but for `chain_figures`, which asks an endpoint for all events of the settlement.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.bindings.token import Token
from nearcast.payments.credit import PART_BITS


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """One channel on the chain, in units since its opening. `refunded_units`: refunds and withdrawals."""

    payer: bytes
    receiver: bytes
    deposited_units: int
    refunded_units: int = 0
    claimed_units: int = 0

    @property
    def refundable_units(self) -> int:
        """What nobody has claimed: the payer can have it back, unless a voucher that is out claims it first."""
        return self.deposited_units - self.refunded_units - self.claimed_units


@dataclass(frozen=True, slots=True)
class ChainFigures:
    """All channels by id, what each receiver was paid out, and what the contract holds of the token."""

    channels: Mapping[bytes, ChannelFigures]
    settled_units: Mapping[bytes, int]
    held_units: int

    @property
    def deposited_units(self) -> int:
        return sum(each.deposited_units for each in self.channels.values())

    @property
    def claimed_units(self) -> int:
        return sum(each.claimed_units for each in self.channels.values())

    @property
    def refunded_units(self) -> int:
        return sum(each.refunded_units for each in self.channels.values())

    @property
    def refundable_units(self) -> int:
        return sum(each.refundable_units for each in self.channels.values())


@dataclass(frozen=True, slots=True)
class Row:
    """What a book says of one object and one other side: bytes that were paid for or are to be, and parts paid."""

    other: bytes
    root: str
    size_bytes: int
    parts: int


@dataclass(frozen=True, slots=True)
class Book:
    """One side's book. `units`: the newest promise, made or held, by channel. A row's `other` is the receiver's address
    in a payer's book and the payer's in a payee's."""

    name: str
    units: Mapping[bytes, int]
    rows: Sequence[Row] = field(default=())

    @property
    def size_bytes(self) -> int:
        return sum(row.size_bytes for row in self.rows)

    @property
    def parts(self) -> int:
        return sum(row.parts for row in self.rows)

    @property
    def total_units(self) -> int:
        return sum(self.units.values())


def discrepancies(
    chain: ChainFigures, payers: Sequence[Book], payees: Sequence[Book], *, is_settled: bool = False
) -> list[str]:
    """What does not add up, a sentence each; empty when money was conserved.

    `is_settled`: nothing is under way and everything was claimed and paid out, so that promises, vouchers, claims and
    payments must be equal, and not only bounded by each other.
    """
    promised, held = _newest(payers), _newest(payees)
    return [
        *_of_chain(chain),
        *_of_books(payers),
        *_of_books(payees),
        *_of_channels(chain, promised, held, is_settled=is_settled),
        *(_of_receivers(chain) if is_settled else ()),
    ]


def _of_chain(chain: ChainFigures) -> Iterator[str]:
    on_the_way_units = chain.claimed_units - sum(chain.settled_units.values())
    if chain.held_units != chain.refundable_units + on_the_way_units:
        yield (
            f"the contract holds {chain.held_units} units: {chain.refundable_units} can be refunded"
            f" and {on_the_way_units} are claimed and not paid out"
        )
    for channel_id, channel in chain.channels.items():
        if channel.refundable_units < 0:
            yield f"channel {_name(channel_id)} has paid {-channel.refundable_units} units more than it had"


def _of_books(books: Sequence[Book]) -> Iterator[str]:
    for book in books:
        if book.parts != book.total_units << PART_BITS:
            over = book.parts - (book.total_units << PART_BITS)
            yield f"{book.name}: what stands beside its objects is {over} parts off what its vouchers are worth"


def _of_channels(
    chain: ChainFigures, promised: Mapping[bytes, int], held: Mapping[bytes, int], *, is_settled: bool
) -> Iterator[str]:
    for channel_id in sorted({*chain.channels, *promised, *held}):
        name, channel = _name(channel_id), chain.channels.get(channel_id)
        if channel is None:
            if promised.get(channel_id) or held.get(channel_id):
                yield f"channel {name} has vouchers and is not on the chain"
            continue
        made, have = promised.get(channel_id, 0), held.get(channel_id, 0)
        if not channel.claimed_units <= have <= made:
            yield f"channel {name}: {channel.claimed_units} units claimed, {have} held in vouchers, {made} promised"
        if made > channel.deposited_units:
            yield f"channel {name}: {made} units promised out of {channel.deposited_units}"
        if is_settled and not channel.claimed_units == have == made:
            yield f"channel {name} is not settled: {channel.claimed_units} claimed, {have} held, {made} promised"


def _of_receivers(chain: ChainFigures) -> Iterator[str]:
    claimed: Counter[bytes] = Counter()
    for channel in chain.channels.values():
        claimed[channel.receiver] += channel.claimed_units
    for receiver, units in sorted(claimed.items()):
        if chain.settled_units.get(receiver, 0) != units:
            yield f"0x{receiver.hex()} was paid {chain.settled_units.get(receiver, 0)} of {units} claimed units"


def _newest(books: Sequence[Book]) -> dict[bytes, int]:
    newest: dict[bytes, int] = {}
    for book in books:
        for channel_id, units in book.units.items():
            newest[channel_id] = max(units, newest.get(channel_id, 0))
    return newest


def _name(channel_id: bytes) -> str:
    return f"0x{channel_id.hex()[:8]}"


async def chain_figures(settlement: Settlement, token: Token, first_block: int, last_block: int) -> ChainFigures:
    """What the settlement's events up to `last_block` say, and what it held then. Raises as JsonRpc does."""

    async def events(name: str) -> list[dict[str, object]]:
        return [event.arguments for event in await settlement.events(name, first_block, last_block)]

    async def sums(name: str) -> Counter[bytes]:
        field_name = "claimAmount" if name == "Claimed" else "amount"
        found: Counter[bytes] = Counter()
        for arguments in await events(name):
            found[_bytes(arguments["channelId"])] += _int(arguments[field_name])
        return found

    deposited, claimed = await sums("Deposited"), await sums("Claimed")
    refunded = await sums("Refunded") + await sums("WithdrawFinalized")
    channels = {}
    for arguments in await events("ChannelCreated"):
        channel_id, config = _bytes(arguments["channelId"]), arguments["config"]
        assert isinstance(config, tuple)
        figures = (deposited[channel_id], refunded[channel_id], claimed[channel_id])
        channels[channel_id] = ChannelFigures(config[0], config[2], *figures)
    settled: Counter[bytes] = Counter()
    for arguments in await events("Settled"):
        settled[_bytes(arguments["receiver"])] += _int(arguments["amount"])
    return ChainFigures(channels, settled, await token.balance(settlement.address, block=last_block))


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
