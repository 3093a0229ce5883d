"""inv_honest_trace_never_slashable: whatever happens around a node that keeps the rules, no evidence holds.

Runs are made of what governance, the guardian, a regional body, the operator, crashes and time can do. Everything the
node signed is then tried at court, as soon as it is signed and later: every offer for every scope, every pair. And the
twin: the same node without the rules is always caught.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.contracts.codec import Reverted
from tests.contracts.court_stage import COPYRIGHT, SEVERE, Courtroom, courtroom
from tests.contracts.honest_node import CLIENTS, REGIONS, ROOTS, SCOPES, HonestNode
from tests.contracts.world import DAY_S, World, shared
from tests.depth import is_nightly

from nearcast.chain.evidence import EVERYWHERE, BlacklistedOffer
from nearcast.chain.offers import Offer, offer_signer

QUICK = settings(max_examples=1_000 if is_nightly() else 10)
HOUR_S = 3_600
SECONDS = [1, 59, 60, HOUR_S - 1, HOUR_S, 2 * HOUR_S, DAY_S - 1, DAY_S, 14 * DAY_S, 30 * DAY_S]

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.sampled_from(ROOTS), st.sampled_from(CLIENTS)),
        st.tuples(st.just("offer"), st.sampled_from(ROOTS), st.just(CLIENTS[0])),
        st.tuples(st.just("read"), st.none(), st.none()),
        st.tuples(st.just("add"), st.sampled_from(ROOTS), st.sampled_from(SCOPES)),
        st.tuples(st.just("addEmergency"), st.sampled_from(ROOTS), st.sampled_from(SCOPES)),
        st.tuples(st.sampled_from(["remove", "ratify", "prune"]), st.sampled_from(ROOTS), st.sampled_from(SCOPES)),
        st.tuples(st.sampled_from(["addRegional", "removeRegional"]), st.sampled_from(ROOTS), st.just(b"FR")),
        st.tuples(st.just("price"), st.sampled_from([100, 200, 300]), st.none()),
        st.tuples(st.just("move"), st.sampled_from(REGIONS), st.none()),
        st.tuples(st.sampled_from(["key", "crash", "try"]), st.none(), st.none()),
        st.tuples(st.just("mine"), st.sampled_from([1, 15, 16, 300, 301]), st.none()),
        st.tuples(st.just("wait"), st.sampled_from(SECONDS), st.none()),
        st.tuples(st.just("window"), st.sampled_from([1, 15, 300]), st.none()),
    ),
    min_size=5,
    max_size=30,
)


def officials(world: World, name: str) -> Any:
    """Who may do this to the blacklist."""
    if name.endswith("Regional"):
        return world.accounts[6]
    return world.accounts[0] if name == "addEmergency" else world.timelock


def play(node: HonestNode, act: tuple[str, Any, Any]) -> None:
    """One act of somebody; what the blacklist refuses has not happened."""
    name, first, second = act
    world = node.world
    simple: dict[str, Callable[[], object]] = {
        "offer": lambda: node.offer(first, second),
        "read": node.read_list,
        "price": lambda: node.schedule.change(first),
        "move": lambda: node.move(first),
        "key": node.change_key,
        "crash": node.start,
        "mine": lambda: world.mine(first),
        "wait": lambda: wait(world, first),
        "window": lambda: node.room.set("rateWindowBlocks", first),
        "try": lambda: acquitted(node),
    }
    if name in simple:
        simple[name]()
        return
    reason = {
        "add": (COPYRIGHT,),
        "addRegional": (COPYRIGHT,),
        "addEmergency": (SEVERE if second == b"DE" else COPYRIGHT,),
    }
    try:
        world.blacklist.transact(name, first, second, *reason.get(name, ()), sender=officials(world, name))
    except Reverted as refused:
        assert refused.name not in {"OnlyGovernance", "OnlyGuardian", "OnlyRegionalBody", "Halt", ""}  # noqa: PT017


def wait(world: World, seconds: int) -> None:
    """And a block, so that the newest one is of that time."""
    world.travel(seconds)
    world.mine()


def acquitted(node: HonestNode) -> None:
    """No evidence convicts it, of all there is by now."""
    assert node.convictions() == []


def retired(node: HonestNode, offer: Offer) -> bool:
    """Whether the key of an offer was replaced by the time of its block."""
    (header,) = {header for made, _, header in node.offers if made == offer}
    keys = [offer_signer(node.room.domain, made, signature) for made, signature, _ in node.offers if made == offer]
    retired_s = node.world.registry.call("hotKeyRetiredAt", keys[0])
    return bool(0 < retired_s <= header.timestamp_s)


def begun(world: World) -> Courtroom:
    """A courtroom, and a body for FR."""
    world.blacklist.transact("setRegionalBody", b"FR", world.accounts[6], sender=world.timelock)
    return courtroom(world)


OFFER = ("offer", ROOTS[0], CLIENTS[0])
READ, TRY = ("read", None, None), ("try", None, None)
# Ratified between the reading of the list and the lapse that the list promised.
RATIFIED = [
    ("addEmergency", ROOTS[0], SCOPES[0]),
    ("wait", 2 * HOUR_S + 14 * DAY_S - 1_000, None),
    READ,
    ("ratify", ROOTS[0], SCOPES[0]),
    ("wait", 1_100, None),
    OFFER,
]
# A new price right after an offer, with a crash and another window between.
DEARER = [OFFER, ("price", 200, None), ("crash", None, None), ("window", 300, None), ("mine", 300, None), OFFER, TRY]
# To a region where it has been listed for long.
MOVED = [
    ("add", ROOTS[0], b"FR"),
    ("wait", 30 * DAY_S, None),
    READ,
    OFFER,
    ("move", b"FR", None),
    OFFER,
    ("wait", DAY_S, None),
    READ,
    OFFER,
]
LISTED = [("add", ROOTS[0], SCOPES[0]), ("wait", DAY_S, None), OFFER, OFFER]


@QUICK
@example(RATIFIED)
@example([*DEARER, ("mine", 2, None), OFFER])
@example(MOVED)
@given(ACTS)
def test_inv_honest_trace_never_slashable(acts: list[tuple[str, Any, Any]]) -> None:
    with shared().fork() as world, TemporaryDirectory() as folder:
        node = HonestNode(begun(world), Path(folder))
        for act in acts:
            play(node, act)
        acquitted(node)


@QUICK
@given(st.sampled_from(["add", "addEmergency", "addRegional"]), st.integers(0, 5 * DAY_S - 100), st.integers(0, 40))
def test_who_ignores_the_list_is_always_convicted(how: str, late_s: int, blocks: int) -> None:
    """From the very second on, for as long as evidence counts."""
    with shared().fork() as world, TemporaryDirectory() as folder:
        room = begun(world)
        node = HonestNode(room, Path(folder), is_honest=False)
        if how == "addRegional":
            world.travel(31 * DAY_S)
            node.move(b"FR")
            world.travel(DAY_S)
        scope = b"FR" if how == "addRegional" else SCOPES[0]
        added = world.blacklist.transact(how, ROOTS[0], scope, COPYRIGHT, sender=officials(world, how))
        world.travel_to(added.event("Added").effectiveAt)
        world.mine(1 + blocks)
        node.offer(ROOTS[0], CLIENTS[0])
        world.travel(late_s)
        assert [getattr(evidence, "scope", None) for evidence in node.convictions()] == [scope]


@QUICK
@given(st.integers(0, 15), st.integers(1, 2**64 - 1), st.integers(0, 5 * DAY_S - 100))
def test_who_asks_two_prices_is_always_convicted(blocks: int, price: int, late_s: int) -> None:
    """Within the window, however near the prices."""
    with shared().fork() as world, TemporaryDirectory() as folder:
        room = begun(world)
        node = HonestNode(room, Path(folder))
        node.offer(ROOTS[0], CLIENTS[0])
        world.mine(blocks)
        header = room.header()
        second = room.offer(root=ROOTS[0], client=CLIENTS[0], price_units_per_gib=price + (price == 100))
        node.offers.append((second, room.sign(second), header))
        world.travel(late_s)
        assert node.convictions()


@QUICK
@example(LISTED)
@example([*LISTED, ("remove", ROOTS[0], SCOPES[0])])
@example(RATIFIED)
@given(ACTS)
def test_without_the_rule_the_court_convicts_of_exactly_what_was_listed(acts: list[tuple[str, Any, Any]]) -> None:
    """The same runs by a node that does not look at the list."""
    with shared().fork() as world, TemporaryDirectory() as folder:
        node = HonestNode(begun(world), Path(folder), is_honest=False)
        for act in acts:
            if act[0] != "try":
                play(node, act)
        now_s, age_s = world.now_s + 60, world.court.call("maxEvidenceAge")
        guilty = {
            offer
            for offer, _, header in node.offers
            if world.blacklist.call("countsAt", offer.root, EVERYWHERE, header.timestamp_s)
            and now_s - header.timestamp_s <= age_s
        }
        # A key that was replaced the same second convicts nobody of what it signed on that block.
        guilty = {offer for offer in guilty if not retired(node, offer)}
        convicted = {
            evidence.offer
            for evidence in node.convictions()
            if isinstance(evidence, BlacklistedOffer) and evidence.scope == EVERYWHERE
        }
        assert convicted == guilty
