"""Doors, cells and density: whom to ask when alone, who watches whom, and how many nodes there are."""

import random

import pytest

from nearcast.overlay.bootstrap import REMEMBERED_MAX, Doors
from nearcast.overlay.cells import Cell, cell_bits
from nearcast.overlay.density import SPACE, nodes_estimated
from nearcast.overlay.kademlia.keys import node_id
from nearcast.overlay.peers import BACK_OFF_S, PEERS_MAX
from nearcast.transport.base import PeerAddress


def peer(number: int) -> PeerAddress:
    return PeerAddress(number.to_bytes(32, "big"), (f"192.0.2.1:{number}",))


def doors() -> Doors:
    return Doors(peer(0).endpoint_id, random.Random(1))


def test_however_many_the_lan_invents_the_operators_own_stay_and_nothing_grows() -> None:
    some = doors()
    some.add_seeds([peer(1)], 0.0, "config")
    for number in range(2, 3 * PEERS_MAX):
        some.add_seeds([peer(number)], float(number))
    assert some.count == PEERS_MAX
    assert peer(1) in some.any(PEERS_MAX)
    assert some.is_unmet(peer(1).endpoint_id)
    assert not some.is_unmet(peer(2).endpoint_id), "it had to make room"
    assert len(some._unmet) <= PEERS_MAX


def test_half_of_a_handful_are_seeds_half_remembered() -> None:
    some = doors()
    some.add_seeds([peer(number) for number in range(1, 21)], 0.0)
    for number in range(21, 41):
        some.remember(peer(number))
    asked = [int.from_bytes(contact.endpoint_id, "big") for contact in some.knock(4, 1.0)]
    assert [number <= 20 for number in asked] == [True, True, False, False]


def test_who_did_not_answer_is_left_alone_and_all_are_asked_in_turn() -> None:
    some = doors()
    some.add_seeds([peer(number) for number in range(5)], 0.0)  # 0 is ourselves
    first, second = some.knock(3, 0.0), some.knock(3, 0.0)
    assert {contact.endpoint_id for contact in [*first, *second]} == {
        peer(number).endpoint_id for number in range(1, 5)
    }
    assert (len(first), len(second), some.knock(3, 0.0)) == (3, 1, [])
    some.answered(first[0].endpoint_id)
    assert some.knock(3, 1.0) == [first[0]]
    assert len(some.knock(3, BACK_OFF_S + 1.0)) == 3
    assert some.knock(4, BACK_OFF_S + 1.0) != []


def test_the_memory_is_bounded_and_newest_first() -> None:
    some = doors()
    for number in range(REMEMBERED_MAX + 10):
        some.remember(peer(number))
    some.remember(peer(20))
    kept = some.remembered()
    assert (len(kept), kept[0], kept[1]) == (REMEMBERED_MAX, peer(20), peer(REMEMBERED_MAX + 9))


def test_the_lost_are_known_until_they_are_alive_again_or_forgotten() -> None:
    some = doors()
    some.remember(peer(1))
    some.remember(peer(2))
    some.lost(peer(3).endpoint_id)  # was never a door
    assert (some.one_lost(), some.lost_count) == (None, 0)
    some.lost(peer(1).endpoint_id)
    some.lost(peer(1).endpoint_id)
    assert (some.one_lost(), some.lost_count, some.is_lost(peer(1).endpoint_id)) == (peer(1), 1, True)
    some.remember(peer(1))
    assert (some.one_lost(), some.lost_count) == (None, 0)
    some.lost(peer(2).endpoint_id)
    for number in range(10, 10 + REMEMBERED_MAX):
        some.remember(peer(number))
    assert some.lost_count == 0


def test_a_memory_that_is_asked_again_keeps_its_back_off() -> None:
    some = doors()
    some.remember(peer(1))
    assert some.knock(2, 0.0) == [peer(1)]
    assert some.knock(2, 1.0) == []


@pytest.mark.parametrize("nodes", [30, 1000, 100_000])
def test_the_number_of_nodes_is_about_right_and_one_grinder_changes_little(nodes: int) -> None:
    chance = random.Random(nodes)
    guesses, ground = [], []
    for _ in range(60):
        closest = sorted(int(SPACE * chance.random()) for _ in range(min(nodes, 5000)))
        distances = [distance * min(nodes, 5000) // nodes for distance in closest[:20]]
        guesses.append(nodes_estimated(distances))
        ground.append(nodes_estimated([1, *distances[:19]]))
    assert 0.8 * nodes < sorted(guesses)[30] < 1.2 * nodes
    assert sorted(ground)[30] < 1.4 * nodes


def test_who_knows_everybody_counts_them() -> None:
    assert nodes_estimated([5, 6, 7, 8, 9], is_all=True) == 6
    assert nodes_estimated([]) == 1
    assert nodes_estimated([0, 0, 0, 0]) >= 5  # nonsense from a stranger must not divide by nothing


def test_a_cell_splits_and_joins_late() -> None:
    bits = 0
    seen = []
    for nodes in (50, 90, 100, 200, 400, 300, 250, 130, 90, 50, 30):
        bits = cell_bits(nodes, 60, bits)
        seen.append(bits)
    assert seen == [0, 0, 1, 2, 3, 3, 3, 2, 2, 1, 0]


def test_cells_are_prefixes_of_node_ids() -> None:
    cell = Cell(bytes(32), 60)
    others = [peer(number).endpoint_id for number in range(400)]
    assert all(cell.admits(other) for other in others)
    cell.resize(400)
    assert cell.bits == 3
    inside = [other for other in others if cell.admits(other)]
    assert 25 < len(inside) < 75
    assert {node_id(other) >> 253 for other in inside} == {node_id(bytes(32)) >> 253}
