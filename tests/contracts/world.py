"""A chain with our contracts on it, in this process, to be told what to do in a line.

    world.settlement.call("channels", channel_id).balance
    done = world.token.transact("approve", world.registry, 5, sender=world.accounts[1])
    done.event("Approval").value, done.gas_used

Real blocks of one transaction each, run by the dev chain's machine: gas, warm and cold slots, logs and block hashes are
as on a chain. Two things are made cheap: no signature is made for a transaction (so a test may speak as any address,
contracts too), and the state root is not computed. `fork()` makes a context out of which everything is as before.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

from eth_hash.auto import keccak
from tests.contracts.accounts import well_known
from tests.contracts.codec import Codec, Event, Reverted, error_of, initcode
from tests.contracts.storage import fields_of, slot_of

from nearcast.chain.artifacts import Artifact, artifact
from nearcast.chain.devchain.addresses import CONTRACTS
from nearcast.chain.devchain.blocks import Receipt
from nearcast.chain.devchain.cells import BALANCE, CODE, Account, Cells, Change
from nearcast.chain.devchain.engine import Engine, EvmHalt, EvmRevert
from nearcast.chain.devchain.genesis import make_alloc, packaged
from nearcast.chain.devchain.machine import Call, Log, Outcome, State, run
from nearcast.chain.devchain.transactions import DYNAMIC_FEE, Transaction
from nearcast.chain.devchain.tries import EMPTY_ROOT

ZERO: Final = bytes(20)
ETHER: Final = 10**18
DAY_S: Final = 86_400
DOLLAR: Final = 1_000_000  # units of a token of six decimals
GAS: Final = 16_000_000  # a transaction's limit: more than anything here needs


class _NoTrie:
    """In place of the state trie: every root is the empty one."""

    def follow(self, cells: Cells, changes: Iterable[Change]) -> bytes:
        return EMPTY_ROOT


class QuickEngine(Engine):
    """The dev chain without state roots, that takes transactions of anyone without a signature."""

    def __init__(self, accounts: Mapping[bytes, Account]) -> None:
        super().__init__(accounts)
        self._trie = _NoTrie()  # type: ignore[assignment]

    def check(self, transaction: Transaction, base_fee_wei: int | None = None) -> None:
        """Everything we make fits."""

    def send_as(self, sender: bytes, to: bytes | None, data: bytes, value: int = 0, gas: int = GAS) -> Receipt:
        """Mine a block of one transaction from `sender`, whoever that is; returns its receipt."""
        if self.balance(sender) < ETHER + value:
            self._cells.put(BALANCE, sender, ETHER + value)
        nonce = self.nonce(sender)
        raw = sender + nonce.to_bytes(8, "big") + data
        fee = self.head.header.next_base_fee_wei()
        transaction = Transaction(
            raw, keccak(raw), sender, DYNAMIC_FEE, self.chain_id, nonce, 0, fee, gas, to, value, data, (), 0, 1, 1
        )
        return self.mine_transactions([transaction]).receipts[0]

    def put_code(self, address: bytes, code: bytes) -> None:
        """As no transaction could, and in a block of its own, so that nothing later undoes it."""
        self._cells.put(CODE, address, code)
        self.mine()

    def _try(self, call: Call, number: int | None) -> Outcome:
        """Calls of "now" run in the next block, not in the one that is done."""
        if number is not None:
            return super()._try(call, number)
        mark = self._cells.mark()
        surroundings = self._surroundings(self._next_header(self.next_timestamp_s()), self._hashes)
        try:
            return run(State(self._cells, surroundings), call)
        finally:
            self._cells.roll_back(mark)
            self._cells.end_transaction()


@dataclass(frozen=True)
class Done:
    """What a transaction that went through has done."""

    gas_used: int
    events: tuple[Event, ...]
    block_number: int
    timestamp_s: int
    created: bytes | None

    def named(self, name: str) -> list[Event]:
        """The events of this name."""
        return [event for event in self.events if event.name == name]

    def event(self, name: str) -> Event:
        """The one event of this name."""
        (event,) = self.named(name)
        return event


@dataclass(frozen=True)
class Contract:
    """A contract at an address. Arguments are Python values; whatever has an `address` stands for it."""

    world: "World"
    codec: Codec
    address: bytes

    @property
    def name(self) -> str:
        return self.codec.name

    def encode(self, function: str, *args: Any) -> bytes:
        """The calldata, for multicalls and proposals."""
        return self.codec.encode_call(function, args)

    def call(self, function: str, *args: Any, sender: Any = ZERO, value: int = 0) -> Any:
        """What it would return now, changing nothing; raises Reverted. Overloads by their full signature.

        "Now" is the moment of the next block, so that a view tells what a transaction would meet.
        """
        data = self.encode(function, *args)
        output = self.world.read(self.address, data, address_of(sender), value)
        return self.codec.decode_result(function, len(args), output)

    def transact(self, function: str, *args: Any, sender: Any, value: int = 0) -> Done:
        """Do it in a block of its own; raises Reverted (the block is mined all the same)."""
        return self.world.send(self.address, self.encode(function, *args), sender, value)


class World:
    """The chain, its contracts, its people. `settlement`, `token` … are the contracts of the dev chain's genesis."""

    def __init__(self) -> None:
        self.accounts = well_known()
        self.engine = QuickEngine(make_alloc(packaged()))
        self._codecs: dict[bytes, Codec] = {}
        self._contracts: dict[str, Contract] = {}
        for name in packaged():
            self._contracts[name] = self.at(artifact(name), CONTRACTS[name])

    # --- contracts -----------------------------------------------------------------------------------------------

    def contract(self, name: str) -> Contract:
        """The one of this name in the genesis."""
        return self._contracts[name]

    def at(self, what: Artifact, address: bytes) -> Contract:
        """A contract that stands at an address already."""
        codec = Codec(what.name, what.abi)
        self._codecs[address] = codec
        return Contract(self, codec, address)

    def deploy(self, what: str | Artifact, *args: Any, sender: Any = None) -> Contract:
        """A new contract from a packaged artifact (by name) or any other; raises Reverted."""
        found = artifact(what) if isinstance(what, str) else what
        receipt = self.engine.send_as(address_of(sender or self.accounts[0]), None, initcode(found, args))
        if receipt.created is None:
            raise self._reverted(None, receipt.revert_data, receipt.error, Codec(found.name, found.abi))
        return self.at(found, receipt.created)

    def replace(self, what: Artifact, *args: Any) -> None:
        """Put another contract of the same name and layout in the place of a packaged one, whose storage stays."""
        stand_in = self.deploy(what, *args)
        self.engine.put_code(CONTRACTS[what.name], self.engine.code(stand_in.address))
        self._contracts[what.name] = self.at(what, CONTRACTS[what.name])

    @property
    def settlement(self) -> Contract:
        return self._contracts["BatchSettlement"]

    @property
    def erc3009_collector(self) -> Contract:
        return self._contracts["ERC3009DepositCollector"]

    @property
    def allowance_collector(self) -> Contract:
        return self._contracts["AllowanceDepositCollector"]

    @property
    def token(self) -> Contract:
        return self._contracts["TestUSDC"]

    @property
    def registry(self) -> Contract:
        return self._contracts["Registry"]

    @property
    def origins(self) -> Contract:
        return self._contracts["Origins"]

    @property
    def blacklist(self) -> Contract:
        return self._contracts["Blacklist"]

    @property
    def court(self) -> Contract:
        return self._contracts["Court"]

    @property
    def timelock(self) -> Contract:
        return self._contracts["NearcastTimelock"]

    @property
    def governor(self) -> Contract:
        return self._contracts["NearcastGovernor"]

    # --- time and state ------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> int:
        """The moment of the next block, if nothing travels before."""
        return self.engine.next_timestamp_s()

    def travel(self, seconds: int) -> None:
        """Let time pass; the next block is that much later."""
        self.engine.increase_time(seconds)

    def travel_to(self, timestamp_s: int) -> None:
        """The next block is at this moment."""
        self.engine.set_time(timestamp_s)

    def mine(self, count: int = 1) -> None:
        """Empty blocks."""
        self.engine.mine(count)

    @contextmanager
    def fork(self) -> Iterator["World"]:
        """Everything done inside is undone at the end."""
        snapshot = self.engine.snapshot()
        known = set(self._codecs)
        try:
            yield self
        finally:
            self.engine.revert(snapshot)
            for address in set(self._codecs) - known:
                del self._codecs[address]

    # --- storage -------------------------------------------------------------------------------------------------

    def read_word(self, contract: Contract, name: str, label: str, *keys: bytes) -> int:
        """One slot of a contract laid out like the artifact `name`: much quicker than asking a view."""
        return self.engine.storage(contract.address, slot_of(name, label, *keys))

    def read_struct(self, contract: Contract, name: str, label: str, *keys: bytes) -> dict[str, int]:
        """A struct in a mapping, by the names of its fields."""
        first, read = slot_of(name, label, *keys), partial(self.engine.storage, contract.address)
        return {field: read(first + slot) >> shift & mask for field, slot, shift, mask in fields_of(name, label)}

    # --- messages ------------------------------------------------------------------------------------------------

    def send(self, to: bytes | None, data: bytes, sender: Any, value: int = 0) -> Done:
        """A transaction of its own block; raises Reverted."""
        receipt = self.engine.send_as(address_of(sender), to, data, value)
        if receipt.status != 1:
            raise self._reverted(to, receipt.revert_data, receipt.error)
        events = [self._event(log) for log in receipt.logs]
        block = self.engine.head
        return Done(receipt.gas_used, tuple(events), block.number, block.timestamp_s, receipt.created)

    def read(self, to: bytes, data: bytes, sender: bytes, value: int) -> bytes:
        """A call at the moment of the next block; raises Reverted."""
        try:
            return self.engine.call(to, data, sender=sender, value=value)
        except EvmRevert as error:
            raise self._reverted(to, error.data, None) from None
        except EvmHalt as error:
            raise self._reverted(to, None, str(error)) from None

    def _reverted(self, to: bytes | None, data: bytes | None, error: str | None, *codecs: Codec) -> Reverted:
        if data is None:
            return Reverted("Halt", (error,))
        asked = [self._codecs[to]] if to in self._codecs else []
        return error_of(data, [*codecs, *asked, *self._codecs.values()])

    def _event(self, log: Log) -> Event:
        codec = self._codecs.get(log.address)
        return codec.decode_event(log.topics, log.data) if codec else Event("", "", (log.address, log.topics, log.data))


def address_of(speaker: Any) -> bytes:
    """20 bytes, or of whatever has an address."""
    address = getattr(speaker, "address", speaker)
    assert isinstance(address, bytes)
    assert len(address) == 20
    return address


@cache
def shared() -> World:
    """The one world of this process, built once. Whoever takes it forks it."""
    return World()
