"""Plumtree, one rule at a time: prune, graft, batches, who speaks, swaps for shorter ways, and its bounds."""

from nearcast.overlay.gossip.events import FlushDue, MissingDue
from nearcast.overlay.gossip.messages import ID_BYTES, Graft, Have, Message, Prune, Push
from nearcast.overlay.gossip.plumtree import PATIENT_ONE_IN, Link, Tree
from nearcast.overlay.gossip.seen import SeenIds
from nearcast.overlay.gossip.settings import TreeSettings
from nearcast.overlay.machine import Arm, Effect, Send
from nearcast.transport.base import PeerAddress

TOPIC = "global"
OWN = b"\x10" * 32
LOW, HIGH, HIGHER = b"\x01" * 32, b"\x80" * 32, b"\x90" * 32
SETTINGS = TreeSettings()


def id_of(number: int) -> bytes:
    """One that does not wait for company on any link of these tests."""
    return bytes([0b0000_0010]) + number.to_bytes(ID_BYTES - 1, "big")


class Bench:
    """A tree with the neighbours LOW, HIGH and HIGHER, at a time of one's own."""

    def __init__(self, *neighbours: bytes, is_leaf: bool = False) -> None:
        self.now_s = 1000.0
        self.tree = Tree(TOPIC, OWN, SETTINGS, SeenIds(600, 100, self.now_s), is_leaf=is_leaf)
        self.out: list[Effect] = []
        for neighbour in neighbours or (LOW, HIGH, HIGHER):
            self.up(neighbour)

    def up(self, neighbour: bytes) -> None:
        self.tree.link_up(PeerAddress(neighbour), is_listener=False, is_new=False, now_s=self.now_s, out=self.out)

    def link(self, neighbour: bytes) -> Link:
        return self.tree.links[neighbour]

    def push(self, neighbour: bytes, number: int, round_: int = 1) -> None:
        push = Push(TOPIC, round_, number.to_bytes(4, "big"))
        if id_of(number) in self.tree.seen:
            self.tree.on_duplicate(self.link(neighbour), id_of(number), self.out)
        else:
            self.tree.on_new(self.link(neighbour), id_of(number), push, self.now_s, self.out)

    def have(self, neighbour: bytes, number: int, round_: int = 1) -> None:
        self.tree.on_have(self.link(neighbour), Have(TOPIC, (id_of(number),), (round_,)), self.now_s, self.out)

    def flush(self) -> None:
        self.now_s += SETTINGS.have_batch_s
        self.tree.on_flush_due(self.now_s, self.out)

    def miss(self, after_s: float) -> None:
        self.now_s += after_s
        self.tree.on_missing_due(self.now_s, self.out)

    def said(self) -> list[tuple[bytes, Message]]:
        """To whom what was sent since this was last asked."""
        said = [(effect.to.endpoint_id, effect.message) for effect in self.out if isinstance(effect, Send)]
        self.out.clear()
        return said


def test_a_payload_goes_on_to_all_eager_ones_but_its_sender() -> None:
    bench = Bench()
    bench.push(HIGH, 1, round_=4)
    payload = Push(TOPIC, 5, (1).to_bytes(4, "big"))
    assert bench.said() == [(LOW, payload), (HIGHER, payload)]


def test_a_duplicate_is_pruned_and_its_link_lazy() -> None:
    bench = Bench()
    bench.push(HIGH, 1)
    bench.said()
    bench.push(HIGHER, 1)
    assert bench.said() == [(HIGHER, Prune(TOPIC))]
    assert not bench.link(HIGHER).is_eager
    bench.push(LOW, 2)
    assert [to for to, message in bench.said() if isinstance(message, Push)] == [HIGH]


def test_ids_go_together_and_the_lower_id_speaks_first() -> None:
    bench = Bench()
    for lazy in (LOW, HIGHER):
        bench.tree.on_prune(bench.link(lazy))
    bench.push(HIGH, 1)
    bench.push(HIGH, 2)
    assert bench.said() == []
    bench.flush()
    both = Have(TOPIC, (id_of(1), id_of(2)), (2, 2))
    assert bench.said() == [(HIGHER, both)], "our id is lower than its"
    bench.flush()
    assert bench.said() == [(LOW, both)], "it had a batch's time to tell us"
    bench.flush()
    assert bench.said() == []


def test_who_has_told_us_is_not_told() -> None:
    bench = Bench()
    bench.tree.on_prune(bench.link(LOW))
    bench.push(HIGH, 1)
    bench.said()
    bench.have(LOW, 1)
    bench.flush()
    bench.flush()
    assert bench.said() == []


def test_a_lone_id_that_is_patient_waits_for_company() -> None:
    bench = Bench(HIGH, HIGHER)
    bench.tree.on_prune(bench.link(HIGHER))
    patient = bytes([bench.link(HIGHER).salt % PATIENT_ONE_IN]) + bytes(ID_BYTES - 1)
    bench.tree.on_new(bench.link(HIGH), patient, Push(TOPIC, 1, b"x"), bench.now_s, bench.out)
    assert not [effect for effect in bench.out if isinstance(effect, Arm)]
    bench.push(HIGH, 1)
    bench.flush()
    assert bench.said() == [(HIGHER, Have(TOPIC, (patient, id_of(1)), (2, 2)))]


def test_what_was_announced_and_does_not_come_is_grafted_from_the_nearest() -> None:
    bench = Bench()
    for lazy in (LOW, HIGHER):
        bench.tree.on_prune(bench.link(lazy))
    bench.have(LOW, 1, round_=9)
    bench.have(HIGHER, 1, round_=3)
    assert Arm(SETTINGS.missing_s, MissingDue(TOPIC)) in bench.out
    bench.miss(SETTINGS.missing_s / 2)
    assert bench.said() == []
    bench.miss(SETTINGS.missing_s)
    assert bench.said() == [(HIGHER, Graft(TOPIC, (id_of(1),)))]
    assert bench.link(HIGHER).is_eager
    bench.miss(SETTINGS.missing_next_s)
    assert bench.said() == [(LOW, Graft(TOPIC, (id_of(1),)))]
    assert bench.link(HIGHER).broken_promises == 1
    bench.push(LOW, 1)
    assert bench.tree.missing == 0
    assert bench.link(LOW).missing == bench.link(HIGHER).missing == 0
    bench.said()
    bench.miss(60)
    assert bench.said() == []


def test_a_graft_gets_what_is_still_here() -> None:
    bench = Bench()
    bench.tree.on_prune(bench.link(LOW))
    bench.push(HIGH, 1, round_=2)
    bench.said()
    bench.tree.on_graft(bench.link(LOW), Graft(TOPIC, (id_of(1), id_of(99))), bench.out)
    assert bench.said() == [(LOW, Push(TOPIC, 3, (1).to_bytes(4, "big")))]
    assert bench.link(LOW).is_eager


def test_a_much_shorter_way_is_taken() -> None:
    bench = Bench()
    bench.tree.on_prune(bench.link(LOW))
    bench.push(HIGH, 1, round_=20)
    bench.said()
    bench.have(LOW, 1, round_=20 - SETTINGS.optimise_hops + 1)
    assert bench.said() == [], "not much shorter"
    bench.have(LOW, 1, round_=2)
    assert bench.said() == [(LOW, Graft(TOPIC, ())), (HIGH, Prune(TOPIC))]
    bench.tree.on_prune(bench.link(HIGHER))
    bench.push(LOW, 2, round_=20)
    bench.said()
    bench.have(HIGHER, 2, round_=2)
    assert bench.said() == [], "one swap at a time"


def test_a_new_neighbour_is_told_of_the_last_minute() -> None:
    bench = Bench(HIGH)
    bench.push(HIGH, 1)
    bench.now_s += SETTINGS.told_again_s - 5
    bench.push(HIGH, 2)
    bench.now_s += 10
    bench.up(HIGHER)
    bench.flush()
    assert (HIGHER, Have(TOPIC, (id_of(2),), (2,))) in bench.said()


def test_the_last_eager_link_lost_is_replaced_by_a_lazy_one() -> None:
    bench = Bench()
    for lazy in (LOW, HIGHER):
        bench.tree.on_prune(bench.link(lazy))
    bench.tree.link_down(HIGH, bench.now_s, bench.out, is_lost=True)
    assert bench.said() == [(LOW, Graft(TOPIC, ()))]
    bench.tree.on_prune(bench.link(LOW))
    bench.push(LOW, 1)
    assert Arm(SETTINGS.have_hurry_s, FlushDue(TOPIC)) in bench.out, "in a hurry after a loss"


def test_a_parting_is_replaced_as_well_but_without_a_hurry() -> None:
    bench = Bench()
    for lazy in (LOW, HIGHER):
        bench.tree.on_prune(bench.link(lazy))
    bench.tree.link_down(HIGH, bench.now_s, bench.out, is_lost=False)
    assert bench.said() == [(LOW, Graft(TOPIC, ()))]
    bench.push(LOW, 1)
    assert Arm(SETTINGS.have_batch_s, FlushDue(TOPIC)) in bench.out


def test_a_client_hands_nothing_on() -> None:
    bench = Bench(is_leaf=True)
    bench.push(HIGH, 1)
    bench.flush()
    assert bench.said() == []


def test_seen_ids_are_bounded_and_forgotten_in_time() -> None:
    seen = SeenIds(100.0, 10, 0.0)
    for number in range(1000):
        seen.add(id_of(number), 1.0)
    assert len(seen) <= 20
    assert id_of(999) in seen
    seen.add(id_of(1), 150.0)
    assert id_of(999) in seen
    seen.add(id_of(2), 300.0)
    assert id_of(999) not in seen
