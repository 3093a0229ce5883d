"""What is said on a payment stream, and how strictly it is read.

One stream per channel and connection carries the money of all fetches that name the channel. The payer opens it:

    pay     {"p": "pay", "v": 1, "chain", "config": [7 fields of the channel], "proof", "units", "signature"}
            <- {"ok": true, "units", "signature", "capacity"} or {"ok": false, "text"}
            -> {"units", "signature"}           a voucher, cumulative; as often as it pays
            -> {"stop": nonce}                  the fetch of this nonce is not wanted any more: send the end, no more
            <- {"ok": false, "text"}            no more credit on this channel; the stream ends

`units` 0 comes with an empty signature: nothing was promised yet. In the answer they are the newest voucher that the
payee holds, so that a payer whose books are older than its own signature learns of it and can check that it is its own.

A channel's config and its claimed vouchers are public, so naming one proves nothing: whoever could run up deliveries on
another's channel would use up that payer's credit. `proof` is the voucher key's signature of a voucher over 0 units. It
is worth nothing to anybody and known to nobody but the two who the channel is between.

Invariants: whatever parses here has every field in its type and within its bound; unknown fields are ignored; what does
not parse raises RemoteError and nothing else.
"""

from dataclasses import dataclass
from typing import Any, Final

from nearcast.chain.eip712 import Domain
from nearcast.chain.signing import SIGNATURE_BYTES, Signer
from nearcast.chain.vouchers import ChannelConfig, Voucher, channel_id, sign_voucher, verify_voucher
from nearcast.errors import RemoteError, UsageError
from nearcast.fields import WORDS_CHARACTERS_MAX, boolean_of, bytes_of, exactly, integer_of, map_of, words_of

PROTOCOL: Final = "pay"
VERSION: Final = 1
NONCE_BYTES: Final = 16  # of a fetch; delivery/messages.py
_NUMBER_MAX: Final = (1 << 63) - 1  # what the books hold; all USDC there is are 2^56 units
_ADDRESS_BYTES: Final = 20
_WORD_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Promise:
    """A voucher without its channel: `units` in all, and the payer's signature; empty with 0 units."""

    units: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Hello:
    """The payer shows its channel, that it holds the channel's voucher key (`proof_of`), and its newest promise."""

    chain_id: int
    config: ChannelConfig
    proof: bytes
    promise: Promise


@dataclass(frozen=True, slots=True)
class Welcome:
    """The payee takes the channel. `promise`: the newest that it holds. `capacity_units`: what it can be worth."""

    promise: Promise
    capacity_units: int


@dataclass(frozen=True, slots=True)
class Unwelcome:
    """The payee will not, or not any more, deliver on this channel."""

    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The payer does not want the rest of one fetch."""

    nonce: bytes


def proof_of(domain: Domain, config: ChannelConfig, signer: Signer) -> bytes:
    """The 65 bytes that show a payee that we hold this channel's voucher key. The same ones every time."""
    return sign_voucher(domain, Voucher(channel_id(domain, config), 0), signer)


def is_proven(domain: Domain, hello: Hello) -> bool:
    """Whether whoever said this holds the channel's voucher key."""
    nothing = Voucher(channel_id(domain, hello.config), 0)
    return verify_voucher(domain, nothing, hello.proof, hello.config.voucher_signer)


def is_hello(value: Any) -> bool:
    """Whether a stream's first message begins this protocol."""
    return isinstance(value, dict) and value.get("p") == PROTOCOL and value.get("v") == VERSION


def hello_fields(hello: Hello) -> dict[str, Any]:
    config = list(hello.config.as_tuple())
    named = {"p": PROTOCOL, "v": VERSION, "chain": hello.chain_id, "config": config, "proof": hello.proof}
    return {**named, **promise_fields(hello.promise)}


def parse_hello(value: Any) -> Hello:
    """Raises RemoteError, also for a channel that the contract would not take."""
    fields = map_of(value, "a payer's message")
    *addresses, delay_s, salt = exactly(fields.get("config"), "a channel's config", 7)
    payer, payer_authorizer, receiver, receiver_authorizer, token = (
        bytes_of(address, "an address of a channel's config", _ADDRESS_BYTES) for address in addresses
    )
    integer_of(delay_s, "a channel's delay", _NUMBER_MAX)
    bytes_of(salt, "a channel's salt", _WORD_BYTES)
    try:
        config = ChannelConfig(payer, payer_authorizer, receiver, receiver_authorizer, token, delay_s, salt)
    except UsageError as error:
        raise RemoteError(error.message) from error
    proof = bytes_of(fields.get("proof"), "a channel's proof", SIGNATURE_BYTES)
    return Hello(integer_of(fields.get("chain"), "a chain's id", _NUMBER_MAX), config, proof, _promise(fields))


def promise_fields(promise: Promise) -> dict[str, Any]:
    return {"units": promise.units, "signature": promise.signature}


def stop_fields(stop: Stop) -> dict[str, Any]:
    return {"stop": stop.nonce}


def parse_payers_word(value: Any) -> Promise | Stop:
    """What the payer says after its hello. Raises RemoteError."""
    fields = map_of(value, "a payer's message")
    if "stop" in fields:
        return Stop(bytes_of(fields["stop"], "the nonce of a stop", NONCE_BYTES))
    return _promise(fields)


def answer_fields(answer: Welcome | Unwelcome) -> dict[str, Any]:
    match answer:
        case Welcome():
            return {"ok": True, **promise_fields(answer.promise), "capacity": answer.capacity_units}
        case Unwelcome():
            return {"ok": False, "text": answer.text[:WORDS_CHARACTERS_MAX]}


def parse_answer(value: Any) -> Welcome | Unwelcome:
    """What the payee says. Raises RemoteError."""
    fields = map_of(value, "a payee's message")
    if boolean_of(fields.get("ok"), "whether a payee is ready to deliver"):
        return Welcome(_promise(fields), integer_of(fields.get("capacity"), "a channel's capacity", _NUMBER_MAX))
    return Unwelcome(words_of(fields.get("text"), "the reason of a payee"))


def _promise(fields: dict[str, Any]) -> Promise:
    units = integer_of(fields.get("units"), "the units of a promise", _NUMBER_MAX)
    signature = fields.get("signature")
    return Promise(units, bytes_of(signature, "the signature of a promise", SIGNATURE_BYTES if units else 0))
