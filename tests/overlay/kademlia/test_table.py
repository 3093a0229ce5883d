"""The routing table: its order, its bounds, who gets in, and its invariants under whatever happens."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.overlay.kademlia.network import contact, endpoint

from nearcast.overlay.kademlia.address_groups import groups_of, groups_of_all
from nearcast.overlay.kademlia.keys import SPACE, node_id
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.table import Table
from nearcast.transport.base import PeerAddress

OWN = endpoint(0)
SETTINGS = KademliaSettings()
SMALL = KademliaSettings(
    bucket_contacts_max=4,
    siblings_max=6,
    contacts_max=24,
    spares_per_bucket_max=2,
    spares_max=5,
    same_part_per_bucket_max=2,
)


def filled(count: int, settings: KademliaSettings = SETTINGS) -> Table:
    table = Table(OWN, settings, is_lan=False)
    for number in range(1, count + 1):
        table.add(contact(number), float(number))
    return table


@given(st.integers(0, SPACE - 1), st.integers(1, 30), st.integers(0, 300))
def test_the_closest_are_the_closest(target: int, count: int, size: int) -> None:
    table = filled(size)
    ordered = sorted(table.contacts(), key=lambda each: each.node_id ^ target)
    assert table.closest(target, count) == ordered[:count]


def test_it_knows_all_who_are_near_and_some_who_are_far() -> None:
    table = filled(5000)
    distances = sorted(node_id(endpoint(number)) ^ node_id(OWN) for number in range(1, 5001))
    assert table.sibling_distances() == distances[: SETTINGS.siblings_max]
    assert table.bucket_sizes()[255] == table.bucket_sizes()[254] == SETTINGS.bucket_contacts_max
    assert len(table) <= SETTINGS.contacts_max


def test_who_was_there_first_stays_and_the_newcomer_waits() -> None:
    table = filled(5000)
    first = {each.address.endpoint_id for each in table.contacts()}
    newcomers = [contact(number) for number in range(5001, 6000)]
    places = [table.add(newcomer, 6000.0) for newcomer in newcomers]
    assert places.count("full") > 100
    far = {each.address.endpoint_id for each in table.contacts() if each.bucket >= 250}
    assert far <= first
    assert 0 < len(table.spares) <= SETTINGS.spares_max


def test_a_place_that_is_free_again_goes_to_the_newest_spare() -> None:
    table = filled(5000)
    table.offer(newest := next(contact(n) for n in range(6000, 7000) if table.place_for(contact(n)) == "full"))
    bucket = (node_id(newest.endpoint_id) ^ node_id(OWN)).bit_length() - 1
    leaver = next(each for each in table.contacts() if each.bucket == bucket)
    assert table.remove(leaver.address.endpoint_id) == newest
    assert table.remove(leaver.address.endpoint_id) is None


def test_the_stalest_is_who_was_heard_least_recently() -> None:
    table = filled(30)
    stalest = table.stalest()
    assert stalest is not None
    assert stalest.address == contact(1)
    assert table.heard(endpoint(1), 100.0)
    assert not table.heard(endpoint(99), 100.0)
    second = table.stalest()
    assert second is not None
    assert second.address == contact(2)


def test_hearing_somebody_does_not_forgive_what_it_left_unanswered() -> None:
    table = filled(3)
    one = table.get(endpoint(1))
    assert one is not None
    one.failures = 1
    table.heard(endpoint(1), 50.0)
    assert one.failures == 1
    table.add(contact(1), 51.0)
    assert one.failures == 0


def test_one_network_gets_a_few_places_only() -> None:
    table = Table(OWN, SETTINGS, is_lan=False)
    for number in range(1, 400):
        table.add(contact(number, f"44.1.1.{number % 250 + 1}:{number}"), 1.0)
    assert len(table) == SETTINGS.same_prefix_per_table_max
    assert max(table.bucket_sizes().values()) <= SETTINGS.same_prefix_per_bucket_max
    assert len(table.spares) == 0
    for number in range(400, 500):
        table.add(contact(number, f"44.1.2.1:{number}"), 1.0)
    assert len(table) <= SETTINGS.same_prefix_per_table_max + SETTINGS.same_address_per_table_max


def test_an_attacker_does_not_hide_its_network_behind_other_addresses() -> None:
    table = Table(OWN, SETTINGS, is_lan=False)
    for number in range(1, 200):
        made_up = f"{60 + number % 100}.{number}.7.7:1"
        table.add(contact(number, "44.1.1.1:9", made_up), 1.0)
    assert len(table) <= SETTINGS.same_address_per_table_max


@pytest.mark.parametrize("is_lan", [True, False])
def test_a_lan_works_and_elsewhere_private_addresses_get_half_a_bucket(is_lan: bool) -> None:
    table = Table(OWN, SETTINGS, is_lan=is_lan)
    for number in range(1, 300):
        table.add(contact(number, f"192.168.0.{number % 250}:1"), 1.0)
    largest = max(table.bucket_sizes().values())
    assert (largest >= SETTINGS.bucket_contacts_max) == is_lan
    assert is_lan or largest == SETTINGS.unplaced_per_bucket_max


def test_ids_made_close_together_get_a_part_of_a_bucket() -> None:
    table = Table(OWN, SETTINGS, is_lan=False)
    own = node_id(OWN)
    for number in range(1, 400):
        if (node_id(endpoint(number)) ^ own).bit_length() <= 255:  # the farthest bucket is still empty
            table.add(contact(number), 1.0)
    key = own ^ (0b1011 << 252)  # far away from us
    ids = sorted((endpoint(number) for number in range(1000, 20_000)), key=lambda each: node_id(each) ^ key)[:100]
    for number, each in enumerate(ids):
        table.add(PeerAddress(each, (f"77.{number}.1.1:1",)), 1.0)
    assert sum(table.get(each) is not None for each in ids) == SETTINGS.same_part_per_bucket_max


def test_itself_is_never_in_it() -> None:
    table = filled(10)
    assert table.add(contact(0), 1.0) == "refused"
    assert table.get(OWN) is None


@given(st.ip_addresses(v=4), st.integers(1, 65535))
def test_groups_are_the_address_and_its_network(ip: ipaddress.IPv4Address, port: int) -> None:
    groups = groups_of(f"{ip}:{port}")
    if not ip.is_global:
        assert groups == ()
    else:
        assert groups == ((4, 32, int(ip)), (4, 24, int(ip) >> 8))


def test_an_ipv6_customer_is_one_network() -> None:
    one, two = groups_of("[2a01:4f8:1:2::1]:1"), groups_of("[2a01:4f8:1:3::2]:1")
    assert one[1] == two[1] != groups_of("[2a01:4f8:2::1]:1")[1]
    assert groups_of("[::ffff:44.1.1.1]:1") == groups_of("44.1.1.1:1")
    assert groups_of("node.example:1") == groups_of("[::1]:1") == groups_of("10.0.0.1:1") == ()
    assert groups_of_all(("44.1.1.1:1", "44.1.1.1:2")) == groups_of("44.1.1.1:3")


class TableUnderLife(RuleBasedStateMachine):
    """Peers answer, ask, fail and move in any order; a small table, so that every bound is reached."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table(OWN, SMALL, is_lan=False)
        self.now_s = 0.0

    @rule(number=st.integers(1, 400), host=st.integers(1, 40))
    def answers(self, number: int, host: int) -> None:
        self.now_s += 1
        address = contact(number, f"44.1.{number % 60}.{host}:1")
        known = self.table.get(address.endpoint_id) is not None
        place = self.table.add(address, self.now_s)
        assert known == (place == "known")
        if place in ("full", "refused"):
            assert self.table.get(address.endpoint_id) is None

    @rule(number=st.integers(1, 400))
    def asks(self, number: int) -> None:
        self.now_s += 1
        before = len(self.table)
        if not self.table.heard(endpoint(number), self.now_s):
            self.table.offer(contact(number))
        assert len(self.table) == before  # nobody gets in by asking

    @rule(number=st.integers(1, 400))
    def is_gone(self, number: int) -> None:
        was_there = self.table.get(endpoint(number)) is not None
        before = len(self.table)
        self.table.remove(endpoint(number))
        assert len(self.table) == before - was_there

    @invariant()
    def holds(self) -> None:
        table = self.table
        everybody = list(table.contacts())
        assert len(everybody) == len(table) <= SMALL.contacts_max
        assert len(table.spares) <= SMALL.spares_max
        distances = sorted(each.node_id ^ table.own_node_id for each in everybody)
        siblings = table.sibling_distances()
        assert siblings == distances[: SMALL.siblings_max]
        counts: dict[tuple[int, int, int], int] = {}
        plain: dict[int, int] = {}
        for each in everybody:
            distance = each.node_id ^ table.own_node_id
            assert distance.bit_length() - 1 == each.bucket
            plain[each.bucket] = plain.get(each.bucket, 0) + (distance > siblings[-1])
            for group in each.groups:
                counts[group] = counts.get(group, 0) + 1
        assert max(plain.values(), default=0) <= SMALL.bucket_contacts_max
        assert counts == table.crowding.counts()
        assert all(count <= SMALL.same_prefix_per_table_max for count in counts.values())


TestTableUnderLife = TableUnderLife.TestCase
