"""What the RPC can be asked: a table from the method's name to the function that answers it.

Every function takes the chain and the list of parameters, and returns what goes into `result`. Wrong parameters raise
RpcFault; errors of the chain are translated in protocol.py.
"""

from collections.abc import Callable
from typing import Any, Final

from nearcast import __version__
from nearcast.chain.devchain import addresses, fees, queries
from nearcast.chain.devchain import quantities as q
from nearcast.chain.devchain.node import MINE_MAX, DevChain
from nearcast.chain.devchain.queries import block_at, number_at
from nearcast.chain.devchain.views import block_view, receipt_view, transaction_view
from nearcast.errors import NotFoundError

Params = list[Any]
Method = Callable[[DevChain, Params], Any]


def _take(params: Params, least: int, most: int) -> Params:
    if not least <= len(params) <= most:
        raise q.bad(f"{least} to {most} parameters are wanted, not {len(params)}")
    return params + [None] * (most - len(params))


def _state(read: Callable[[DevChain, bytes, int], Any]) -> Method:
    def method(chain: DevChain, params: Params) -> Any:
        address, block = _take(params, 1, 2)
        return read(chain, q.address(address), number_at(chain, block))

    return method


def _transaction_count(chain: DevChain, params: Params) -> str:
    address, block = _take(params, 1, 2)
    account = q.address(address)
    if block == "pending":
        return q.hex_quantity(chain.nonce_pending(account))
    return q.hex_quantity(chain.engine.nonce(account, number_at(chain, block)))


def _storage(chain: DevChain, params: Params) -> str:
    address, slot, block = _take(params, 2, 3)
    number = number_at(chain, block)
    is_word = isinstance(slot, str) and len(slot) == 66  # as geth does, a slot may be a whole word
    place = int.from_bytes(q.data(slot, "slot"), "big") if is_word else q.quantity(slot, "slot", bits=256)
    return f"0x{chain.engine.storage(q.address(address), place, number):064x}"


def _block(chain: DevChain, params: Params) -> Any:
    which, full = _take(params, 1, 2)
    block = block_at(chain, which)
    return None if block is None else block_view(block, full=q.flag(full or False, "full"))


def _block_by_hash(chain: DevChain, params: Params) -> Any:
    which, full = _take(params, 1, 2)
    try:
        block = chain.engine.block(q.data(which, "hash", size_bytes=32))
    except NotFoundError:
        return None
    return block_view(block, full=q.flag(full or False, "full"))


def _transaction(chain: DevChain, params: Params) -> Any:
    transaction_hash = q.data(_take(params, 1, 1)[0], "hash", size_bytes=32)
    waiting = chain.pool.get(transaction_hash)
    if waiting is not None:
        return transaction_view(waiting)
    try:
        receipt = chain.engine.receipt(transaction_hash)
    except NotFoundError:
        return None
    return transaction_view(receipt.transaction, receipt)


def _receipt(chain: DevChain, params: Params) -> Any:
    transaction_hash = q.data(_take(params, 1, 1)[0], "hash", size_bytes=32)
    try:
        number = chain.engine.receipt(transaction_hash).block_number
    except NotFoundError:
        return None
    block = chain.engine.block(number)
    (receipt,) = [one for one in block.receipts if one.transaction.hash == transaction_hash]
    return receipt_view(receipt, block)


def _block_receipts(chain: DevChain, params: Params) -> Any:
    block = block_at(chain, _take(params, 1, 1)[0])
    return None if block is None else [receipt_view(receipt, block) for receipt in block.receipts]


def _block_transaction_count(chain: DevChain, params: Params) -> Any:
    block = block_at(chain, _take(params, 1, 1)[0])
    return None if block is None else q.hex_quantity(len(block.receipts))


def _send(chain: DevChain, params: Params) -> str:
    return q.hex_data(chain.send(q.data(_take(params, 1, 1)[0], "transaction")))


def _accounts(chain: DevChain, params: Params) -> list[str]:
    _take(params, 0, 0)
    return [q.hex_data(account.address) for account in addresses.ACCOUNTS]


def _increase_time(chain: DevChain, params: Params) -> int:
    return chain.increase_time(q.quantity_or_number(_take(params, 1, 1)[0], "seconds"))


def _set_next_timestamp(chain: DevChain, params: Params) -> None:
    chain.set_next_timestamp(q.quantity_or_number(_take(params, 1, 1)[0], "timestamp"))


def _evm_mine(chain: DevChain, params: Params) -> str:
    (timestamp,) = _take(params, 0, 1)
    if timestamp is not None:
        chain.set_next_timestamp(q.quantity_or_number(timestamp, "timestamp"))
    chain.mine()
    return "0x0"


def _anvil_mine(chain: DevChain, params: Params) -> None:
    (count,) = _take(params, 0, 1)
    number = 1 if count is None else q.quantity_or_number(count, "blocks")
    if number > MINE_MAX:
        raise q.bad(f"at most {MINE_MAX} blocks at once")
    chain.mine(number)


def _snapshot(chain: DevChain, params: Params) -> str:
    _take(params, 0, 0)
    return q.hex_quantity(chain.snapshot())


def _revert(chain: DevChain, params: Params) -> bool:
    try:
        chain.revert(q.quantity_or_number(_take(params, 1, 1)[0], "snapshot"))
    except NotFoundError:
        return False
    return True


def _said(value: Callable[[DevChain], Any]) -> Method:
    def method(chain: DevChain, params: Params) -> Any:
        _take(params, 0, 0)
        return value(chain)

    return method


METHODS: Final[dict[str, Method]] = {
    "web3_clientVersion": _said(lambda chain: f"nearcast-devchain/{__version__}"),
    "net_version": _said(lambda chain: str(chain.engine.chain_id)),
    "net_listening": _said(lambda chain: True),
    "eth_chainId": _said(lambda chain: q.hex_quantity(chain.engine.chain_id)),
    "eth_syncing": _said(lambda chain: False),
    "eth_blockNumber": _said(lambda chain: q.hex_quantity(chain.engine.head.number)),
    "eth_gasPrice": _said(lambda chain: q.hex_quantity(fees.price_wei(chain))),
    "eth_maxPriorityFeePerGas": _said(lambda chain: q.hex_quantity(fees.TIP_WEI)),
    "eth_feeHistory": lambda chain, params: fees.history(chain, *_take(params, 2, 3)),
    "eth_accounts": _accounts,
    "eth_getBlockByNumber": _block,
    "eth_getBlockByHash": _block_by_hash,
    "eth_getBlockReceipts": _block_receipts,
    "eth_getBlockTransactionCountByNumber": _block_transaction_count,
    "eth_getTransactionByHash": _transaction,
    "eth_getTransactionReceipt": _receipt,
    "eth_getTransactionCount": _transaction_count,
    "eth_getBalance": _state(lambda chain, address, number: q.hex_quantity(chain.engine.balance(address, number))),
    "eth_getCode": _state(lambda chain, address, number: q.hex_data(chain.engine.code(address, number))),
    "eth_getStorageAt": _storage,
    "eth_call": lambda chain, params: queries.call(chain, *_take(params, 1, 2)),
    "eth_estimateGas": lambda chain, params: queries.estimate_gas(chain, *_take(params, 1, 2)),
    "eth_getLogs": lambda chain, params: queries.logs(chain, *_take(params, 1, 1)),
    "eth_sendRawTransaction": _send,
    "evm_increaseTime": _increase_time,
    "evm_setNextBlockTimestamp": _set_next_timestamp,
    "evm_mine": _evm_mine,
    "anvil_mine": _anvil_mine,
    "evm_snapshot": _snapshot,
    "evm_revert": _revert,
}
