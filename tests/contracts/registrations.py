"""Nodes for tests: signed registrations, made with eth-account's reading of EIP-712 rather than with ours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from tests.contracts.accounts import TestAccount, key_of
from tests.contracts.world import Contract, Done, World

CHAIN_ID = 31337
URLS = ("https://node.example.org:8443/",)
UNLIMITED = 2**256 - 1

TYPES = {
    "Registration": [
        {"name": "operator", "type": "address"},
        {"name": "hotKey", "type": "address"},
        {"name": "endpointId", "type": "bytes32"},
        {"name": "mbps", "type": "uint32"},
        {"name": "region", "type": "bytes2"},
        {"name": "pricePerGib", "type": "uint64"},
        {"name": "urls", "type": "string[]"},
        {"name": "nonce", "type": "uint256"},
    ],
    "HotKey": [
        {"name": "operator", "type": "address"},
        {"name": "hotKey", "type": "address"},
        {"name": "nonce", "type": "uint256"},
    ],
}


def endpoint_key(word: str) -> Ed25519PrivateKey:
    """A node's ed25519 key made of a word."""
    return Ed25519PrivateKey.from_private_bytes(keccak(b"endpoint " + word.encode()))


@dataclass(frozen=True)
class Node:
    """An operator with its keys and what it declares."""

    operator: TestAccount
    hot_key: TestAccount
    endpoint: Ed25519PrivateKey
    mbps: int = 100
    region: bytes = b"DE"
    price_per_gib_units: int = 10_000
    urls: Sequence[str] = URLS

    @property
    def address(self) -> bytes:
        """The operator's, so that a node can stand for it in calls."""
        return self.operator.address

    @property
    def endpoint_id(self) -> bytes:
        return self.endpoint.public_key().public_bytes_raw()

    @property
    def record(self) -> tuple[Any, ...]:
        """The contract's struct."""
        fields = (self.mbps, self.region, self.price_per_gib_units, list(self.urls))
        return (self.address, self.hot_key.address, self.endpoint_id, *fields)

    def but(self, **changes: Any) -> "Node":
        """The same node declaring something else."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Domain:
    """Where signatures are for."""

    registry: bytes
    chain_id: int = CHAIN_ID
    name: str = "Nearcast Registry"
    version: str = "1"

    def digest(self, kind: str, message: dict[str, Any]) -> bytes:
        """The 32 bytes that are signed, by eth-account."""
        domain = {"name": self.name, "version": self.version, "chainId": self.chain_id}
        domain |= {"verifyingContract": "0x" + self.registry.hex()}
        signable = encode_typed_data(domain, {kind: TYPES[kind]}, message)
        return bytes(keccak(b"\x19" + signable.version + signable.header + signable.body))

    def registration(self, node: Node, nonce: int) -> bytes:
        names = [field["name"] for field in TYPES["Registration"]]
        return self.digest("Registration", dict(zip(names, (*node.record, nonce), strict=True)))

    def hot_key(self, operator: bytes, hot_key: bytes, nonce: int) -> bytes:
        return self.digest("HotKey", {"operator": operator, "hotKey": hot_key, "nonce": nonce})

    def endpoint(self, node: Node, nonce: int) -> bytes:
        """What the ed25519 key signs."""
        place = self.chain_id.to_bytes(32, "big") + self.registry
        return b"nearcast registration v1\x00" + place + node.address + node.endpoint_id + nonce.to_bytes(32, "big")


@dataclass(frozen=True)
class Signed:
    """A registration and its three signatures, as the contract takes them."""

    node: Node
    operator: bytes
    hot_key: bytes
    endpoint: bytes

    @property
    def args(self) -> tuple[Any, ...]:
        return (self.node.record, self.operator, self.hot_key, self.endpoint)


def node_of(world: World, index: int, **declared: Any) -> Node:
    """The node of the account with this index."""
    return Node(world.accounts[index], key_of(f"hot key {index}"), endpoint_key(str(index)), **declared)


def sign(world: World, node: Node, nonce: int | None = None, domain: Domain | None = None) -> Signed:
    """With all three keys, for the nonce that is next unless told otherwise."""
    nonce = world.registry.call("nonces", node) if nonce is None else nonce
    domain = domain or Domain(world.registry.address)
    return Signed(
        node,
        node.operator.sign(domain.registration(node, nonce)),
        node.hot_key.sign(domain.hot_key(node.address, node.hot_key.address, nonce)),
        node.endpoint.sign(domain.endpoint(node, nonce)),
    )


def send(world: World, signed: Signed, function: str = "register", sender: Any = None) -> Done:
    """Send it; the operator itself unless told otherwise."""
    return world.registry.transact(function, *signed.args, sender=sender or signed.node)


def allow(world: World, owner: Any, units: int = UNLIMITED, registry: Contract | None = None) -> None:
    """Let the registry pull from an account."""
    world.token.transact("approve", registry or world.registry, units, sender=owner)


def join(world: World, index: int, **declared: Any) -> Node:
    """A registered, bonded node."""
    node = node_of(world, index, **declared)
    allow(world, node)
    send(world, sign(world, node))
    return node
