"""Hash tables among each other: joining, finding, publishing, clients, the dead, and what strangers may not do."""

import random
from dataclasses import replace

import pytest
from tests.overlay.kademlia.network import UNIX_S, Net, contact, key, provider_record, table_of

from nearcast.errors import UnavailableError, UsageError
from nearcast.keys import identity_from_secret
from nearcast.overlay.kademlia import Found, Joined, Kademlia, KademliaSettings, Stored, ValueFound
from nearcast.overlay.kademlia.core import REQUESTS
from nearcast.overlay.kademlia.events import ProviderFound
from nearcast.overlay.kademlia.messages import NODES, PROVIDERS, Find, Kept, Nodes, Ping, Pong, Store
from nearcast.overlay.kademlia.records import signed_value
from nearcast.overlay.machine import Arm, Effect, Send, Tell
from nearcast.transport.base import PeerAddress


@pytest.fixture(scope="module")
def net() -> Net:
    """Grown once; the tests that share it leave no trace that matters."""
    net = Net()
    net.grow(120)
    return net


def sent(effects: list[Effect]) -> list[Send]:
    return [effect for effect in effects if isinstance(effect, Send)]


def get_in(machine: Kademlia, peer: PeerAddress) -> None:
    """The peer pings, is asked back, and answers."""
    (answer,) = sent(machine.on_message(peer, Ping(1, peer), 0.0))
    assert isinstance(answer.message, Pong)
    assert answer.message.back is not None
    machine.on_message(peer, Pong(answer.message.back), 0.1)


def test_everybody_has_joined_and_knows_its_neighbours(net: Net) -> None:
    assert len(net.told(Joined)) == 120
    ids = sorted(table_of(node).table.own_node_id for node in net.nodes)
    for node in net.nodes:
        table = table_of(node).table
        nearest = sorted(each ^ table.own_node_id for each in ids)[1:11]
        assert len(set(nearest) & set(table.sibling_distances())) >= 9
        assert 60 < table_of(node).snapshot()["nodes_estimated"] < 240


def test_what_one_provides_every_other_finds(net: Net) -> None:
    for number in range(10):
        net.provide(net.nodes[number], key(number))
    net.run(10)
    assert [stored.holders for stored in net.told(Stored)][:10] == [20] * 10
    asked = [(node, number, net.find(node, key(number))) for node in net.nodes[20:60] for number in (0, 5, 9)]
    net.run(10)
    for node, number, lookup_id in asked:
        found = net.found(node, lookup_id)
        assert [record.owner for record in found.providers] == [net.nodes[number].endpoint_id]
        assert 1 <= found.hops <= 5
        assert not found.is_besieged


def test_what_nobody_provides_is_found_not_to_be_there(net: Net) -> None:
    lookup_id = net.find(net.nodes[3], key(77))
    net.run(10)
    assert net.found(net.nodes[3], lookup_id).providers == ()


def test_a_client_finds_and_is_in_no_table(net: Net) -> None:
    net.provide(net.nodes[1], key(1))
    client = net.machine(is_client=True)
    peer = net.add(client)
    net.run(10)
    lookup_id = net.find(peer, key(1))
    net.run(10)
    assert [record.owner for record in net.found(peer, lookup_id).providers] == [net.nodes[1].endpoint_id]
    assert all(table_of(node).table.get(peer.endpoint_id) is None for node in net.nodes)
    asker = net.nodes[0].address
    assert sent(client.on_message(asker, Ping(1, asker), net.simulation.now_s)) == []
    net.simulation.crash(peer)


def test_of_two_values_the_newer_is_found(net: Net) -> None:
    owner = identity_from_secret(b"o" * 32)
    for sequence, node in ((2, net.nodes[5]), (1, net.nodes[6])):
        value = signed_value(owner.endpoint_id, b"site", b"%d" % sequence, sequence, UNIX_S + 7200, owner.sign)
        net.simulation.give(node, table_of(node).put_value(value, net.simulation.now_s))
        net.run(10)
    node = net.nodes[50]
    lookup_id, effects = table_of(node).find_value(value.key, net.simulation.now_s)
    net.simulation.give(node, effects)
    net.run(10)
    found = net.told(ValueFound)[-1]
    assert (found.lookup_id, found.key) == (lookup_id, value.key)
    assert found.record is not None
    assert found.record.value == b"2"


def test_a_cancelled_lookup_says_nothing_more(net: Net) -> None:
    node = net.nodes[7]
    lookup_id = net.find(node, key(0))
    table_of(node).cancel(lookup_id)
    before = len(net.told(Found))
    net.run(10)
    assert len(net.told(Found)) == before


def test_mistakes_and_too_much_are_refused() -> None:
    machine = Net(settings=KademliaSettings(lookups_max=2, provided_max=1)).machine()
    with pytest.raises(UsageError):
        machine.find_providers(b"short", 20, 0.0)
    machine.provide(key(1), 0.0)
    with pytest.raises(UsageError):
        machine.provide(key(2), 0.0)
    machine.provide(key(1), 0.0)
    machine.stop_providing(key(1))
    machine.provide(key(2), 0.0)
    machine.join([contact(1)], 0.0)
    grown = Net(settings=KademliaSettings(lookups_max=2))
    grown.grow(3)
    for number in range(2):
        grown.find(grown.nodes[0], key(number))
    with pytest.raises(UnavailableError):
        grown.find(grown.nodes[0], key(2))


def test_a_lookup_without_contacts_is_over_at_once() -> None:
    _, effects = Net().machine().find_providers(key(1), 20, 0.0)
    assert [effect.event.providers for effect in effects if isinstance(effect, Tell)] == [()]


def test_only_whom_it_asked_may_answer() -> None:
    machine = Net().machine()
    asked, stranger = contact(500), contact(501)
    (send,) = sent(machine.join([asked], 0.0))
    assert isinstance(send.message, Find)
    answer = Nodes(send.message.request_id, (contact(502),))
    assert sent(machine.on_message(stranger, answer, 0.1)) == []
    assert len(machine.table) == 0
    assert [each.to for each in sent(machine.on_message(asked, answer, 0.1))] == [contact(502)]
    assert machine.table.get(asked.endpoint_id) is not None
    assert sent(machine.on_message(asked, answer, 0.2)) == []  # once


def test_a_stranger_gets_in_only_when_it_answers_a_check() -> None:
    machine = Net().machine()
    stranger, other = contact(500), contact(501)
    effects = machine.on_message(stranger, Find(9, key(1), NODES, None, stranger), 0.0)
    (answer,) = sent(effects)
    assert answer.message == Nodes(9, (), (), back=1)
    assert len(machine.table) == 0
    assert sent(machine.on_message(other, Pong(1), 0.1)) == []
    assert len(machine.table) == 0  # that was somebody else
    machine.on_message(stranger, Pong(1), 0.1)
    assert machine.table.get(stranger.endpoint_id) is not None
    effects = machine.on_message(other, Ping(1, stranger), 0.2)  # says it is somebody else
    assert [send.message for send in sent(effects)] == [Pong(1)]


def test_who_fails_twice_is_forgotten_and_a_dropper_does_not_save_itself_by_pings() -> None:
    machine = Net().machine()
    peer = contact(500)
    machine.start(0.0)
    get_in(machine, peer)
    machine.find_providers(key(1), 20, 1.0)
    machine.on_unreachable(peer.endpoint_id, 2.0)
    known = machine.table.get(peer.endpoint_id)
    assert known is not None
    assert known.failures == 1
    machine.on_message(peer, Ping(2, peer), 3.0)
    assert known.failures == 1
    (send,) = sent(machine.on_unreachable(peer.endpoint_id, 4.0))  # a real question, not a ping
    assert isinstance(send.message, Find)
    machine.on_timer(REQUESTS, 5.1)
    machine.on_timer(REQUESTS, 8.1)
    assert machine.table.get(peer.endpoint_id) is None


def test_who_hears_nothing_at_all_keeps_its_contacts() -> None:
    machine = Net().machine()
    peer = contact(500)
    get_in(machine, peer)
    for at_s in (1000.0, 2000.0, 3000.0):
        machine.find_providers(key(1), 20, at_s)
        machine.on_unreachable(peer.endpoint_id, at_s + 5)
    assert machine.table.get(peer.endpoint_id) is not None


def test_forged_and_strange_records_are_neither_kept_nor_believed() -> None:
    machine = Net().machine()
    peer = contact(500)
    good = provider_record(1, key(1))
    for record, is_kept in (
        (replace(good, sequence=9), False),
        (provider_record(1, key(1), expiry_s=UNIX_S), False),
        (provider_record(1, key(1), expiry_s=UNIX_S + 10**6), False),
        (good, True),
        (good, True),
    ):
        (answer,) = sent(machine.on_message(peer, Store(1, record), 0.0))
        assert answer.message == Kept(1, is_kept)
    (answer,) = sent(machine.on_message(peer, Find(2, key(1), PROVIDERS), 0.0))
    assert answer.message == Nodes(2, (), (good,))
    machine.join([peer], 0.0)
    _, effects = machine.find_providers(key(2), 20, 1.0)
    asker = Net().machine()
    (send,) = sent(asker.join([peer], 0.0))
    asker.on_message(peer, Nodes(send.message.request_id, ()), 0.1)
    lookup_id, effects = asker.find_providers(key(2), 20, 1.0)
    lies = (good, replace(provider_record(2, key(2)), sequence=7), provider_record(3, key(2), expiry_s=UNIX_S + 1))
    (send,) = sent(effects)
    effects = asker.on_message(peer, Nodes(send.message.request_id, (), lies), 2.0)
    told = [effect.event for effect in effects if isinstance(effect, Tell)]
    assert len(told) == 1
    assert isinstance(told[0], Found)
    assert (told[0].lookup_id, told[0].providers) == (lookup_id, ())


def test_a_third_party_copy_is_kept_for_a_while_only() -> None:
    machine = Net().machine()
    good = provider_record(1, key(1), expiry_s=UNIX_S + 86_400)
    provider = PeerAddress(good.owner, good.provider.addresses)
    for sender, later_s, is_there in ((contact(500), 700.0, False), (provider, 80_000.0, True)):
        machine.on_message(sender, Store(1, good), 0.0)
        (answer,) = sent(machine.on_message(sender, Find(2, key(1), PROVIDERS), later_s))
        assert (answer.message.records == (good,)) == is_there


def test_a_lookup_leaves_copies_with_those_near_the_key_who_lack_the_record() -> None:
    """Newcomers are closer to the key than its holders: a lookup passes them, and they have it for a while."""
    net = Net()
    net.grow(40)
    net.provide(net.nodes[0], key(1))
    net.run(10)

    def holders() -> int:
        return sum(table_of(node).snapshot()["records"] for node in net.nodes)

    assert holders() == 20
    net.grow(40)
    assert holders() == 20, "nobody publishes for others"
    for node in net.nodes[1:6]:
        net.find(node, key(1))
        net.run(10)
    copies = holders() - 20
    assert 2 <= copies <= 5 * 2, "two at most with each lookup"
    net.run(net.settings.cached_s + 120)
    assert holders() == 20, "copies are kept for a while"


def test_an_island_comes_back_by_its_seeds() -> None:
    net = Net()
    net.grow(5)
    lonely = net.machine()
    peer = net.simulation.add(lonely, lonely.own)
    net.simulation.give(peer, lonely.join([contact(900)], 0.0))
    net.run(30)
    assert not lonely.snapshot()["is_joined"]
    net.simulation.give(peer, lonely.join([net.nodes[0].address], net.simulation.now_s))
    net.run(90)
    assert lonely.snapshot()["is_joined"]
    assert len(lonely.table) == 5


def test_seeds_that_come_later_are_asked_too() -> None:
    machine = Net().machine()
    assert [send.to for send in sent(machine.join([contact(500)], 0.0))] == [contact(500)]
    assert [send.to for send in sent(machine.join([contact(501), contact(500)], 0.5))] == [contact(501)]
    for number in range(100):
        machine.join([contact(600 + number)], 1.0)
    machine.on_unreachable(contact(500).endpoint_id, 2.0)
    assert machine.snapshot()["requests"] == machine.settings.paths


def test_pings_need_no_timer_and_the_unanswered_are_given_up_with_what_comes_next() -> None:
    machine = Net(settings=KademliaSettings(checks_max=2)).machine()
    for number in range(3):
        stranger = contact(500 + number)
        effects = machine.on_message(stranger, Ping(1, stranger), 0.1 * number)
        assert not [effect for effect in effects if isinstance(effect, Arm)]
    assert machine.snapshot()["requests"] == 2
    late = contact(600)
    (answer,) = sent(machine.on_message(late, Ping(1, late), machine.settings.timeout_s + 0.2))
    assert answer.message == Pong(1, back=3)
    assert machine.snapshot()["requests"] == 1


def test_one_timer_for_all_requests() -> None:
    machine = Net().machine()
    effects = machine.join([contact(number) for number in range(500, 510)], 0.0)
    assert len([effect for effect in effects if isinstance(effect, Arm)]) == 1
    assert len(sent(effects)) == 3


def test_the_same_seed_gives_the_same_run() -> None:
    traces = []
    for _ in range(2):
        net = Net(seed=7)
        net.grow(25)
        net.provide(net.nodes[3], key(3))
        net.find(net.nodes[9], key(3))
        net.run(5)
        traces.append(net.simulation.trace.digest())
    assert traces[0] == traces[1]


def test_everything_is_bounded_whatever_a_stranger_sends() -> None:
    rng = random.Random(1)
    settings = KademliaSettings(records_max=50, records_per_provider_max=10)
    machine = Net(settings=settings).machine()
    for number in range(3000):
        sender = contact(number)
        machine.on_message(sender, Find(number, rng.randbytes(32), PROVIDERS, None, sender), number * 0.01)
        machine.on_message(sender, Pong(number), number * 0.01)
        machine.on_message(sender, Nodes(number, tuple(contact(n) for n in range(20))), number * 0.01)
    for number in range(40):
        record = provider_record(number % 7 + 1, key(number))
        machine.on_message(contact(1), Store(1, record), 40.0)
    view = machine.snapshot()
    assert view["contacts"] + view["spares"] <= 400
    assert view["requests"] <= settings.checks_max
    assert view["records"] <= settings.records_max


def test_providers_are_told_as_they_come(net: Net) -> None:
    told: list[ProviderFound] = []
    net.simulation.observe(ProviderFound, lambda peer, event, now_s: told.append(event))
    net.provide(net.nodes[11], key(11))
    net.run(10)
    lookup_id = net.find(net.nodes[90], key(11))
    net.run(10)
    assert [(event.lookup_id, event.record.owner) for event in told] == [(lookup_id, net.nodes[11].endpoint_id)]
