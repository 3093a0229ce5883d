"""Which transactions a block may contain. The messages are geth's: clients look for their words."""

from nearcast.chain.devchain import blocks, machine
from nearcast.chain.devchain.transactions import InvalidTransactionError, Transaction


def wrong_nonce(transaction: Transaction, next_nonce: int) -> InvalidTransactionError:
    """The error for a nonce that is not the sender's next."""
    word = "low" if transaction.nonce < next_nonce else "high"
    return InvalidTransactionError(f"nonce too {word}: next nonce {next_nonce}, tx nonce {transaction.nonce}")


def check(transaction: Transaction, base_fee_wei: int, balance_wei: int, sender_code: bytes) -> None:
    """Raises InvalidTransactionError unless a block of this base fee may contain it. Nonces are looked at elsewhere."""
    least = machine.minimum_gas(transaction.call(base_fee_wei))
    if transaction.gas < least:
        raise InvalidTransactionError(f"intrinsic gas too low: have {transaction.gas}, want {least}")
    if transaction.gas > blocks.GAS_LIMIT:
        raise InvalidTransactionError(f"exceeds block gas limit: {transaction.gas} over {blocks.GAS_LIMIT}")
    if transaction.fee_max_wei < base_fee_wei:
        raise InvalidTransactionError(
            f"max fee per gas less than block base fee: {transaction.fee_max_wei}, base fee: {base_fee_wei}"
        )
    need_wei = transaction.gas * transaction.fee_max_wei + transaction.value
    if balance_wei < need_wei:
        raise InvalidTransactionError(f"insufficient funds for gas * price + value: have {balance_wei} want {need_wei}")
    if sender_code:
        raise InvalidTransactionError("sender not an eoa")
    if transaction.to is None and len(transaction.data) > machine.INITCODE_SIZE_MAX:
        raise InvalidTransactionError(f"max initcode size exceeded: {len(transaction.data)}")
