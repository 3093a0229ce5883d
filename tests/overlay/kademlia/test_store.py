"""The record store: its bounds, its order, what expires, and who is crowded out."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.overlay.kademlia.network import UNIX_S, Net, contact, endpoint, key

from nearcast.overlay.kademlia.records import ProviderRecord, ValueRecord
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.store import UNPLACED, RecordStore
from nearcast.transport.base import PeerAddress

SMALL = KademliaSettings(
    records_max=12, records_per_key_max=4, records_per_provider_max=5, records_per_network_max=6, cached_s=60.0
)


def record(number: int, of: int = 0, *, sequence: int = 1, life_s: int = 3600, network: int = 0) -> ProviderRecord:
    """Unsigned: the store takes what was verified."""
    host = contact(number, f"44.{network}.1.{number}:1") if network else contact(number)
    return ProviderRecord(key(of), host, sequence, UNIX_S + life_s, bytes(64))


def unplaced(number: int, of: int = 0, *, sequence: int = 1, life_s: int = 3600) -> ProviderRecord:
    """It names a private address, a host name, or none."""
    addresses = ((), ("192.168.1.7:1",), ("node.example:1",))[number % 3]
    host = PeerAddress(endpoint(1000 + number), addresses)
    return ProviderRecord(key(of), host, sequence, UNIX_S + life_s, bytes(64))


def value(number: int) -> ValueRecord:
    return ValueRecord(endpoint(2000 + number), b"name", b"v", 1, UNIX_S + 3600, bytes(64))


def store(settings: KademliaSettings = SMALL, *, is_lan: bool = False) -> RecordStore:
    return RecordStore(settings, random.Random(1), is_lan=is_lan)


def test_the_newer_of_two_counts() -> None:
    kept = store()
    assert kept.add(record(1, sequence=2), is_copy=False, unix_s=UNIX_S)
    assert not kept.add(record(1, sequence=1), is_copy=False, unix_s=UNIX_S)
    assert not kept.add(record(1, sequence=2, life_s=7200), is_copy=False, unix_s=UNIX_S)
    assert kept.add(record(1, sequence=3), is_copy=False, unix_s=UNIX_S)
    assert kept.providers(key(0), 9, UNIX_S) == (record(1, sequence=3),)
    assert len(kept) == 1


def test_a_record_ends_when_it_says_and_a_copy_sooner() -> None:
    kept = store()
    kept.add(record(1), is_copy=False, unix_s=UNIX_S)
    kept.add(record(2), is_copy=True, unix_s=UNIX_S)
    assert len(kept.providers(key(0), 9, UNIX_S + 59)) == 2
    assert kept.providers(key(0), 9, UNIX_S + 61) == (record(1),)
    assert kept.providers(key(0), 9, UNIX_S + 3600) == ()
    kept.expire(UNIX_S + 61)
    assert len(kept) == 1
    kept.expire(UNIX_S + 3601)
    assert len(kept) == 0


def test_a_copy_becomes_lasting_when_its_provider_comes_itself() -> None:
    kept = store()
    kept.add(record(1), is_copy=True, unix_s=UNIX_S)
    assert kept.add(record(1), is_copy=False, unix_s=UNIX_S + 1)
    kept.expire(UNIX_S + 100)
    assert kept.providers(key(0), 9, UNIX_S + 100) == (record(1),)


def test_nothing_that_has_expired_or_lasts_for_ever_is_taken() -> None:
    kept = store()
    most_s = int(SMALL.record_life_s + SMALL.clock_skew_s)
    assert not kept.add(record(1, life_s=0), is_copy=False, unix_s=UNIX_S)
    assert not kept.add(record(1, life_s=most_s + 1), is_copy=False, unix_s=UNIX_S)
    assert kept.add(record(1, life_s=most_s), is_copy=False, unix_s=UNIX_S)


def test_a_full_key_makes_room_in_the_network_that_has_most() -> None:
    kept = store()
    for number in (1, 2, 3):
        kept.add(record(number, network=5), is_copy=False, unix_s=UNIX_S)
    honest = record(9)
    kept.add(honest, is_copy=False, unix_s=UNIX_S)
    for number in range(10, 30):
        kept.add(record(number, network=5), is_copy=False, unix_s=UNIX_S)
        assert honest in kept.providers(key(0), 9, UNIX_S)
    assert len(kept) == SMALL.records_per_key_max


@pytest.mark.parametrize("is_lan", [False, True])
def test_records_without_a_public_address_crowd_out_each_other(is_lan: bool) -> None:
    kept = store(is_lan=is_lan)
    honest = {record(number) for number in (1, 2, 3)}
    for each in honest:
        kept.add(each, is_copy=False, unix_s=UNIX_S)
    for number in range(20):
        assert kept.add(unplaced(number), is_copy=False, unix_s=UNIX_S)
        assert honest < set(kept.providers(key(0), 9, UNIX_S))
    assert kept.add(record(4), is_copy=False, unix_s=UNIX_S)
    assert set(kept.providers(key(0), 9, UNIX_S)) == honest | {record(4)}
    assert not kept.has_room(unplaced(30), is_copy=False, unix_s=UNIX_S)
    assert not kept.add(unplaced(30), is_copy=False, unix_s=UNIX_S)


def test_a_record_without_a_public_address_takes_the_place_of_one_of_a_network_that_has_several() -> None:
    kept = store()
    for number in (1, 2):
        kept.add(record(number, network=5), is_copy=False, unix_s=UNIX_S)
    for number in (3, 4):
        kept.add(record(number), is_copy=False, unix_s=UNIX_S)
    assert kept.add(unplaced(1), is_copy=False, unix_s=UNIX_S)
    named = kept.providers(key(0), 9, UNIX_S)
    assert set(named) == {record(2, network=5), record(3), record(4), unplaced(1)}


def test_records_without_a_public_address_have_a_networks_share_of_the_store() -> None:
    kept = store()
    for number in range(SMALL.records_per_network_max - 1):
        assert kept.add(unplaced(number, of=number // 4, life_s=100 + number), is_copy=False, unix_s=UNIX_S)
    assert kept.add(value(1), is_copy=False, unix_s=UNIX_S)
    assert not kept.add(unplaced(20, of=9), is_copy=True, unix_s=UNIX_S)
    assert kept.add(unplaced(20, of=9), is_copy=False, unix_s=UNIX_S)
    assert kept.providers(key(9), 9, UNIX_S) == (unplaced(20, of=9),)
    assert unplaced(0, life_s=100) not in kept.providers(key(0), 9, UNIX_S)
    assert len(kept) == SMALL.records_per_network_max
    for number in range(SMALL.records_max - len(kept)):
        assert kept.add(record(number, of=20 + number, life_s=50), is_copy=False, unix_s=UNIX_S)
    for number in range(30, 50):
        assert kept.add(unplaced(number, of=number), is_copy=False, unix_s=UNIX_S)
        assert kept.add(value(number), is_copy=False, unix_s=UNIX_S)
    assert all(kept.providers(key(20 + number), 9, UNIX_S) for number in range(6))
    assert len(kept) == SMALL.records_max


def test_a_record_whose_provider_loses_its_public_address_is_one_of_those_without() -> None:
    kept = store()
    for number in range(SMALL.records_per_network_max):
        kept.add(unplaced(number, of=number // 4, life_s=100 + number), is_copy=False, unix_s=UNIX_S)
    host = record(7, of=9)
    kept.add(host, is_copy=False, unix_s=UNIX_S)
    moved = replace(host, provider=PeerAddress(host.owner), sequence=2)
    assert not kept.add(moved, is_copy=True, unix_s=UNIX_S)
    assert kept.add(moved, is_copy=False, unix_s=UNIX_S)
    assert len(kept) == SMALL.records_per_network_max
    again = replace(host, sequence=3)
    kept.add(again, is_copy=False, unix_s=UNIX_S)
    for number in range(20, 30):
        kept.add(unplaced(number, of=number), is_copy=False, unix_s=UNIX_S)
    assert kept.providers(key(9), 9, UNIX_S) == (again,)


def test_on_a_lan_records_without_a_public_address_fill_the_store_but_displace_no_others() -> None:
    kept = store(is_lan=True)
    placed = [record(number, of=20 + number, life_s=50) for number in range(3)]
    for each in placed:
        kept.add(each, is_copy=False, unix_s=UNIX_S)
    for number in range(30):
        assert kept.add(unplaced(number, of=100 + number), is_copy=False, unix_s=UNIX_S)
    assert len(kept) == SMALL.records_max
    assert all(kept.providers(each.key, 9, UNIX_S) == (each,) for each in placed)


def test_a_node_keeps_its_store_told_whether_it_is_on_a_lan() -> None:
    machine = Net().machine()
    told = [machine._core.store.is_lan]
    for address in ("192.168.1.7:1", "44.1.1.1:1"):
        machine.readdress(PeerAddress(machine.own.endpoint_id, (address,)))
        told.append(machine._core.store.is_lan)
    assert told == [False, True, False]


def test_copies_never_displace_anything_and_go_first() -> None:
    kept = store()
    kept.add(record(1), is_copy=True, unix_s=UNIX_S)
    for number in (2, 3, 4):
        kept.add(record(number), is_copy=False, unix_s=UNIX_S)
    assert not kept.add(record(5), is_copy=True, unix_s=UNIX_S)
    assert kept.add(record(6), is_copy=False, unix_s=UNIX_S)
    assert record(1) not in kept.providers(key(0), 9, UNIX_S)


def test_of_many_providers_a_random_choice_is_named() -> None:
    kept = store()
    for number in range(4):
        kept.add(record(number), is_copy=False, unix_s=UNIX_S)
    named = [each.owner for _ in range(50) for each in kept.providers(key(0), 2, UNIX_S)]
    assert len(named) == 100
    assert len(set(named)) == 4


def test_a_value_is_kept_beside_nothing_else() -> None:
    kept = store()
    value = ValueRecord(b"o" * 32, b"name", b"v", 1, UNIX_S + 60, bytes(64))
    assert kept.add(value, is_copy=False, unix_s=UNIX_S)
    assert kept.value(value.key, UNIX_S) == value
    assert kept.providers(value.key, 9, UNIX_S) == ()
    assert kept.value(value.key, UNIX_S + 60) is None
    newer = replace(value, sequence=2, value=b"w")
    assert kept.add(newer, is_copy=False, unix_s=UNIX_S)
    assert kept.value(value.key, UNIX_S) == newer


class StoreUnderLoad(RuleBasedStateMachine):
    """Records of many providers for many keys come in any order while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.store = store()
        self.unix_s = float(UNIX_S)
        self.newest: dict[tuple[bytes, bytes], int] = {}

    @rule(
        number=st.integers(0, 12),
        of=st.integers(0, 5),
        sequence=st.integers(1, 5),
        life_s=st.integers(1, 200),
        network=st.integers(-1, 2),
        is_copy=st.booleans(),
    )
    def comes(self, number: int, of: int, sequence: int, life_s: int, network: int, is_copy: bool) -> None:
        late_s = int(self.unix_s) - UNIX_S
        new = record(number, of, sequence=sequence, life_s=life_s + late_s, network=max(network, 0))
        if network < 0:
            new = replace(new, provider=PeerAddress(new.owner))
        if self.store.add(new, is_copy=is_copy, unix_s=self.unix_s):
            assert new in self.store.providers(new.key, 99, self.unix_s)

    @rule(for_s=st.integers(1, 100))
    def time_passes(self, for_s: int) -> None:
        self.unix_s += for_s
        self.store.expire(self.unix_s)

    @invariant()
    def is_within_its_bounds(self) -> None:
        per_owner: dict[bytes, int] = {}
        total = 0
        for of in range(6):
            named = self.store.providers(key(of), 99, self.unix_s)
            assert len(named) <= SMALL.records_per_key_max
            assert len({each.owner for each in named}) == len(named)
            assert all(each.key == key(of) and each.expiry_s > self.unix_s for each in named)
            total += len(named)
            for each in named:
                per_owner[each.owner] = per_owner.get(each.owner, 0) + 1
        assert total <= len(self.store) <= SMALL.records_max
        assert max(per_owner.values(), default=0) <= SMALL.records_per_provider_max

    @invariant()
    def counts_what_is_there(self) -> None:
        kept = [each for owners in self.store._keys.values() for each in owners.values()]
        assert len(self.store) == len(kept)
        counts = Counter(network for each in kept for network in each.networks)
        assert self.store._per_network == counts
        assert max(counts.values(), default=0) <= SMALL.records_per_network_max
        assert counts[UNPLACED] <= len(self.store._unplaced)


TestStoreUnderLoad = StoreUnderLoad.TestCase
