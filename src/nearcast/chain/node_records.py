"""What the registry's events say of each node, and which of it can be believed. Pure: events in, standings out.

The contract checks the operator's and the hot key's signature; the endpoint's ed25519 signature is checked here, by
every reader for himself. A record whose signature fails, was made for another operator, registry, chain or nonce, or
that is malformed, counts as no record at all: the operator's earlier one is gone, and it has none until the next.
A lying RPC endpoint can still leave events out, and change a record's other fields, which only the contract checked; it
cannot put an endpoint key under another operator.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from nearcast.chain.abi import contract
from nearcast.chain.eip712 import Domain
from nearcast.chain.registration import Registration, verify_endpoint
from nearcast.chain.rpc_types import Log
from nearcast.errors import ChainError, UsageError

# The events that change a standing; nothing else is asked of the chain.
EVENTS: Final = ("NodeRecord", "BondRequired", "Bonded", "UnbondingStarted", "Slashed", "Deactivated", "Ejected")
_PORT_MAX = 65_535
_NUMBER_END = 1 << 63  # what SQLite holds; the contract's nonces have 32 bits and its amounts 56
_NONCE_AT = 5 * 32  # in a NodeRecord's data, after hot key, capacity, region, price and where the URLs are
_RECORD_BYTES_MIN = 7 * 32  # the fixed words of a NodeRecord's data


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node in force: registered, with a record that its endpoint signed.

    Addresses are 20 bytes, `endpoint_id` 32. `urls`: only those that are plain http or https URLs. `active`: its bond
    is what its capacity asks. `block_number`: where the record was published.
    """

    operator: bytes
    hot_key: bytes
    endpoint_id: bytes
    mbps: int
    region: str
    price_units_per_gib: int
    urls: tuple[str, ...]
    active: bool
    block_number: int


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a standing. `amount`: what the event says of the bond; `registration`: a NodeRecord's, if valid."""

    block_number: int
    log_index: int
    name: str
    operator: bytes
    amount: int = 0
    nonce: int = 0
    registration: Registration | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """An operator as its events left it. `since`: block and log from which it holds its endpoint without a break."""

    operator: bytes
    registration: Registration | None = None
    bonded: int = 0
    required: int = 0
    last_nonce: int = -1
    block_number: int = 0
    since: tuple[int, int] = field(default=(0, 0))

    @property
    def active(self) -> bool:
        """As Registry.isActive says."""
        return self.bonded >= self.required


def event_of(log: Log, domain: Domain) -> Event | None:
    """What a registry's log means, its endpoint signature checked; None when it is no concern of a standing.

    Raises ChainError for a log that the registry cannot have written.
    """
    try:
        decoded = contract("Registry").decode_log(log.topics, log.data)
    except ChainError:
        return _unreadable(log)
    if decoded is None or decoded.name not in EVENTS:
        return None
    said = decoded.arguments
    amount, nonce, registration = 0, 0, None
    match decoded.name:
        case "NodeRecord":
            nonce, registration = said["nonce"], _believed(said, domain)
        case "BondRequired":
            amount = said["required"]
        case "Bonded" | "Slashed":
            amount = said["bonded"]
        case "UnbondingStarted":
            amount = said["amount"]
    if max(amount, nonce) >= _NUMBER_END:
        raise ChainError(f"the endpoint tells of a {decoded.name} with a number that the registry cannot hold")
    return Event(log.block_number, log.index, decoded.name, said["operator"], amount, nonce, registration)


def _unreadable(log: Log) -> Event:
    """A NodeRecord whose texts are no texts: the contract lets them pass, and they make the record void."""
    registry = contract("Registry")
    nonce = int.from_bytes(log.data[_NONCE_AT : _NONCE_AT + 32])
    is_record = log.topics[0] == registry.topic("NodeRecord") and len(log.topics) == 3
    if not is_record or len(log.data) < _RECORD_BYTES_MIN or nonce >= _NUMBER_END:
        raise ChainError("the endpoint tells of an event that the registry cannot have written")
    return Event(log.block_number, log.index, "NodeRecord", log.topics[1][12:], nonce=nonce)


def after(standing: Standing, event: Event) -> Standing:
    """The standing once `event` has happened to it."""
    match event.name:
        case "NodeRecord":
            return _recorded(standing, event)
        case "BondRequired":
            return replace(standing, required=event.amount)
        case "Bonded" | "Slashed":
            return replace(standing, bonded=event.amount)
        case "UnbondingStarted":
            return replace(standing, bonded=max(0, standing.bonded - event.amount))
        case "Deactivated" | "Ejected":
            return replace(standing, registration=None)
    return standing


def is_web_url(url: str) -> bool:
    """Whether it is an http or https URL of a host, with nothing in it that a reader might take for something else."""
    if not url.isascii() or not url.isprintable() or any(letter in url for letter in " \\\"'<>#@"):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and (port is None or 0 < port <= _PORT_MAX)


def _recorded(standing: Standing, event: Event) -> Standing:
    if event.nonce <= standing.last_nonce:  # the contract counts up; only a lying endpoint shows a record again
        return standing
    before, now = standing.registration, event.registration
    keeps_endpoint = before is not None and now is not None and before.endpoint_id == now.endpoint_id
    return replace(
        standing,
        registration=now,
        last_nonce=event.nonce,
        block_number=event.block_number,
        since=standing.since if keeps_endpoint else (event.block_number, event.log_index),
    )


def _believed(said: Mapping[str, object], domain: Domain) -> Registration | None:
    """The registration in a NodeRecord, or None where it is nobody's word."""
    match said:
        case {
            "operator": bytes(operator),
            "hotKey": bytes(hot_key),
            "endpointId": bytes(endpoint_id),
            "mbps": int(mbps),
            "region": bytes(region),
            "pricePerGib": int(price),
            "urls": tuple(urls),
            "nonce": int(nonce),
            "endpointSignature": bytes(signature),
        }:
            pass
        case _:
            return None
    try:
        registration = Registration(
            operator, hot_key, endpoint_id, mbps, region.decode("latin-1"), price, tuple(map(str, urls))
        )
    except UsageError:
        return None
    if not verify_endpoint(domain, operator, endpoint_id, nonce, signature):
        return None
    plain = tuple(url for url in registration.urls if is_web_url(url))
    return registration if plain == registration.urls else replace(registration, urls=plain)
