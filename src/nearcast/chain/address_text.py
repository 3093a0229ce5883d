"""An address for people: 0x and forty digits, some of them capitals, so that a mistyped one is noticed (EIP-55)."""

from nearcast.chain.eip712 import keccak


def address_text(address: bytes) -> str:
    """The checksummed text of 20 bytes."""
    digits = address.hex()
    nibbles = keccak(digits.encode()).hex()[: len(digits)]
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit for digit, nibble in zip(digits, nibbles, strict=True)
    )
