"""Handing a signed transaction to an endpoint, and understanding what it says to that.

There is no standard for the refusals; these are the words of geth, erigon, nethermind, besu, reth, anvil and ours. A
refusal that says that the nonce is used is looked up by hash rather than believed.
"""

from enum import Enum
from typing import Final

from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_wire import RpcError
from nearcast.chain.transaction_signing import SignedTransaction
from nearcast.errors import ChainError, FundsError, RevertedError, UnavailableError

_KNOWN: Final = ("already known", "alreadyknown", "known transaction", "already imported", "already exists")
_NONCE_USED: Final = (
    "nonce too low",
    "nonce is too low",
    "oldnonce",
    "invalid nonce",
    "already been used",
    "nonce has",
)
_NONCE_HELD: Final = ("replacement", "underpriced: another", "same nonce")
_NO_FUNDS: Final = ("insufficient funds", "insufficientfunds", "insufficient balance", "doesn't have enough funds")


class Handover(Enum):
    """What became of it."""

    TAKEN = "taken"  # the endpoint has it, or a block does
    UNKNOWN = "unknown"  # nobody answered: it may have arrived
    NONCE_TAKEN = "nonce taken"  # another transaction has the nonce, in a block or waiting


async def hand_over(rpc: JsonRpc, transaction: SignedTransaction) -> Handover:
    """Give it to the endpoint. Raises FundsError or RpcError when the endpoint refuses it, ChainError when it lies."""
    try:
        told = await rpc.send_raw(transaction.raw)
    except (UnavailableError, RevertedError):  # some run it first and tell that it failed; the receipt will say
        return Handover.UNKNOWN
    except RpcError as error:
        return await _understood(rpc, transaction, error)
    if told != transaction.hash:
        raise ChainError(f"{rpc.place} took a transaction and gives it another hash")
    return Handover.TAKEN


async def _understood(rpc: JsonRpc, transaction: SignedTransaction, error: RpcError) -> Handover:
    said = error.message.lower()
    if any(words in said for words in _KNOWN):
        return Handover.TAKEN
    if any(words in said for words in _NONCE_USED + _NONCE_HELD):
        is_there = await rpc.transaction(transaction.hash) or await rpc.receipt(transaction.hash)
        return Handover.TAKEN if is_there else Handover.NONCE_TAKEN
    if any(words in said for words in _NO_FUNDS):
        raise FundsError(f"the account cannot pay for the transaction: {error.message}") from error
    raise RpcError(f"{rpc.place} does not take the transaction: {error.message}", code=error.code) from error
