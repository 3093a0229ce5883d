"""What a transaction did, in a few words: the function by name, and why the contract refused."""

from typing import Final

from nearcast.chain.abi import Contract, contract
from nearcast.chain.devchain.addresses import CONTRACTS
from nearcast.chain.devchain.blocks import Receipt
from nearcast.chain.reverts import revert_error

ERROR_STRING: Final = bytes.fromhex("08c379a0")  # the selector of Error(string)
ERROR_TEXT_SIZE_MAX_BYTES: Final = 1_024
_NAMES: Final = {address: name for name, address in CONTRACTS.items()}


def function_of(receipt: Receipt) -> str:
    """`BatchSettlement.claim`; of a contract that is not ours its address and the selector."""
    transaction = receipt.transaction
    if transaction.to is None:
        return "creates a contract"
    if not transaction.data:
        return "pays 0x" + transaction.to.hex()
    known = _contract(transaction.to)
    if known is None:
        return f"0x{transaction.to.hex()} 0x{transaction.data[:4].hex()}"
    called = known.functions.get(transaction.data[:4])
    return f"{known.artifact.name}.{called.name if called else '0x' + transaction.data[:4].hex()}"


def refusal_of(receipt: Receipt) -> str | None:
    """None when it went through, else why not."""
    if receipt.status:
        return None
    if receipt.revert_data is None:
        return receipt.error or "failed"
    return revert_error(receipt.revert_data).message


def error_text(data: bytes) -> str:
    """The text of an `Error(string)`, the first kilobyte of it; "" when the data is something else."""
    if data[:4] != ERROR_STRING or len(data) < 68:
        return ""
    size_bytes = min(int.from_bytes(data[36:68], "big"), ERROR_TEXT_SIZE_MAX_BYTES)
    return data[68 : 68 + size_bytes].decode("utf-8", "replace")


def _contract(address: bytes) -> Contract | None:
    name = _NAMES.get(address)
    return None if name is None else contract(name)
