"""Networks with trouble: a fifth of the nodes hostile, a key besieged, half of the nodes gone at once."""

import random

import pytest
from tests.overlay.kademlia.network import Net, contact, key, table_of

from nearcast.overlay.kademlia import Found, KademliaSettings, Stored
from nearcast.overlay.kademlia.keys import key_bytes, key_number, node_id
from nearcast.sim.figures.lookup_liars import Conspiracy, Kind, Liar
from nearcast.sim.peer import Peer

HONEST, HOSTILE = 80, 20
BESIEGED = key(0)


def attacked(kind: Kind) -> tuple[Net, list[Peer]]:
    """A network that grew with liars of this kind in it; those of "eclipse" have ids close to BESIEGED."""
    net = Net()
    conspiracy = Conspiracy(random.Random(1))
    conspiracy.invent(
        lambda endpoint_id: contact(node_id(endpoint_id) % 100_000), [BESIEGED], 100, HOSTILE, invented=1000
    )
    honest: list[Peer] = []
    for number in range(HONEST + HOSTILE):
        machine = net.machine()
        if number % 5 or not honest:
            peer = net.add(machine)
            honest.append(peer)
        else:
            if kind == "eclipse":
                machine = net.machine(endpoint_id=conspiracy.sieges.pop())
            liar = Liar(machine, machine.own, kind, conspiracy, lambda message: bytes(64))
            peer = net.add(machine, liar)
        net.nodes.append(peer)
        net.run(0.05)
    net.run(20)
    return net, honest


def share_found(net: Net, honest: list[Peer], keys: list[bytes]) -> float:
    """Each key gets an honest provider; others look for it."""
    providers = {of: net.rng.choice(honest) for of in keys}
    for of, provider in providers.items():
        net.provide(provider, of)
    net.run(30)
    asked = [(asker, of, net.find(asker, of)) for of in keys for asker in net.rng.sample(honest, 8)]
    net.run(40)
    good = sum(
        any(record.owner == providers[of].endpoint_id for record in net.found(asker, lookup_id).providers)
        for asker, of, lookup_id in asked
        if asker is not providers[of]
    )
    return good / sum(asker is not providers[of] for asker, of, _ in asked)


@pytest.mark.parametrize("kind", ["drop", "lie"])
def test_a_fifth_of_droppers_or_liars_is_borne(kind: Kind) -> None:
    net, honest = attacked(kind)
    assert share_found(net, honest, [key(number) for number in range(1, 7)]) >= 0.95
    lookup_id = net.find(honest[5], key(50))
    net.run(40)
    assert net.found(honest[5], lookup_id).providers == ()  # nobody has it, whatever liars say


def test_a_besieged_key_and_those_beside_it_are_found() -> None:
    net, honest = attacked("eclipse")
    beside = [key_bytes(key_number(BESIEGED) ^ (1 << bit)) for bit in (255, 252, 250, 248)]
    assert share_found(net, honest, [BESIEGED, *beside]) >= 0.95
    assert any(found.is_besieged for found in net.told(Found))


def test_half_of_the_nodes_are_gone_and_everything_is_still_found() -> None:
    net = Net()
    net.grow(80)
    keys = [key(number) for number in range(8)]
    for number, of in enumerate(keys):
        net.provide(net.nodes[number], of)
    net.run(10)
    for node in net.nodes[10:50]:
        net.simulation.crash(node)
    asked = [(node, net.find(node, of), number) for number, of in enumerate(keys) for node in net.nodes[60:64]]
    net.run(40)
    for node, lookup_id, number in asked:
        owners = [record.owner for record in net.found(node, lookup_id).providers]
        assert owners == [net.nodes[number].endpoint_id]
    before = sum(len(table_of(node).table) for node in net.nodes[50:])
    net.run(900)  # checks find the dead
    gone = {node.endpoint_id for node in net.nodes[10:50]}
    known = [each.address.endpoint_id for node in net.nodes[50:] for each in table_of(node).table.contacts()]
    assert sum(endpoint_id in gone for endpoint_id in known) < 0.1 * before


def test_a_provider_publishes_again_and_new_holders_get_it() -> None:
    net = Net()
    net.grow(40)
    net.provide(net.nodes[0], key(1))
    net.run(10)
    for _ in range(30):
        net.nodes.append(net.add(net.machine()))
    net.run(3700)
    assert len(net.told(Stored)) == 2
    closest = sorted(net.nodes, key=lambda node: table_of(node).table.own_node_id ^ key_number(key(1)))[:10]
    newcomers = [node for node in closest if node in net.nodes[40:]]
    assert newcomers
    assert all(table_of(node).snapshot()["records"] == 1 for node in newcomers)


def test_what_is_provided_no_longer_is_forgotten() -> None:
    net = Net(settings=KademliaSettings(record_life_s=600.0))
    net.grow(30)
    net.provide(net.nodes[0], key(1))
    net.run(10)
    table_of(net.nodes[0]).stop_providing(key(1))
    net.run(600)
    assert len(net.told(Stored)) == 1
    lookup_id = net.find(net.nodes[5], key(1))
    net.run(10)
    assert net.found(net.nodes[5], lookup_id).providers == ()
    assert all(len(told.providers) == 0 for told in net.told(Found))
