"""A reader gets the whole list in pages and computes its root again; any order of changes, against a plain model."""

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.codec import Reverted
from tests.contracts.court_stage import COPYRIGHT, refusal
from tests.contracts.world import DAY_S, World, shared

from nearcast.chain.evidence import EVERYWHERE

ROOTS = [keccak(bytes([number])) for number in range(4)]
SCOPES = [EVERYWHERE, b"DE", b"FR"]


def root_of(rows: list[Any]) -> bytes:
    """As a reader computes it (MultisetHash.sol), from nothing but the rows."""
    sums = [0, 0, 0, 0]
    for row in rows:
        element = keccak(encode(["bytes32", "bytes2", "uint40", "uint40", "uint8", "uint8"], row))
        for lane in range(4):
            sums[lane] += int.from_bytes(keccak(encode(["bytes32", "uint256"], [element, lane])))
    return bytes(keccak(b"".join((total % 2**256).to_bytes(32) for total in sums)))


def rows_of(world: World, page: int = 100) -> list[Any]:
    """All pages."""
    rows: list[Any] = []
    while found := world.blacklist.call("entries", len(rows), page):
        rows += found
    return rows


@dataclass
class Row:
    """The model's entry."""

    effective_at: int
    lapses_at: int
    source: int
    pruned: bool = False
    removed: bool = False
    overruled: bool = False


class Model:
    """What the list should be: keys to rows."""

    def __init__(self, now_s: int) -> None:
        self.rows: dict[tuple[bytes, bytes], Row] = {}
        self.now_s = now_s

    def standing(self, key: tuple[bytes, bytes]) -> Row | None:
        row = self.rows.get(key)
        return None if row is None or row.removed else row

    def lapsed(self, row: Row) -> bool:
        return 0 < row.lapses_at <= self.now_s

    def apply(self, action: str, key: tuple[bytes, bytes]) -> bool:
        """Whether it goes through."""
        row = self.standing(key)
        if action in ("add", "addEmergency"):
            if row and not self.lapsed(row):
                return False
            if action == "addEmergency":
                if row or (key in self.rows and self.rows[key].overruled):
                    return False
                at = self.now_s + 7_200
                self.rows[key] = Row(at, at + 14 * DAY_S, 1)
            else:
                self.rows[key] = Row(self.now_s + DAY_S, 0, 0)
            return True
        if row is None:
            return False
        if action == "remove":
            row.removed = row.overruled = True
        elif action == "ratify":
            if self.lapsed(row) or row.lapses_at == 0:
                return False
            row.lapses_at = 0
        elif action == "prune":
            if not self.lapsed(row) or row.pruned:
                return False
            row.pruned = True
        return True

    def listed(self) -> list[Any]:
        return sorted(
            (*key, row.effective_at, row.lapses_at, COPYRIGHT, row.source)
            for key, row in self.rows.items()
            if not row.removed and not row.pruned
        )


ACTIONS = st.sampled_from(["add", "addEmergency", "remove", "ratify", "prune", "wait"])


@given(st.lists(st.tuples(ACTIONS, st.sampled_from(ROOTS), st.sampled_from(SCOPES)), max_size=25))
def test_any_order_of_changes_gives_the_list_and_the_root_of_the_model(steps: list[tuple[str, bytes, bytes]]) -> None:
    with shared().fork() as world:
        model, changes = Model(world.now_s), 0
        for action, root, scope in steps:
            if action == "wait":
                world.travel(10 * DAY_S)
                continue
            model.now_s = world.now_s
            sender = world.accounts[0] if action == "addEmergency" else world.timelock
            args = (root, scope, COPYRIGHT) if action.startswith("add") else (root, scope)
            try:
                world.blacklist.transact(action, *args, sender=sender)
                done = True
            except Reverted:
                done = False
            assert done is model.apply(action, (root, scope)), (action, root, scope)
            changes += done
        rows = rows_of(world, page=3)
        assert sorted(rows) == model.listed()
        assert world.blacklist.call("snapshot") == (changes, root_of(rows), len(rows))
        for key, row in model.rows.items():
            for at in (row.effective_at - 1, row.effective_at, row.lapses_at - 1, row.lapses_at):
                counts = not row.removed and row.effective_at <= at and (row.lapses_at == 0 or at < row.lapses_at)
                if at >= 0:
                    assert world.blacklist.call("countsAt", *key, at) is counts


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_rows_go_in_any_order(world: World, order: tuple[int, ...]) -> None:
    for root in ROOTS[:3]:
        world.blacklist.transact("add", root, EVERYWHERE, COPYRIGHT, sender=world.timelock)
    left = set(ROOTS[:3])
    for place in order:
        world.blacklist.transact("remove", ROOTS[place], EVERYWHERE, sender=world.timelock)
        left.remove(ROOTS[place])
        rows = rows_of(world)
        assert {row.digest for row in rows} == left
        assert world.blacklist.call("snapshot").root == root_of(rows)


def test_the_root_knows_every_field_of_a_row(world: World) -> None:
    world.blacklist.transact("add", ROOTS[0], EVERYWHERE, COPYRIGHT, sender=world.timelock)
    rows = rows_of(world)
    true = world.blacklist.call("snapshot").root
    assert root_of(rows) == true
    assert world.blacklist.call("listingHash", rows[0]) == keccak(
        encode(["bytes32", "bytes2", "uint40", "uint40", "uint8", "uint8"], rows[0])
    )
    for name, value in {"digest": ROOTS[1], "scope": b"DE", "effectiveAt": 1, "lapsesAt": 1, "reason": 3}.items():
        assert root_of([rows[0]._replace(**{name: value})]) != true
    assert root_of([*rows, *rows]) != true
    assert root_of([]) != true


def test_pages_end_where_the_list_does(world: World) -> None:
    for root in ROOTS:
        world.blacklist.transact("add", root, EVERYWHERE, COPYRIGHT, sender=world.timelock)
    entries = world.blacklist.call
    assert [row.digest for row in entries("entries", 0, 2**256 - 1)] == ROOTS
    assert [row.digest for row in entries("entries", 3, 5)] == ROOTS[3:]
    assert entries("entries", 4, 1) == ()
    assert entries("entries", 2**256 - 1, 2**256 - 1) == ()
    assert entries("entries", 1, 0) == ()


def test_two_hundred_entries_are_read_in_one_call(world: World) -> None:
    for number in range(200):
        world.blacklist.transact("add", keccak(number.to_bytes(4)), EVERYWHERE, COPYRIGHT, sender=world.timelock)
    rows = world.blacklist.call("entries", 0, 200)
    assert world.blacklist.call("snapshot") == (200, root_of(rows), 200)


def test_refusals_change_no_version(world: World) -> None:
    assert (
        refusal(lambda: world.blacklist.transact("remove", ROOTS[0], EVERYWHERE, sender=world.timelock)) == "NotListed"
    )
    assert world.blacklist.call("version") == 0
