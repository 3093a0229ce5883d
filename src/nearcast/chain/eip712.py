"""EIP-712: the hash that a typed, domain-bound statement is signed by, with everything that never changes precomputed.

A statement's digest is keccak(0x19 0x01 ‖ domain separator ‖ struct hash); a struct hash is keccak(type hash ‖ one
32-byte word per field). Source: https://eips.ethereum.org/EIPS/eip-712. Nothing heavy is imported here: vouchers and
offers are signed while bytes flow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from eth_hash.backends.pycryptodome import keccak256 as keccak  # named, so that no environment variable picks another

from nearcast.errors import UsageError

__all__ = [
    "ADDRESS_BYTES",
    "ZERO_ADDRESS",
    "Domain",
    "address_word",
    "keccak",
    "strings_hash",
    "type_hash",
    "uint_word",
]

WORD_BYTES = 32
ADDRESS_BYTES = 20
ZERO_ADDRESS = bytes(ADDRESS_BYTES)
_ADDRESS_PADDING = bytes(WORD_BYTES - ADDRESS_BYTES)


def type_hash(encoding: str) -> bytes:
    """The hash of a type such as "Voucher(bytes32 channelId,uint128 maxClaimableAmount)"."""
    return keccak(encoding.encode())


_DOMAIN_TYPE = type_hash("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


def uint_word(value: int, bits: int) -> bytes:
    """`value` as uint`bits` in 32 bytes. UsageError where it does not fit: the contract would see another number."""
    if not 0 <= value < 1 << bits:
        raise UsageError(f"{value} is not a number of {bits} bits")
    return value.to_bytes(WORD_BYTES)


def address_word(address: bytes) -> bytes:
    """A 20-byte address in 32 bytes; UsageError for another length."""
    if len(address) != ADDRESS_BYTES:
        raise UsageError(f"an address is {ADDRESS_BYTES} bytes, this one is {len(address)}")
    return _ADDRESS_PADDING + address


def bytes32_word(value: bytes) -> bytes:
    """The 32 bytes themselves; UsageError for another length."""
    if len(value) != WORD_BYTES:
        raise UsageError(f"a hash is {WORD_BYTES} bytes, this one is {len(value)}")
    return value


def strings_hash(strings: Sequence[str]) -> bytes:
    """The word that stands for a string[]."""
    return keccak(b"".join(keccak(string.encode()) for string in strings))


@dataclass(frozen=True, slots=True)
class Domain:
    """One contract on one chain: a signature made for it is worth nothing at any other."""

    name: str
    version: str
    chain_id: int
    contract: bytes
    _prefix: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_prefix", b"\x19\x01" + self._separator())

    def _separator(self) -> bytes:
        return keccak(
            _DOMAIN_TYPE
            + keccak(self.name.encode())
            + keccak(self.version.encode())
            + uint_word(self.chain_id, 256)
            + address_word(self.contract)
        )

    @property
    def separator(self) -> bytes:
        """32 bytes, equal to the contract's own domain separator."""
        return self._prefix[2:]

    def digest(self, struct_hash: bytes) -> bytes:
        """The 32 bytes to sign."""
        return keccak(self._prefix + struct_hash)
