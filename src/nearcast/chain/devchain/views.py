"""Blocks, transactions, receipts and events as Ethereum's JSON-RPC shows them."""

from typing import Any

from nearcast.chain import rlp
from nearcast.chain.devchain import blocks
from nearcast.chain.devchain.blocks import Block, Receipt
from nearcast.chain.devchain.logs import LoggedEvent, events
from nearcast.chain.devchain.quantities import hex_data, hex_quantity
from nearcast.chain.devchain.transactions import LEGACY, Transaction
from nearcast.chain.devchain.tries import EMPTY_ROOT

View = dict[str, Any]


def block_view(block: Block, *, full: bool) -> View:
    """A block, with whole transactions or their hashes. Its header's fields hash to its hash."""
    header = block.header
    rows = [transaction_view(receipt.transaction, receipt, block) for receipt in block.receipts] if full else None
    body = [receipt.transaction.raw for receipt in block.receipts]
    return {
        "number": hex_quantity(header.number),
        "hash": hex_data(header.hash),
        "parentHash": hex_data(header.parent_hash),
        "sha3Uncles": hex_data(blocks.OMMERS_HASH),
        "miner": hex_data(header.coinbase),
        "stateRoot": hex_data(header.state_root),
        "transactionsRoot": hex_data(header.transactions_root),
        "receiptsRoot": hex_data(header.receipts_root),
        "logsBloom": hex_data(header.bloom),
        "difficulty": "0x0",
        "extraData": hex_data(header.extra_data),
        "gasLimit": hex_quantity(header.gas_limit),
        "gasUsed": hex_quantity(header.gas_used),
        "timestamp": hex_quantity(header.timestamp_s),
        "mixHash": hex_data(header.randomness),
        "nonce": "0x0000000000000000",
        "baseFeePerGas": hex_quantity(header.base_fee_wei),
        "withdrawalsRoot": hex_data(EMPTY_ROOT),
        "withdrawals": [],
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": hex_data(blocks.ZERO_HASH),
        "requestsHash": hex_data(blocks.NO_REQUESTS_HASH),
        "size": hex_quantity(len(rlp.encode([rlp.decode(header.encoded), body, [], []]))),
        "uncles": [],
        "transactions": rows if full else [hex_data(receipt.transaction.hash) for receipt in block.receipts],
    }


def transaction_view(transaction: Transaction, receipt: Receipt | None = None, block: Block | None = None) -> View:
    """A transaction; without a receipt it waits."""
    price_wei = transaction.fee_max_wei if receipt is None else receipt.price_wei
    view: View = {
        "hash": hex_data(transaction.hash),
        "type": hex_quantity(transaction.type),
        "blockHash": None if receipt is None else hex_data(receipt.block_hash),
        "blockNumber": None if receipt is None else hex_quantity(receipt.block_number),
        "transactionIndex": None if receipt is None else hex_quantity(receipt.index),
        "from": hex_data(transaction.sender),
        "to": None if transaction.to is None else hex_data(transaction.to),
        "nonce": hex_quantity(transaction.nonce),
        "value": hex_quantity(transaction.value),
        "gas": hex_quantity(transaction.gas),
        "gasPrice": hex_quantity(price_wei),
        "input": hex_data(transaction.data),
        "v": hex_quantity(transaction.v),
        "r": hex_quantity(transaction.r),
        "s": hex_quantity(transaction.s),
    }
    if transaction.chain_id is not None:
        view["chainId"] = hex_quantity(transaction.chain_id)
    if transaction.type != LEGACY:
        view["yParity"] = hex_quantity(transaction.v)
        view["accessList"] = [
            {"address": hex_data(address), "storageKeys": [f"0x{slot:064x}" for slot in slots]}
            for address, slots in transaction.access_list
        ]
    if transaction.type == 2:
        view["maxFeePerGas"] = hex_quantity(transaction.fee_max_wei)
        view["maxPriorityFeePerGas"] = hex_quantity(transaction.priority_fee_max_wei)
    return view


def receipt_view(receipt: Receipt, block: Block) -> View:
    """A receipt. `revertData` is not in Ethereum's: what the contract said when it refused."""
    transaction = receipt.transaction
    view: View = {
        "transactionHash": hex_data(transaction.hash),
        "transactionIndex": hex_quantity(receipt.index),
        "blockHash": hex_data(receipt.block_hash),
        "blockNumber": hex_quantity(receipt.block_number),
        "from": hex_data(transaction.sender),
        "to": None if transaction.to is None else hex_data(transaction.to),
        "cumulativeGasUsed": hex_quantity(receipt.cumulative_gas_used),
        "gasUsed": hex_quantity(receipt.gas_used),
        "effectiveGasPrice": hex_quantity(receipt.price_wei),
        "contractAddress": None if receipt.created is None else hex_data(receipt.created),
        "logs": [event_view(event, block) for event in events(block) if event.receipt is receipt],
        "logsBloom": hex_data(receipt.bloom),
        "status": hex_quantity(receipt.status),
        "type": hex_quantity(transaction.type),
    }
    if receipt.revert_data is not None:
        view["revertData"] = hex_data(receipt.revert_data)
    return view


def event_view(event: LoggedEvent, block: Block) -> View:
    """One event."""
    return {
        "address": hex_data(event.log.address),
        "topics": [hex_data(topic) for topic in event.log.topics],
        "data": hex_data(event.log.data),
        "blockNumber": hex_quantity(event.receipt.block_number),
        "blockHash": hex_data(event.receipt.block_hash),
        "blockTimestamp": hex_quantity(block.timestamp_s),
        "transactionHash": hex_data(event.receipt.transaction.hash),
        "transactionIndex": hex_quantity(event.receipt.index),
        "logIndex": hex_quantity(event.index),
        "removed": False,
    }
