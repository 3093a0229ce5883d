"""What the hash table keeps: who provides a key, and small signed values.

A provider record says "this endpoint has that content, at these addresses, until then". A value is up to 1 KiB under a
key that its owner's public key and a name decide. Both are signed with an endpoint key (ed25519), so that whoever hands
them on cannot change them, and both carry a sequence number: of two by one owner for one key the higher one counts.
Times are unix seconds, whole ones. What is signed is a tag and the deterministic DAG-CBOR of all the other fields.

Invariants: a record that parses is within its bounds; one that `is_genuine` was made by whom it names. Whether it is
still of use is for the reader's clock to say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nearcast.errors import UsageError
from nearcast.fields import bytes_of, bytes_within, exactly, integer_of
from nearcast.overlay.contact_fields import contact_fields, parse_contact, parse_endpoint_id
from nearcast.overlay.kademlia.keys import KEY_BYTES, value_key
from nearcast.transport.base import PeerAddress
from nearcast.wire import encode_message

Sign = Callable[[bytes], bytes]
"""message -> 64-byte signature of this node's endpoint key."""
Verify = Callable[[bytes, bytes, bytes], bool]
"""(32-byte public key, message, signature) -> whether it is that key's signature."""

SIGNATURE_BYTES: Final = 64  # ed25519, RFC 8032
VALUE_BYTES_MAX: Final = 1024  # a name record with a CID and two signatures of its own; BitTorrent's BEP 44 allows 1000
NAME_BYTES_MAX: Final = 64  # guess: a label of DNS has 63
SEQUENCE_MAX: Final = (1 << 63) - 1  # what every DAG-CBOR reader can hold
TIME_S_MAX: Final = 1 << 40  # unix seconds

_PROVIDER_TAG: Final = "nearcast provider record 1"
_VALUE_TAG: Final = "nearcast value record 1"


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """`provider` has the content whose root is `key` (32 bytes), says its signature. `expiry_s`: unix seconds."""

    key: bytes
    provider: PeerAddress
    sequence: int
    expiry_s: int
    signature: bytes

    @property
    def owner(self) -> bytes:
        return self.provider.endpoint_id


@dataclass(frozen=True, slots=True)
class ValueRecord:
    """`owner`'s value called `name`. `expiry_s`: unix seconds. `key` follows from the owner and the name."""

    owner: bytes
    name: bytes
    value: bytes
    sequence: int
    expiry_s: int
    signature: bytes

    @property
    def key(self) -> bytes:
        return value_key(self.owner, self.name)


Record = ProviderRecord | ValueRecord


def signed_provider(key: bytes, provider: PeerAddress, sequence: int, expiry_s: int, sign: Sign) -> ProviderRecord:
    """This node's word that it provides `key`. Addresses beyond what a contact may have are left out."""
    provider = parse_contact(contact_fields(provider))
    message = _provider_message(key, provider, sequence, expiry_s)
    return ProviderRecord(key, provider, sequence, expiry_s, sign(message))


def signed_value(owner: bytes, name: bytes, value: bytes, sequence: int, expiry_s: int, sign: Sign) -> ValueRecord:
    """This node's value. Raises UsageError when it, its name or its sequence is out of bounds."""
    if len(value) > VALUE_BYTES_MAX:
        raise UsageError(f"a value of {len(value)} bytes is over the limit of {VALUE_BYTES_MAX}")
    if not 0 < len(name) <= NAME_BYTES_MAX:
        raise UsageError(f"the name of a value has 1 to {NAME_BYTES_MAX} bytes, this one {len(name)}")
    if not 0 <= sequence <= SEQUENCE_MAX:
        raise UsageError(f"the sequence of a value is from 0 to {SEQUENCE_MAX}")
    message = _value_message(owner, name, value, sequence, expiry_s)
    return ValueRecord(owner, name, value, sequence, expiry_s, sign(message))


def is_genuine(record: Record, verify: Verify) -> bool:
    """Whether the one that the record names has signed it."""
    match record:
        case ProviderRecord():
            message = _provider_message(record.key, record.provider, record.sequence, record.expiry_s)
        case ValueRecord():
            message = _value_message(record.owner, record.name, record.value, record.sequence, record.expiry_s)
    return verify(record.owner, message, record.signature)


def record_fields(record: Record) -> list[Any]:
    """The record as a DAG-CBOR-able list: of five fields a provider's, of six a value."""
    match record:
        case ProviderRecord():
            provider = contact_fields(record.provider)
            return [record.key, provider, record.sequence, record.expiry_s, record.signature]
        case ValueRecord():
            return [record.owner, record.name, record.value, record.sequence, record.expiry_s, record.signature]


def parse_provider(value: Any) -> ProviderRecord:
    """Raises RemoteError. The signature is not verified."""
    key, provider, sequence, expiry_s, signature = exactly(value, "a provider record", 5)
    return ProviderRecord(
        bytes_of(key, "a record's key", KEY_BYTES),
        parse_contact(provider),
        integer_of(sequence, "a record's sequence", SEQUENCE_MAX),
        integer_of(expiry_s, "a record's expiry", TIME_S_MAX),
        bytes_of(signature, "a record's signature", SIGNATURE_BYTES),
    )


def parse_value(value: Any) -> ValueRecord:
    """Raises RemoteError. The signature is not verified."""
    owner, name, content, sequence, expiry_s, signature = exactly(value, "a value record", 6)
    return ValueRecord(
        parse_endpoint_id(owner),
        bytes_within(name, "a value's name", 1, NAME_BYTES_MAX),
        bytes_within(content, "a record's value", 0, VALUE_BYTES_MAX),
        integer_of(sequence, "a record's sequence", SEQUENCE_MAX),
        integer_of(expiry_s, "a record's expiry", TIME_S_MAX),
        bytes_of(signature, "a record's signature", SIGNATURE_BYTES),
    )


def _provider_message(key: bytes, provider: PeerAddress, sequence: int, expiry_s: int) -> bytes:
    return encode_message([_PROVIDER_TAG, key, contact_fields(provider), sequence, expiry_s])


def _value_message(owner: bytes, name: bytes, value: bytes, sequence: int, expiry_s: int) -> bytes:
    return encode_message([_VALUE_TAG, owner, name, value, sequence, expiry_s])
