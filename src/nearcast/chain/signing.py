"""secp256k1 signatures as contracts check them: 65 bytes r ‖ s ‖ v, s in the lower half, v 27 or 28.

One statement has one accepted signature per key and digest form: the twin with a high s, the 64-byte form of EIP-2098
and a v of 0 or 1 are refused, as by OpenZeppelin's ECDSA, so what is accepted here is accepted on the chain.
"""

from functools import lru_cache

from coincurve import PrivateKey, PublicKey

from nearcast.chain.eip712 import keccak
from nearcast.errors import RemoteError, UsageError

SECRET_BYTES = 32
SIGNATURE_BYTES = 65
# The order of the curve's group (SEC 2, section 2.4.1).
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_S_MAX = (ORDER // 2).to_bytes(32)  # bytes compare like the numbers they are
_V = (b"\x1b", b"\x1c")
_ADDRESSES_MAX = 1_024  # 150 kB; more payers than that at once cost the hash again


class Signer:
    """A secp256k1 key that signs digests. The secret is in no repr."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        """`secret`: 32 bytes. UsageError when it is not a number from 1 to the group's order less 1."""
        if len(secret) != SECRET_BYTES or not 0 < int.from_bytes(secret) < ORDER:
            raise UsageError("this is not a secp256k1 secret: 32 bytes, not zero and below the order of the curve")
        self._key = PrivateKey(secret)
        self.address = _address(self._key.public_key)

    def __repr__(self) -> str:
        return f"Signer(0x{self.address.hex()})"

    @property
    def secret(self) -> bytes:
        """The 32 bytes, for a keystore and for transactions."""
        return self._key.secret

    def sign(self, digest: bytes) -> bytes:
        """The 65-byte signature of a 32-byte digest; deterministic (RFC 6979). UsageError for another length."""
        try:
            signature = self._key.sign_recoverable(digest, hasher=None)
        except ValueError as error:
            raise UsageError(f"what is signed is a digest of 32 bytes, this one is {len(digest)}") from error
        return signature[:64] + _V[signature[64]]


def recover(digest: bytes, signature: bytes) -> bytes:
    """The 20-byte address of the key that signed. RemoteError, saying why, for anything but a strict signature."""
    if len(signature) != SIGNATURE_BYTES:
        raise RemoteError(f"a signature is {SIGNATURE_BYTES} bytes, this one is {len(signature)}")
    v = signature[64]
    if v != 27 and v != 28:
        raise RemoteError(f"a signature ends with 27 or 28, this one with {v}")
    if signature[32:64] > _S_MAX:
        raise RemoteError("the signature is the high-s twin of a valid one")
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + (b"\x00", b"\x01")[v - 27], digest, hasher=None)
    except ValueError as error:
        raise RemoteError("no key made this signature") from error
    return _address(key)


def is_signed_by(address: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether `signature` is `address`'s over `digest`; anything malformed is simply False."""
    try:
        return recover(digest, signature) == address
    except RemoteError:
        return False


def _address(key: PublicKey) -> bytes:
    return _address_of_point(key.format(compressed=False))


# A payer signs thousands of vouchers in a row: its address is computed once (6 of 75 µs).
@lru_cache(maxsize=_ADDRESSES_MAX)
def _address_of_point(point: bytes) -> bytes:
    return keccak(point[1:])[12:]
