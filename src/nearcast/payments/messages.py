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

PROTOCOL: Final = "pay"
VERSION: Final = 1
NONCE_BYTES: Final = 16  # of a fetch; delivery/messages.py
TEXT_CHARACTERS_MAX: Final = 512
_UNITS_END: Final = 1 << 63  # what the books hold; all USDC there is are 2^56 units
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
    fields = _fields(value)
    items = fields.get("config")
    if not isinstance(items, list) or len(items) != 7:
        raise RemoteError("the channel is not a list of seven fields")
    payer, payer_authorizer, receiver, receiver_authorizer, token = (_bytes(item, _ADDRESS_BYTES) for item in items[:5])
    try:
        config = ChannelConfig(
            payer,
            payer_authorizer,
            receiver,
            receiver_authorizer,
            token,
            _integer(items[5]),
            _bytes(items[6], _WORD_BYTES),
        )
    except UsageError as error:
        raise RemoteError(error.message) from error
    proof = _bytes(fields.get("proof"), SIGNATURE_BYTES)
    return Hello(_integer(fields.get("chain")), config, proof, _promise(fields))


def promise_fields(promise: Promise) -> dict[str, Any]:
    return {"units": promise.units, "signature": promise.signature}


def stop_fields(stop: Stop) -> dict[str, Any]:
    return {"stop": stop.nonce}


def parse_payers_word(value: Any) -> Promise | Stop:
    """What the payer says after its hello. Raises RemoteError."""
    fields = _fields(value)
    if "stop" in fields:
        return Stop(_bytes(fields["stop"], NONCE_BYTES))
    return _promise(fields)


def answer_fields(answer: Welcome | Unwelcome) -> dict[str, Any]:
    match answer:
        case Welcome():
            return {"ok": True, **promise_fields(answer.promise), "capacity": answer.capacity_units}
        case Unwelcome():
            return {"ok": False, "text": answer.text[:TEXT_CHARACTERS_MAX]}


def parse_answer(value: Any) -> Welcome | Unwelcome:
    """What the payee says. Raises RemoteError."""
    fields = _fields(value)
    if fields.get("ok") is True:
        return Welcome(_promise(fields), _integer(fields.get("capacity")))
    text = fields.get("text")
    if fields.get("ok") is not False or not isinstance(text, str):
        raise RemoteError("the payee's answer is neither yes nor no")
    return Unwelcome("".join(letter if letter.isprintable() else " " for letter in text[:TEXT_CHARACTERS_MAX]))


def _promise(fields: dict[str, Any]) -> Promise:
    units = _integer(fields.get("units"))
    return Promise(units, _bytes(fields.get("signature"), SIGNATURE_BYTES if units else 0))


def _fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RemoteError("a message is not a map of fields")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _UNITS_END:
        raise RemoteError("a number in a payment's message is not a whole one in its bounds")
    return value


def _bytes(value: Any, size_bytes: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != size_bytes:
        raise RemoteError(f"a field of a payment's message is not {size_bytes} bytes")
    return value
