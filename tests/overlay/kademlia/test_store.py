"""The record store: its bounds, its order, what expires, and who is crowded out."""

import random
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.overlay.kademlia.network import UNIX_S, contact, key

from nearcast.overlay.kademlia.records import ProviderRecord, ValueRecord
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.store import RecordStore

SMALL = KademliaSettings(
    records_max=12, records_per_key_max=4, records_per_provider_max=5, records_per_network_max=6, cached_s=60.0
)


def record(number: int, of: int = 0, *, sequence: int = 1, life_s: int = 3600, network: int = 0) -> ProviderRecord:
    """Unsigned: the store takes what was verified."""
    host = contact(number, f"44.{network}.1.{number}:1") if network else contact(number)
    return ProviderRecord(key(of), host, sequence, UNIX_S + life_s, bytes(64))


def store(settings: KademliaSettings = SMALL) -> RecordStore:
    return RecordStore(settings, random.Random(1))


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
        network=st.integers(0, 2),
        is_copy=st.booleans(),
    )
    def comes(self, number: int, of: int, sequence: int, life_s: int, network: int, is_copy: bool) -> None:
        late_s = int(self.unix_s) - UNIX_S
        new = record(number, of, sequence=sequence, life_s=life_s + late_s, network=network)
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


TestStoreUnderLoad = StoreUnderLoad.TestCase
