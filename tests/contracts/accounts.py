"""The test accounts of every development chain, with their keys."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from coincurve import PrivateKey
from eth_hash.auto import keccak

from nearcast.chain.devchain.addresses import ACCOUNTS

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1 (SEC 2)


@dataclass(frozen=True)
class TestAccount:
    """A key and its address (20 bytes). Any 32 bytes make one, not only the ten that own something."""

    __test__ = False  # pytest: not a test class

    secret: bytes

    @cached_property
    def address(self) -> bytes:
        point = PrivateKey(self.secret).public_key.format(compressed=False)
        return bytes(keccak(point[1:])[12:])

    def sign(self, digest: bytes) -> bytes:
        """r, s, v (27 or 28) over a digest of 32 bytes; s is low."""
        signature = PrivateKey(self.secret).sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])


def well_known() -> list[TestAccount]:
    """The ten accounts, in the order of the mnemonic."""
    return [TestAccount(account.secret) for account in ACCOUNTS]


def key_of(word: str) -> TestAccount:
    """A key made of a word, for hot keys and strangers."""
    return TestAccount(bytes(keccak(word.encode())))


def high_s(signature: bytes) -> bytes:
    """The other signature that ecrecover takes for the same key and digest: s mirrored, v flipped."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])


def compact(signature: bytes) -> bytes:
    """The 64 bytes of EIP-2098: the same signature, v in the highest bit of s."""
    s = int.from_bytes(signature[32:64], "big") | (signature[64] - 27) << 255
    return signature[:32] + s.to_bytes(32, "big")
