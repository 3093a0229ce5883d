"""Runs messages on py-evm's Prague machine over our own cells. Nothing here knows of blocks or signatures."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from eth._utils.address import generate_contract_address
from eth.abc import ComputationAPI
from eth.exceptions import Revert, VMError
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth.vm.message import Message
from eth_hash.auto import keccak
from eth_typing import Address, BlockNumber, Hash32

from nearcast.chain.devchain.cells import BALANCE, CODE, NONCE, STORAGE, TRANSIENT, WARM, Cells
from nearcast.chain.devchain.depth import deep

BASE_GAS = 21_000  # yellow paper, G_transaction
CREATE_GAS = 32_000  # G_txcreate
ZERO_BYTE_GAS, BYTE_GAS = 4, 16  # EIP-2028
INITCODE_WORD_GAS = 2  # EIP-3860
FLOOR_GAS_PER_TOKEN = 10  # EIP-7623: a zero byte is one token, any other byte four
WARM_ADDRESS_GAS, WARM_SLOT_GAS = 2_400, 1_900  # EIP-2930
REFUND_QUOTIENT = 5  # EIP-3529: at most a fifth of the gas used is refunded
INITCODE_SIZE_MAX = 49_152  # EIP-3860

_log = logging.getLogger(__name__)
_NO_ONE = Address(b"")  # how py-evm writes the receiver of a creation

AccessList = Sequence[tuple[bytes, Sequence[int]]]


@dataclass(frozen=True)
class Surroundings:
    """The block that a message runs in. `ancestors` are block hashes, the parent's last."""

    number: int
    timestamp_s: int
    base_fee_wei: int
    gas_limit: int
    coinbase: bytes
    randomness: bytes
    chain_id: int
    ancestors: Sequence[bytes]


@dataclass(frozen=True)
class Call:
    """What a transaction does: `to` None creates a contract. Fees are the caller's business."""

    sender: bytes
    to: bytes | None
    data: bytes = b""
    value: int = 0
    gas: int = 0
    gas_price_wei: int = 0
    access_list: AccessList = ()


@dataclass(frozen=True)
class Log:
    """One event: `address` 20 bytes, `topics` 32 bytes each."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What came of a call. `gas_spent` before, `gas_used` after refunds and the floor of EIP-7623."""

    output: bytes
    gas_used: int
    gas_spent: int
    logs: tuple[Log, ...]
    error: str | None  # None on success
    revert_data: bytes | None  # what REVERT gave; None on success and for failures of another kind
    created: bytes | None


class State(PragueState):
    """py-evm's view of the cells: what opcodes call. Overrides everything that would touch py-evm's own database."""

    def __init__(self, cells: Cells, surroundings: Surroundings) -> None:
        # Not super().__init__: it would open a database.
        self.cells = cells
        self._ancestors = surroundings.ancestors
        self.execution_context = ExecutionContext(
            coinbase=Address(surroundings.coinbase),
            timestamp=surroundings.timestamp_s,
            block_number=BlockNumber(surroundings.number),
            difficulty=0,
            mix_hash=Hash32(surroundings.randomness),
            gas_limit=surroundings.gas_limit,
            prev_hashes=(),
            chain_id=surroundings.chain_id,
            base_fee_per_gas=surroundings.base_fee_wei,
            excess_blob_gas=0,
        )

    def get_storage(self, address: Address, slot: int, from_journal: bool = True) -> int:
        now = self.cells.tables[STORAGE].get((address, slot), 0)
        value = now if from_journal else self.cells.originals.get((address, slot), now)
        return cast(int, value)

    def set_storage(self, address: Address, slot: int, value: int) -> None:
        key = (address, slot)
        self.cells.originals.setdefault(key, self.cells.tables[STORAGE].get(key, 0))
        self.cells.put(STORAGE, key, value)

    def delete_storage(self, address: Address) -> None:
        for slot in self.cells.storage_of(address):
            self.set_storage(address, slot, 0)

    def delete_account(self, address: Address) -> None:
        self.delete_storage(address)
        for table in (BALANCE, NONCE, CODE):
            self.cells.put(table, address, None)

    def get_balance(self, address: Address) -> int:
        return cast(int, self.cells.tables[BALANCE].get(address, 0))

    def set_balance(self, address: Address, balance: int) -> None:
        self.cells.put(BALANCE, address, balance)

    def get_nonce(self, address: Address) -> int:
        return cast(int, self.cells.tables[NONCE].get(address, 0))

    def set_nonce(self, address: Address, nonce: int) -> None:
        self.cells.put(NONCE, address, nonce)

    def increment_nonce(self, address: Address) -> None:
        self.set_nonce(address, self.get_nonce(address) + 1)

    def get_code(self, address: Address) -> bytes:
        return cast(bytes, self.cells.tables[CODE].get(address, b""))

    def set_code(self, address: Address, code: bytes) -> None:
        self.cells.put(CODE, address, code)

    def get_code_hash(self, address: Address) -> Hash32:
        return Hash32(keccak(self.get_code(address)))

    def delete_code(self, address: Address) -> None:
        self.cells.put(CODE, address, None)

    def has_code_or_nonce(self, address: Address) -> bool:
        return address in self.cells.tables[CODE] or address in self.cells.tables[NONCE]

    def account_exists(self, address: Address) -> bool:
        return not self.account_is_empty(address)

    def touch_account(self, address: Address) -> None:
        """Empty accounts are not kept (EIP-161), so there is nothing to touch."""

    def account_is_empty(self, address: Address) -> bool:
        return not any(address in self.cells.tables[table] for table in (CODE, NONCE, BALANCE))

    def is_storage_warm(self, address: Address, slot: int) -> bool:
        return (address, slot) in self.cells.tables[WARM]

    def mark_storage_warm(self, address: Address, slot: int) -> None:
        self.cells.put(WARM, (address, slot), True)

    def is_address_warm(self, address: Address) -> bool:
        return address in self.cells.tables[WARM] or address in self.computation_class.get_precompiles()

    def mark_address_warm(self, address: Address) -> None:
        self.cells.put(WARM, address, True)

    def get_transient_storage(self, address: Address, slot: int) -> bytes:
        return cast(bytes, self.cells.tables[TRANSIENT].get((address, slot), b""))

    def set_transient_storage(self, address: Address, slot: int, value: bytes) -> None:
        self.cells.put(TRANSIENT, (address, slot), value)

    def snapshot(self) -> Any:
        return self.cells.mark()

    def revert(self, snapshot: Any) -> None:
        self.cells.roll_back(snapshot)

    def commit(self, snapshot: Any) -> None:
        """The log of changes stays; only `revert` goes back."""

    def get_ancestor_hash(self, block_number: int) -> Hash32:
        depth = self.block_number - block_number
        if not 1 <= depth <= min(256, len(self._ancestors)):
            return Hash32(b"")
        return Hash32(self._ancestors[-depth])


def intrinsic_gas(call: Call) -> int:
    """What a call costs before its first opcode. Yellow paper 6.2 with EIPs 2028, 2930 and 3860."""
    zeros = call.data.count(0)
    gas = BASE_GAS + zeros * ZERO_BYTE_GAS + (len(call.data) - zeros) * BYTE_GAS
    if call.to is None:
        gas += CREATE_GAS
    for _, slots in call.access_list:
        gas += WARM_ADDRESS_GAS + WARM_SLOT_GAS * len(slots)
    return gas


def floor_gas(call: Call) -> int:
    """The least that calldata costs, whatever the call does (EIP-7623)."""
    zeros = call.data.count(0)
    return BASE_GAS + FLOOR_GAS_PER_TOKEN * (zeros + 4 * (len(call.data) - zeros))


def minimum_gas(call: Call) -> int:
    """The gas limit below which a transaction is not valid."""
    initcode_gas = INITCODE_WORD_GAS * -(-len(call.data) // 32) if call.to is None else 0
    return max(intrinsic_gas(call) + initcode_gas, floor_gas(call))


def run(state: State, call: Call) -> Outcome:
    """Run one call whose gas limit is at least `minimum_gas`: state changes stay on success, fees are not taken.

    The sender's nonce must have been counted up before if the call is a transaction.
    """
    _warm_up(state, call)
    context = state.get_transaction_context_class()(gas_price=call.gas_price_wei, origin=Address(call.sender))
    message = _message(state, call)
    if call.to is None and state.has_code_or_nonce(message.storage_address):
        return _failed(call, "the address of the new contract is taken")
    apply = PragueComputation.apply_create_message if call.to is None else PragueComputation.apply_message
    mark = state.snapshot()
    with deep():
        try:
            computation = apply(state, message, context)
        except VMError as error:  # raised outside of a computation: the value exceeds the balance
            state.revert(mark)
            return _failed(call, str(error))
        except Exception as error:  # noqa: BLE001 - whatever code a stranger sends, the chain goes on
            state.revert(mark)
            _log.warning("py-evm failed", exc_info=True)
            return _failed(call, f"the machine failed: {type(error).__name__}: {error}")
        return _outcome(state, call, computation, message.storage_address if call.to is None else None)


def construct(state: State, sender: bytes, address: bytes, code: bytes, gas: int) -> Outcome:
    """Run a constructor at a chosen address, as no transaction could."""
    call = Call(sender, None, code, gas=gas)
    message = Message(
        gas=gas, to=_NO_ONE, sender=Address(sender), value=0, data=b"", code=code, create_address=Address(address)
    )
    context = state.get_transaction_context_class()(gas_price=0, origin=Address(sender))
    with deep():
        computation = PragueComputation.apply_create_message(state, message, context)
        return _outcome(state, call, computation, address)


def _warm_up(state: State, call: Call) -> None:
    """EIP-2929, EIP-2930 and EIP-3651: what is warm before the first opcode."""
    state.mark_address_warm(Address(call.sender))
    state.mark_address_warm(state.coinbase)
    if call.to is not None:
        state.mark_address_warm(Address(call.to))
    for address, slots in call.access_list:
        state.mark_address_warm(Address(address))
        for slot in slots:
            state.mark_storage_warm(Address(address), slot)


def _message(state: State, call: Call) -> Message:
    gas = call.gas - intrinsic_gas(call)
    sender = Address(call.sender)
    if call.to is not None:
        to = Address(call.to)
        return Message(gas=gas, to=to, sender=sender, value=call.value, data=call.data, code=state.get_code(to))
    address = generate_contract_address(sender, max(0, state.get_nonce(sender) - 1))
    state.mark_address_warm(address)
    return Message(
        gas=gas, to=_NO_ONE, sender=sender, value=call.value, data=b"", code=call.data, create_address=address
    )


def _outcome(state: State, call: Call, computation: ComputationAPI, created: bytes | None) -> Outcome:
    spent = call.gas - computation.get_gas_remaining()
    refund = min(computation.get_gas_refund(), spent // REFUND_QUOTIENT)
    for account in computation.get_accounts_for_deletion():
        state.delete_account(account)
    error = computation.error if computation.is_error else None
    return Outcome(
        output=bytes(computation.output),
        gas_used=max(spent - refund, floor_gas(call)),
        gas_spent=max(spent, floor_gas(call)),
        logs=tuple(
            Log(bytes(address), tuple(topic.to_bytes(32, "big") for topic in topics), bytes(data))
            for address, topics, data in computation.get_log_entries()
        ),
        error=None if error is None else _described(error),
        revert_data=bytes(computation.output) if isinstance(error, Revert) else None,
        created=None if error is not None else created,
    )


def _failed(call: Call, reason: str) -> Outcome:
    return Outcome(b"", call.gas, call.gas, (), reason, None, None)


def _described(error: VMError) -> str:
    if isinstance(error, Revert):
        return "execution reverted"
    name = type(error).__name__
    return {"OutOfGas": "out of gas", "InvalidInstruction": "invalid opcode"}.get(name, f"{name}: {error}")
