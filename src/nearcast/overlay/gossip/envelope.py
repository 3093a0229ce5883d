"""What is broadcast, in a signed envelope: nobody hands on what its origin has not signed for this topic.

    [origin, issued in ms, lifetime in s, kind, body, signature]

as DAG-CBOR. The signature covers the topic too, which is not sent again: a broadcast of one region cannot be replayed
in another. `issued_ms` is Unix time and grows with each envelope of an origin, so it is the sequence number as well.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import libipld

from nearcast.errors import RemoteError
from nearcast.fields import bytes_of, bytes_within, exactly, integer_of
from nearcast.overlay.contact_fields import parse_endpoint_id
from nearcast.overlay.gossip.messages import ID_BYTES, PAYLOAD_BYTES_MAX, PERIOD_S_MAX
from nearcast.wire import decode_message

SIGNATURE_BYTES = 64  # ed25519
SIGNED_PREFIX = b"nearcast/gossip/1\x00"  # no signature for something else can be read as one for this
KIND_CHARACTERS_MAX = 8
ANNOUNCEMENT_KIND = "node"
ISSUED_MS_MAX = 1 << 53
LIFETIME_S_MAX = int(3 * PERIOD_S_MAX)
OPENED_MAX = 1024  # envelopes kept opened: neighbours send the same one several times, simulated peers thousands

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Envelope:
    """A broadcast as it came; `signed` is what the signature has to be of. Not verified by being parsed."""

    message_id: bytes
    origin: bytes
    issued_ms: int
    lifetime_s: int
    kind: str
    body: bytes
    signature: bytes
    signed: bytes

    @property
    def issued_s(self) -> float:
        """Unix time, in seconds."""
        return self.issued_ms / 1000

    @property
    def expires_s(self) -> float:
        """Unix time, in seconds."""
        return self.issued_ms / 1000 + self.lifetime_s


def seal(topic: str, origin: bytes, sign: Sign, *, kind: str, body: bytes, issued_ms: int, lifetime_s: int) -> bytes:
    """The payload of a broadcast by `origin`, whose `sign` makes its signatures. Raises RemoteError over the bounds."""
    signed = _signed(topic, origin, issued_ms, lifetime_s, kind, body)
    payload = bytes(libipld.encode_dag_cbor([origin, issued_ms, lifetime_s, kind, body, sign(signed)]))
    open_envelope(topic, payload)
    return payload


@lru_cache(maxsize=OPENED_MAX)
def message_id(topic: str, payload: bytes) -> bytes:
    """The id of a broadcast, ID_BYTES: the hash of what was sent, and where."""
    return hashlib.sha256(topic.encode() + b"\x00" + payload).digest()[:ID_BYTES]


@lru_cache(maxsize=OPENED_MAX)
def open_envelope(topic: str, payload: bytes) -> Envelope:
    """Parse a broadcast's payload. Raises RemoteError when it is malformed; the signature is still to be checked."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise RemoteError(f"malformed broadcast: more than {PAYLOAD_BYTES_MAX} bytes")
    origin, issued_ms, lifetime_s, kind, body, signature = exactly(decode_message(payload), "an envelope", 6)
    parse_endpoint_id(origin)
    integer_of(issued_ms, "the time of a broadcast", ISSUED_MS_MAX)
    integer_of(lifetime_s, "the lifetime of a broadcast", LIFETIME_S_MAX)
    if not isinstance(kind, str) or not 0 < len(kind) <= KIND_CHARACTERS_MAX or not kind.isascii():
        raise RemoteError("malformed broadcast: its kind is a short word")
    bytes_within(body, "the body of a broadcast", 0, PAYLOAD_BYTES_MAX)
    bytes_of(signature, "the signature of a broadcast", SIGNATURE_BYTES)
    signed = _signed(topic, origin, issued_ms, lifetime_s, kind, body)
    return Envelope(message_id(topic, payload), origin, issued_ms, lifetime_s, kind, body, signature, signed)


def _signed(topic: str, origin: bytes, issued_ms: int, lifetime_s: int, kind: str, body: bytes) -> bytes:
    return SIGNED_PREFIX + bytes(libipld.encode_dag_cbor([topic, origin, issued_ms, lifetime_s, kind, body]))
