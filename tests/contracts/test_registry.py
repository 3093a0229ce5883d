"""Entering the registry: who must have signed what, and that no signature works twice, elsewhere or for another."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from eth_abi.abi import encode
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.accounts import high_s, key_of
from tests.contracts.codec import Reverted
from tests.contracts.registrations import (
    Domain,
    Node,
    Signed,
    allow,
    endpoint_key,
    join,
    node_of,
    send,
    sign,
)
from tests.contracts.world import DAY_S, World, shared

from nearcast.chain import registration
from nearcast.chain.signing import Signer
from nearcast.keys import Identity

REGISTER_GAS_MAX = 250_000  # the goal of the issue: both keys and the bond, the allowance given before
BOND_100_MBPS = 62_797_160  # 0.25 × 100^1.2 dollars


def refused(world: World, signed: Signed, function: str = "register", sender: Any = None) -> str:
    """The name of the error with which the registry refuses this."""
    with pytest.raises(Reverted) as problem:
        send(world, signed, function, sender)
    return problem.value.name


@pytest.fixture
def newcomer(world: World) -> Node:
    """A node that has allowed its bond and not registered."""
    node = node_of(world, 1)
    allow(world, node)
    return node


def test_a_node_registers(world: World, newcomer: Node) -> None:
    done = send(world, sign(world, newcomer))
    event = done.event("NodeRecord")
    assert (event.operator, event.hotKey, event.endpointId) == (
        newcomer.address,
        newcomer.hot_key.address,
        newcomer.endpoint_id,
    )
    assert (event.mbps, event.region, event.pricePerGib, event.urls) == (100, b"DE", 10_000, tuple(newcomer.urls))
    newcomer.endpoint.public_key().verify(
        event.endpointSignature, Domain(world.registry.address).endpoint(newcomer, event.nonce)
    )
    assert done.event("Bonded").args == (newcomer.address, BOND_100_MBPS, BOND_100_MBPS)
    node = world.registry.call("node", newcomer)
    assert (node.hotKey, node.mbps, node.region, node.regionSince) == (event.hotKey, 100, b"DE", done.timestamp_s)
    assert (node.registered, node.ejected, node.active, node.nonce) == (True, False, True, 1)
    assert (node.bonded, node.required, node.unbonding) == (BOND_100_MBPS, BOND_100_MBPS, 0)
    assert world.registry.call("hotKeyOwner", newcomer.hot_key) == newcomer.address
    assert world.token.call("balanceOf", world.registry) == BOND_100_MBPS


def test_registering_costs_less_than_the_goal(world: World, newcomer: Node) -> None:
    first = send(world, sign(world, newcomer)).gas_used
    other = node_of(world, 2)
    allow(world, other)
    relayed = send(world, sign(world, other), sender=world.accounts[5]).gas_used
    assert max(first, relayed) <= REGISTER_GAS_MAX, (first, relayed)


def test_the_digests_are_those_of_eip_712(world: World, newcomer: Node) -> None:
    domain = Domain(world.registry.address)
    two_urls = newcomer.but(
        urls=["https://a.example", "quic://b.example:1"], mbps=100_000, price_per_gib_units=2**64 - 1
    )
    for node in (newcomer, two_urls, newcomer.but(urls=[])):
        for nonce in (0, 1, 2**256 - 1):
            assert world.registry.call("registrationDigest", node.record, nonce) == domain.registration(node, nonce)
    digest = domain.hot_key(newcomer.address, newcomer.hot_key.address, 7)
    assert world.registry.call("hotKeyDigest", newcomer, newcomer.hot_key, 7) == digest


def test_what_python_signs_is_taken(world: World, newcomer: Node) -> None:
    domain = registration.registry_domain(31337, world.registry.address)
    declared = registration.Registration(
        operator=newcomer.address,
        hot_key=newcomer.hot_key.address,
        endpoint_id=newcomer.endpoint_id,
        mbps=newcomer.mbps,
        region="DE",
        price_units_per_gib=newcomer.price_per_gib_units,
        urls=tuple(newcomer.urls),
    )
    signed = registration.sign_registration(
        domain,
        declared,
        0,
        hot_key=Signer(newcomer.hot_key.secret),
        endpoint=Identity(newcomer.endpoint.private_bytes_raw(), newcomer.endpoint_id),
        operator=Signer(newcomer.operator.secret),
    )
    wanted = world.registry.call("registrationDigest", newcomer.record, 0)
    assert registration.registration_digest(domain, declared, 0) == wanted
    done = world.registry.transact("register", *signed.as_arguments(), sender=world.accounts[5])
    event = done.event("NodeRecord")
    operator, endpoint_id = newcomer.address, newcomer.endpoint_id
    assert registration.verify_endpoint(domain, operator, endpoint_id, event.nonce, event.endpointSignature)


def test_the_operator_who_sends_need_not_sign(world: World, newcomer: Node) -> None:
    signed = sign(world, newcomer)
    world.registry.transact("register", newcomer.record, b"", signed.hot_key, signed.endpoint, sender=newcomer)
    assert world.registry.call("isActive", newcomer)


def test_a_relayer_needs_the_operators_signature(world: World, newcomer: Node) -> None:
    signed = sign(world, newcomer)
    relayer = world.accounts[5]
    unsigned = Signed(newcomer, b"", signed.hot_key, signed.endpoint)
    assert refused(world, unsigned, sender=relayer) == "BadOperatorSignature"
    forged = relayer.sign(Domain(world.registry.address).registration(newcomer, 0))
    by_relayer = replace(signed, operator=forged)
    assert refused(world, by_relayer, sender=relayer) == "BadOperatorSignature"
    before = world.token.call("balanceOf", relayer)
    send(world, signed, sender=relayer)
    assert world.registry.call("isActive", newcomer)
    assert world.token.call("balanceOf", relayer) == before  # the bond is the operator's own


CHANGES: dict[str, Any] = {
    "mbps": 99,
    "region": b"FR",
    "price_per_gib_units": 1,
    "urls": ("https://elsewhere.example",),
    "endpoint": endpoint_key("another"),
    "hot_key": key_of("another"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_the_operator_signs_every_field(world: World, newcomer: Node, field: str) -> None:
    changed = newcomer.but(**{field: CHANGES[field]})
    fitting = sign(world, changed)
    stale = Signed(changed, sign(world, newcomer).operator, fitting.hot_key, fitting.endpoint)
    assert refused(world, stale, sender=world.accounts[5]) == "BadOperatorSignature"


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"chain_id": 1},
        {"registry": b"\x11" * 20},
        {"name": "Nearcast Court"},
        {"version": "2"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_signatures_for_elsewhere_are_refused(world: World, newcomer: Node, elsewhere: dict[str, Any]) -> None:
    here = sign(world, newcomer)
    there = sign(world, newcomer, domain=Domain(**({"registry": world.registry.address} | elsewhere)))
    stranger = world.accounts[5]
    assert refused(world, Signed(newcomer, there.operator, here.hot_key, here.endpoint), sender=stranger) == (
        "BadOperatorSignature"
    )
    assert refused(world, Signed(newcomer, here.operator, there.hot_key, here.endpoint), sender=stranger) == (
        "BadHotKeySignature"
    )


@pytest.mark.parametrize("which", ["operator", "hot_key"])
def test_malformed_signatures_are_refused(world: World, newcomer: Node, which: str) -> None:
    signed = sign(world, newcomer)
    good: bytes = getattr(signed, which)
    compact = good[:32] + (int.from_bytes(good[32:64], "big") | (good[64] - 27) << 255).to_bytes(32, "big")
    bad = [high_s(good), compact, good[:64], good + b"\x00", bytes(65), good[:64] + b"\x00", good[:64] + b"\x1d"]
    bad += [bytes(32) + good[32:], good[:32] + bytes(32) + good[64:], b"\xff" * 65]
    error = {"operator": "BadOperatorSignature", "hot_key": "BadHotKeySignature"}[which]
    for signature in bad:
        parts = {"operator": signed.operator, "hot_key": signed.hot_key, "endpoint": signed.endpoint, which: signature}
        assert refused(world, Signed(newcomer, **parts), sender=world.accounts[5]) == error, signature.hex()


def test_nobody_is_the_zero_address(world: World, newcomer: Node) -> None:
    """ecrecover answers zero for nonsense: it must not pass as an operator's or a hot key's signature."""
    zero_hot = (newcomer.address, bytes(20), *newcomer.record[2:])
    with pytest.raises(Reverted, match="BadHotKeySignature"):
        world.registry.transact("register", zero_hot, b"", bytes(65), bytes(64), sender=newcomer)
    zero_operator = (bytes(20), *newcomer.record[1:])
    with pytest.raises(Reverted, match="BadOperatorSignature"):
        world.registry.transact("register", zero_operator, bytes(65), bytes(65), bytes(64), sender=newcomer)


def test_a_replay_is_refused(world: World, newcomer: Node) -> None:
    old = sign(world, newcomer)
    send(world, old)
    assert refused(world, old) == "AlreadyRegistered"
    assert refused(world, old, "update", world.accounts[5]) == "BadOperatorSignature"
    send(world, sign(world, newcomer.but(price_per_gib_units=5)), "update")
    world.registry.transact("deregister", sender=newcomer)
    assert refused(world, old, sender=world.accounts[5]) == "BadOperatorSignature"
    assert refused(world, Signed(newcomer, b"", old.hot_key, old.endpoint)) == "BadHotKeySignature"


def test_a_hot_key_cannot_be_squatted_or_borrowed(world: World, newcomer: Node) -> None:
    victim = sign(world, newcomer)
    thief = node_of(world, 2).but(hot_key=newcomer.hot_key)
    allow(world, thief)
    copied = Signed(thief, sign(world, thief).operator, victim.hot_key, bytes(64))  # seen in the mempool
    assert refused(world, copied) == "BadHotKeySignature"
    assert refused(world, Signed(thief, b"", b"", bytes(64))) == "BadHotKeySignature"
    send(world, victim)
    assert refused(world, sign(world, thief)) == "HotKeyTaken"  # even with the key itself, stolen


def test_a_hot_key_stays_its_operators_for_ever(world: World, newcomer: Node) -> None:
    send(world, sign(world, newcomer))
    rotated = newcomer.but(hot_key=key_of("fresh"))
    done = send(world, sign(world, rotated), "update")
    registry = world.registry
    assert registry.call("hotKeyOwner", newcomer.hot_key) == registry.call("hotKeyOwner", rotated.hot_key)
    assert registry.call("hotKeyRetiredAt", newcomer.hot_key) == done.timestamp_s
    assert registry.call("hotKeyRetiredAt", rotated.hot_key) == 0
    gone = registry.transact("deregister", sender=newcomer)
    assert registry.call("hotKeyRetiredAt", rotated.hot_key) == gone.timestamp_s
    assert registry.call("hotKeyRetiredAt", newcomer.hot_key) == done.timestamp_s
    thief = node_of(world, 2).but(hot_key=newcomer.hot_key)
    allow(world, thief)
    assert refused(world, sign(world, thief)) == "HotKeyTaken"


def test_a_key_taken_up_again_is_in_use(world: World, newcomer: Node) -> None:
    send(world, sign(world, newcomer))
    send(world, sign(world, newcomer.but(hot_key=key_of("fresh"))), "update")
    signed = sign(world, newcomer)
    send(world, Signed(newcomer, b"", b"", signed.endpoint), "update")  # it agreed once to be this operator's
    assert world.registry.call("hotKeyRetiredAt", newcomer.hot_key) == 0
    assert world.registry.call("node", newcomer).hotKey == newcomer.hot_key.address


def test_a_stolen_hot_key_moves_nothing(world: World) -> None:
    node = join(world, 1)
    hot = node.hot_key
    signed = sign(world, node.but(operator=hot, mbps=1))
    as_operator = Signed(node.but(mbps=1), signed.operator, signed.hot_key, signed.endpoint)
    assert refused(world, as_operator, "update", hot) == "BadOperatorSignature"
    for function, args in {"unbond": (1,), "deregister": ()}.items():
        with pytest.raises(Reverted, match="NotRegistered"):
            world.registry.transact(function, *args, sender=hot)
    with pytest.raises(Reverted, match="NothingToWithdraw"):
        world.registry.transact("withdraw", hot, sender=hot)


BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"mbps": 0}, "OutOfBounds"),
    ({"mbps": 100_001}, "OutOfBounds"),
    ({"mbps": 2**32 - 1}, "OutOfBounds"),  # beyond the 24 bits it is kept in
    ({"region": b"de"}, "BadRegion"),
    ({"region": b"D\x00"}, "BadRegion"),
    ({"region": b"\x00\x00"}, "BadRegion"),
    ({"region": b"D["}, "BadRegion"),
    ({"region": b"@E"}, "BadRegion"),
    ({"urls": ["https://x.example"] * 5}, "BadUrls"),
    ({"urls": [""]}, "BadUrls"),
    ({"urls": ["x" * 129]}, "BadUrls"),
]


@pytest.mark.parametrize(("fields", "error"), BAD_FIELDS)
def test_bad_fields_are_refused(world: World, newcomer: Node, fields: dict[str, Any], error: str) -> None:
    assert refused(world, sign(world, newcomer.but(**fields))) == error
    assert world.registry.call("nonces", newcomer) == 0


@pytest.mark.parametrize("fields", [{"urls": ["x" * 128] * 4}, {"urls": []}, {"region": b"AZ"}, {"mbps": 1}])
def test_fields_at_their_bounds_are_taken(world: World, newcomer: Node, fields: dict[str, Any]) -> None:
    send(world, sign(world, newcomer.but(**fields)))
    assert world.registry.call("isActive", newcomer)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_an_endpoint_signature_has_64_bytes(world: World, newcomer: Node, length: int) -> None:
    signed = sign(world, newcomer)
    assert refused(world, Signed(newcomer, signed.operator, signed.hot_key, bytes(length))) == "BadEndpoint"
    nameless = (*newcomer.record[:2], bytes(32), *newcomer.record[3:])
    with pytest.raises(Reverted, match="BadEndpoint"):
        world.registry.transact("register", nameless, b"", signed.hot_key, signed.endpoint, sender=newcomer)


def test_an_endpoints_signature_is_for_one_operator(world: World, newcomer: Node) -> None:
    """The contract only carries it; a reader sees that another's endpoint did not agree."""
    squatter = node_of(world, 2).but(endpoint=newcomer.endpoint)
    allow(world, squatter)
    stolen = sign(world, newcomer).endpoint
    event = send(world, replace(sign(world, squatter), endpoint=stolen)).event("NodeRecord")
    message = Domain(world.registry.address).endpoint(squatter, event.nonce)
    with pytest.raises(InvalidSignature):
        newcomer.endpoint.public_key().verify(event.endpointSignature, message)


def test_update_is_for_registered_operators(world: World, newcomer: Node) -> None:
    assert refused(world, sign(world, newcomer), "update") == "NotRegistered"


def test_a_permit_and_a_registration_in_one_transaction(world: World) -> None:
    node = node_of(world, 1)
    amount, deadline = 10**9, world.now_s + DAY_S
    permit = permit_of(world, node, amount, deadline)
    signed = sign(world, node)
    calls = [
        world.registry.encode("permit", node, amount, deadline, *permit),
        world.registry.encode("register", *signed.args),
    ]
    with world.fork():  # somebody sends the permit first: the rest goes through all the same
        world.token.transact(
            "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
            *(node, world.registry, amount, deadline, *permit),
            sender=world.accounts[8],
        )
        world.registry.transact("multicall", calls, sender=node)
        assert world.registry.call("isActive", node)
    world.registry.transact("multicall", calls, sender=node)
    assert world.registry.call("isActive", node)


def permit_of(world: World, node: Node, amount: int, deadline: int) -> tuple[int, bytes, bytes]:
    """EIP-2612: v, r, s by the operator for the registry."""
    typehash = keccak(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
    fields = (typehash, node.address, world.registry.address, amount, 0, deadline)
    struct = keccak(encode(["bytes32", "address", "address", "uint256", "uint256", "uint256"], fields))
    signature = node.operator.sign(keccak(b"\x19\x01" + world.token.call("DOMAIN_SEPARATOR") + struct))
    return signature[64], signature[:32], signature[32:64]


@given(data=st.binary(max_size=200))
def test_noise_is_no_signature(data: bytes) -> None:
    node = node_of(shared(), 1)
    parts = (node.record, data or b"\x00", data, bytes(64))
    with pytest.raises(Reverted, match="BadOperatorSignature"):
        shared().registry.call("register", *parts, sender=node)
    with pytest.raises(Reverted, match="BadHotKeySignature"):
        shared().registry.call("register", node.record, b"", *parts[2:], sender=node)
