"""How a node enters the registry: three keys say the same thing about it.

The operator (a cold key that owns the bond) signs the whole record, the hot key signs that it serves this operator,
both by EIP-712 for the Registry contract; the endpoint key signs by ed25519, which no contract can check cheaply, so
everyone who reads a record does (node_records.py). All three are bound to the operator's nonce: none can be replayed.
"""

from dataclasses import dataclass

from nearcast import keys
from nearcast.chain.bond import MBPS_MAX, MBPS_MIN
from nearcast.chain.eip712 import (
    ZERO_ADDRESS,
    Domain,
    address_word,
    bytes32_word,
    keccak,
    strings_hash,
    type_hash,
    uint_word,
)
from nearcast.chain.signing import Signer
from nearcast.errors import UsageError

URLS_MAX = 4
URL_BYTES_MAX = 128
ENDPOINT_SIGNATURE_BYTES = 64
_ENDPOINT_PREFIX = b"nearcast registration v1\x00"
_REGISTRATION_TYPE = type_hash(
    "Registration(address operator,address hotKey,bytes32 endpointId,uint32 mbps,"
    "bytes2 region,uint64 pricePerGib,string[] urls,uint256 nonce)"
)
_HOT_KEY_TYPE = type_hash("HotKey(address operator,address hotKey,uint256 nonce)")


def registry_domain(chain_id: int, registry: bytes) -> Domain:
    """The domain of the operator's and the hot key's signature."""
    return Domain("Nearcast Registry", "1", chain_id, registry)


@dataclass(frozen=True, slots=True)
class Registration:
    """What a node declares. Addresses 20 bytes, endpoint id 32; region: two capital letters (ISO 3166-1).

    UsageError for what the registry would refuse.
    """

    operator: bytes
    hot_key: bytes
    endpoint_id: bytes
    mbps: int
    region: str
    price_units_per_gib: int
    urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if address_word(self.operator)[12:] == ZERO_ADDRESS or address_word(self.hot_key)[12:] == ZERO_ADDRESS:
            raise UsageError("neither the operator nor the hot key can be the zero address")
        if bytes32_word(self.endpoint_id) == bytes(32):
            raise UsageError("an endpoint id cannot be zero")
        if not MBPS_MIN <= self.mbps <= MBPS_MAX:
            raise UsageError(f"a capacity is {MBPS_MIN} to {MBPS_MAX} Mbps, not {self.mbps}")
        if not is_region(self.region):
            raise UsageError(f"a region is two capital letters such as DE, not {self.region!r}")
        uint_word(self.price_units_per_gib, 64)
        if len(self.urls) > URLS_MAX or not all(0 < len(url.encode()) <= URL_BYTES_MAX for url in self.urls):
            raise UsageError(f"a node has at most {URLS_MAX} URLs of 1 to {URL_BYTES_MAX} bytes")

    def as_tuple(self) -> tuple[bytes, bytes, bytes, int, bytes, int, tuple[str, ...]]:
        """The fields in the contract's order, for a call's arguments."""
        return (
            self.operator,
            self.hot_key,
            self.endpoint_id,
            self.mbps,
            self.region.encode(),
            self.price_units_per_gib,
            self.urls,
        )


def is_region(text: str) -> bool:
    """Whether it has the form of a region; which letters are a country is not asked."""
    return len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()


def registration_digest(domain: Domain, registration: Registration, nonce: int) -> bytes:
    """What the operator signs."""
    return domain.digest(
        keccak(
            _REGISTRATION_TYPE
            + address_word(registration.operator)
            + address_word(registration.hot_key)
            + registration.endpoint_id
            + uint_word(registration.mbps, 32)
            + registration.region.encode().ljust(32, b"\0")
            + uint_word(registration.price_units_per_gib, 64)
            + strings_hash(registration.urls)
            + uint_word(nonce, 256)
        )
    )


def hot_key_digest(domain: Domain, operator: bytes, hot_key: bytes, nonce: int) -> bytes:
    """What the hot key signs, so that nobody can register another's."""
    return domain.digest(keccak(_HOT_KEY_TYPE + address_word(operator) + address_word(hot_key) + uint_word(nonce, 256)))


def endpoint_message(domain: Domain, operator: bytes, endpoint_id: bytes, nonce: int) -> bytes:
    """What the endpoint key signs: 141 bytes of fixed layout, so no two statements share an encoding."""
    return (
        _ENDPOINT_PREFIX
        + uint_word(domain.chain_id, 256)
        + domain.contract
        + address_word(operator)[12:]
        + bytes32_word(endpoint_id)
        + uint_word(nonce, 256)
    )


def verify_endpoint(domain: Domain, operator: bytes, endpoint_id: bytes, nonce: int, signature: bytes) -> bool:
    """Whether the endpoint key agreed to stand in this operator's record; anything malformed is simply False."""
    return keys.verify(endpoint_id, endpoint_message(domain, operator, endpoint_id, nonce), signature)


@dataclass(frozen=True, slots=True)
class SignedRegistration:
    """The arguments of Registry.register and Registry.update."""

    registration: Registration
    operator_signature: bytes
    hot_key_signature: bytes
    endpoint_signature: bytes

    def as_arguments(self) -> tuple[object, bytes, bytes, bytes]:
        return (
            self.registration.as_tuple(),
            self.operator_signature,
            self.hot_key_signature,
            self.endpoint_signature,
        )


def sign_registration(
    domain: Domain,
    registration: Registration,
    nonce: int,
    *,
    hot_key: Signer,
    endpoint: keys.Identity,
    operator: Signer | None = None,
) -> SignedRegistration:
    """All signatures for `nonce`. Without `operator` its signature stays empty: then it must send the call itself.

    UsageError when a key is not the one that the registration names.
    """
    if (hot_key.address, endpoint.endpoint_id) != (registration.hot_key, registration.endpoint_id):
        raise UsageError("the registration names another hot key or endpoint than the ones that would sign it")
    if operator is not None and operator.address != registration.operator:
        raise UsageError("the registration names another operator than the one that would sign it")
    return SignedRegistration(
        registration,
        b"" if operator is None else operator.sign(registration_digest(domain, registration, nonce)),
        hot_key.sign(hot_key_digest(domain, registration.operator, registration.hot_key, nonce)),
        endpoint.sign(endpoint_message(domain, registration.operator, registration.endpoint_id, nonce)),
    )
