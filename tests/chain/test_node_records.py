"""What the registry's events are worth: checked against the contract itself, with every way to make a record void."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.codec import Reverted
from tests.contracts.registrations import Domain as TheirDomain
from tests.contracts.registrations import Node, Signed, allow, endpoint_key, node_of, send, sign
from tests.contracts.world import World, shared

from nearcast.chain.abi import contract
from nearcast.chain.devchain.addresses import REGISTRY
from nearcast.chain.node_records import EVENTS, Event, Standing, after, event_of, is_web_url
from nearcast.chain.registration import registry_domain
from nearcast.chain.rpc_types import Log
from nearcast.errors import ChainError

DOMAIN = registry_domain(31337, REGISTRY)


@pytest.fixture
def world() -> Iterator[World]:
    with shared().fork() as fork:
        for account in fork.accounts[1:5]:
            allow(fork, account)
        yield fork


def logs(world: World) -> list[Log]:
    return [
        Log(
            address=found.log.address,
            topics=found.log.topics,
            data=found.log.data,
            block_number=found.receipt.block_number,
            block_hash=bytes(32),
            transaction_hash=bytes(32),
            index=found.index,
        )
        for found in world.engine.get_logs(addresses=[REGISTRY])
    ]


def standings(world: World) -> dict[bytes, Standing]:
    """What a reader makes of all that was emitted."""
    known: dict[bytes, Standing] = {}
    for log in logs(world):
        event = event_of(log, DOMAIN)
        if event is not None:
            known[event.operator] = after(known.get(event.operator, Standing(event.operator)), event)
    return known


def standing(world: World, node: Node) -> Standing:
    return standings(world)[node.address]


def test_a_registration_is_read_as_it_was_made(world: World) -> None:
    node = node_of(world, 1, mbps=1_000)
    send(world, sign(world, node))
    read = standing(world, node)
    assert read.active
    assert read.registration is not None
    assert read.registration.as_tuple() == (
        node.address,
        node.hot_key.address,
        node.endpoint_id,
        1_000,
        b"DE",
        node.price_per_gib_units,
        tuple(node.urls),
    )
    assert read.block_number == world.engine.head.number


def test_every_event_that_changes_a_standing_is_known_to_the_registry() -> None:
    assert len({contract("Registry").topic(name) for name in EVENTS}) == len(EVENTS)


def broken(signed: Signed, world: World) -> Signed:
    return Signed(signed.node, signed.operator, signed.hot_key, bytes(64))


def by_another_endpoint(signed: Signed, world: World) -> Signed:
    other = endpoint_key("stranger").sign(TheirDomain(REGISTRY).endpoint(signed.node, nonce_of(world, signed.node)))
    return Signed(signed.node, signed.operator, signed.hot_key, other)


def for_another_operator(signed: Signed, world: World) -> Signed:
    victim = node_of(world, 2).but(endpoint=signed.node.endpoint)
    return Signed(signed.node, signed.operator, signed.hot_key, sign(world, victim, 0).endpoint)


def for_another_chain(signed: Signed, world: World) -> Signed:
    domain = TheirDomain(REGISTRY, chain_id=1)
    return Signed(signed.node, signed.operator, signed.hot_key, sign(world, signed.node, 0, domain).endpoint)


def for_another_registry(signed: Signed, world: World) -> Signed:
    domain = TheirDomain(bytes(19) + b"\1")
    return Signed(signed.node, signed.operator, signed.hot_key, sign(world, signed.node, 0, domain).endpoint)


def for_another_nonce(signed: Signed, world: World) -> Signed:
    return Signed(signed.node, signed.operator, signed.hot_key, sign(world, signed.node, 7).endpoint)


def nonce_of(world: World, node: Node) -> int:
    return int(world.registry.call("nonces", node))


@pytest.mark.parametrize(
    "spoil",
    [
        broken,
        by_another_endpoint,
        for_another_operator,
        for_another_chain,
        for_another_registry,
        for_another_nonce,
    ],
)
def test_a_record_that_its_endpoint_did_not_sign_is_absent(
    world: World, spoil: Callable[[Signed, World], Signed]
) -> None:
    node = node_of(world, 1)
    send(world, spoil(sign(world, node), world))
    assert world.registry.call("isActive", node), "the contract cannot tell"
    assert standing(world, node).registration is None


def test_a_void_update_voids_the_record_before_it_and_the_next_good_one_counts(world: World) -> None:
    node = node_of(world, 1)
    first = sign(world, node)
    send(world, first)
    replayed = sign(world, node)
    send(world, Signed(node, replayed.operator, replayed.hot_key, first.endpoint), "update")
    assert standing(world, node).registration is None
    send(world, sign(world, node.but(price_per_gib_units=5)), "update")
    registration = standing(world, node).registration
    assert registration is not None
    assert registration.price_units_per_gib == 5


def with_url_bytes(signed: Signed, url: bytes) -> bytes:
    """Calldata of a registration whose one URL is any bytes at all."""
    placeholder = "#" * len(url)
    node = signed.node.but(urls=(placeholder,))
    arguments = (node.record, b"", signed.hot_key, signed.endpoint)
    calldata = contract("Registry").encode_call("register", list(arguments))
    assert calldata.count(placeholder.encode()) == 1
    return calldata.replace(placeholder.encode(), url)


def test_a_url_that_is_no_text_voids_the_record_and_stops_no_reader(world: World) -> None:
    node = node_of(world, 1)
    signed = sign(world, node)
    world.engine.send_as(node.address, REGISTRY, with_url_bytes(signed, b"https://\xff\xfe.example/"))
    assert world.registry.call("isActive", node)
    assert standing(world, node).registration is None
    send(world, sign(world, node), "update")
    assert standing(world, node).registration is not None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "//example.org",
        "example.org",
        "https://user:word@example.org/",
        "https://example.org/#part",
        "https://exa mple.org/",
        "https://example.org:0/",
        "https://example.org:65536/",
        "https://example.org:x/",
        "https://[::1/",
        "https://exämple.org/",
        "https://example.org/\n",
        "https://example.org\\@evil.example/",
        'https://example.org/"><script>',
        "https://example.org/\x1b[2J",
    ],
)
def test_what_is_no_plain_web_url_is_left_out(world: World, url: str) -> None:
    assert not is_web_url(url)
    node = node_of(world, 1, urls=("https://good.example/", url))
    send(world, sign(world, node))
    registration = standing(world, node).registration
    assert registration is not None
    assert registration.urls == ("https://good.example/",)


@pytest.mark.parametrize(
    "url", ["https://a.example", "http://10.0.0.1:8080/x?y=1", "https://[2001:db8::1]:443/", "HTTPS://A.EXAMPLE/"]
)
def test_web_urls(url: str) -> None:
    assert is_web_url(url)


@given(st.text(max_size=30))
def test_no_url_breaks_the_reader(url: str) -> None:
    assert is_web_url(url) in (True, False)


actions = st.lists(
    st.tuples(
        st.sampled_from(
            ["register", "update", "top up", "unbond", "deregister", "slash", "eject", "unEject", "dearer", "cheaper"]
        ),
        st.integers(1, 3),
        st.sampled_from([1, 10, 500, 1_000]),
    ),
    max_size=14,
)


@given(actions)
def test_standings_are_the_contract_s_own_whatever_happens(actions: list[tuple[str, int, int]]) -> None:
    with shared().fork() as world:
        for account in world.accounts[1:5]:
            allow(world, account)
        for action, index, size in actions:
            try:
                act(world, action, index, size)
            except Reverted:
                continue
        read = standings(world)
        for account in world.accounts[1:4]:
            compare(world, read.get(account.address, Standing(account.address)))


def act(world: World, action: str, index: int, size: int) -> None:
    node = node_of(world, index, mbps=size)
    registry = world.registry
    match action:
        case "register" | "update":
            send(world, sign(world, node), action)
        case "top up":
            registry.transact("topUp", node, size * 1_000, sender=node)
        case "unbond":
            registry.transact("unbond", size * 1_000, sender=node)
        case "deregister":
            registry.transact("deregister", sender=node)
        case "slash":
            registry.transact("slash", node, size * 5, world.accounts[9], sender=registry.call("court"))
        case "dearer" | "cheaper":
            registry.transact("setBondFactor", 2_500_000 if action == "dearer" else 50_000, sender=world.timelock)
        case _:
            registry.transact(action, node, sender=world.timelock)


def compare(world: World, read: Standing) -> None:
    said: Any = world.registry.call("node", read.operator)
    assert (read.registration is not None) == said.registered
    assert (read.bonded, read.required, read.last_nonce + 1) == (said.bonded, said.required, said.nonce)
    assert (read.registration is not None and read.active) == said.active
    if read.registration is not None:
        assert (read.registration.mbps, read.registration.hot_key) == (said.mbps, said.hotKey)


def test_a_record_that_a_lying_endpoint_shows_again_changes_nothing(world: World) -> None:
    node = node_of(world, 1)
    send(world, sign(world, node))
    send(world, sign(world, node.but(price_per_gib_units=5)), "update")
    old, new = [event for log in logs(world) if (event := event_of(log, DOMAIN)) and event.name == "NodeRecord"]
    now = after(after(Standing(node.address), old), new)
    assert after(now, old) == now


def test_logs_that_the_registry_cannot_have_written(world: World) -> None:
    node = node_of(world, 1)
    send(world, sign(world, node))
    written = [log for log in logs(world) if event_of(log, DOMAIN) is not None]
    assert len(written) == 3
    for log in written:
        for spoiled in (
            Log(log.address, log.topics[:1], log.data, 1, bytes(32), bytes(32), 0),
            Log(log.address, log.topics, log.data[:31], 1, bytes(32), bytes(32), 0),
            Log(log.address, log.topics, b"\xff" * len(log.data), 1, bytes(32), bytes(32), 0),
        ):
            if spoiled.data != log.data or len(log.topics) > 1:
                with pytest.raises(ChainError):
                    event_of(spoiled, DOMAIN)
    assert event_of(Log(REGISTRY, (bytes(32),), b"", 1, bytes(32), bytes(32), 0), DOMAIN) is None


def test_an_endpoint_is_held_from_when_its_holder_took_it(world: World) -> None:
    """An update that keeps the endpoint keeps its place in the queue; another endpoint, and a break, lose it."""

    def record(block: int, nonce: int, word: str | None) -> Event:
        node = node_of(world, 1).but(endpoint=endpoint_key(word or ""))
        good = sign(world, node, nonce)
        send(world, good if word else broken(good, world), "register" if nonce == 0 else "update")
        event = event_of(next(log for log in reversed(logs(world)) if len(log.topics) == 3), DOMAIN)
        assert event is not None
        return Event(block, 0, event.name, event.operator, 0, event.nonce, event.registration)

    now = after(Standing(world.accounts[1].address), record(10, 0, "a"))
    assert now.since == (10, 0)
    now = after(now, record(20, 1, "a"))
    assert (now.since, now.block_number) == ((10, 0), 20)
    now = after(now, record(30, 2, "b"))
    assert now.since == (30, 0)
    now = after(now, record(40, 3, "a"))
    assert now.since == (40, 0)
    now = after(after(now, record(50, 4, None)), record(60, 5, "a"))
    assert now.since == (60, 0)
