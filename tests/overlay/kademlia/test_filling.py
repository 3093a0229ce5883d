"""Filling buckets: neighbours are asked, half of what is wanted from each, and nobody gets in unasked."""

from tests.overlay.kademlia.network import Net, contact, table_of

from nearcast.overlay.kademlia import Kademlia
from nearcast.overlay.kademlia.filling import NEIGHBOURS_ASKED
from nearcast.overlay.kademlia.messages import Find, Nodes, Ping, Pong
from nearcast.overlay.machine import Effect, Send
from nearcast.transport.base import PeerAddress

FAR = 255  # the bucket of the other half of the key space


def sends(effects: list[Effect]) -> list[Send]:
    return [effect for effect in effects if isinstance(effect, Send)]


def far_from(machine: Kademlia, count: int, first: int = 1000) -> list[PeerAddress]:
    """Contacts of its farthest bucket."""
    numbers = range(first, first + 20 * count)
    return [each for each in map(contact, numbers) if machine.table.bucket_of(each.endpoint_id) == FAR][:count]


def joined(neighbours: int) -> tuple[Kademlia, list[Send]]:
    """A machine that has joined by way of so many neighbours of its own half, and the questions it asks then."""
    machine = Net().machine()
    known = [each for each in map(contact, range(100, 200)) if machine.table.bucket_of(each.endpoint_id) < FAR]
    asked = sends(machine.join(known[:neighbours], 0.0))
    while asked and isinstance(asked[0].message, Find) and asked[0].message.key == machine_key(machine):
        send, *asked = asked
        assert isinstance(send.message, Find)
        asked += sends(machine.on_message(send.to, Nodes(send.message.request_id, ()), 0.1))
    return machine, asked


def machine_key(machine: Kademlia) -> bytes:
    return machine.table.own_node_id.to_bytes(32, "big")


def test_two_neighbours_are_asked_for_each_bucket_and_half_is_taken_from_each() -> None:
    machine, asked = joined(30)
    far = far_from(machine, 40)
    of_far = [send for send in asked if bucket_asked(machine, send) == FAR]
    assert len(of_far) == NEIGHBOURS_ASKED
    for send, named in zip(of_far, (far[:20], far[20:]), strict=True):
        before = machine.table.bucket_size(FAR)
        assert isinstance(send.message, Find)
        effects = sends(machine.on_message(send.to, Nodes(send.message.request_id, tuple(named)), 0.2))
        pings = [each for each in effects if isinstance(each.message, Ping)]
        assert {ping.to for ping in pings} <= set(named)
        assert len(pings) == machine.settings.filling_contacts // NEIGHBOURS_ASKED
        assert machine.table.bucket_size(FAR) == before  # nobody is in that has only been named
        for ping in pings:
            assert isinstance(ping.message, Ping)
            machine.on_message(ping.to, Pong(ping.message.request_id), 0.3)
            assert machine.table.get(ping.to.endpoint_id) is not None


def bucket_asked(machine: Kademlia, send: Send) -> int:
    assert isinstance(send.message, Find)
    return (int.from_bytes(send.message.key, "big") ^ machine.table.own_node_id).bit_length() - 1


def test_contacts_of_other_buckets_are_not_pinged() -> None:
    machine, asked = joined(30)
    near = [each for each in map(contact, range(2000, 2100)) if machine.table.bucket_of(each.endpoint_id) < FAR]
    send = next(send for send in asked if bucket_asked(machine, send) == FAR)
    assert isinstance(send.message, Find)
    effects = sends(machine.on_message(send.to, Nodes(send.message.request_id, tuple(near[:20])), 0.2))
    assert not [each for each in effects if isinstance(each.message, Ping)]


def test_another_neighbour_is_asked_when_one_does_not_answer() -> None:
    machine, asked = joined(30)
    open_questions, of_far, is_first = list(asked), 0, True
    while open_questions:
        send = open_questions.pop(0)
        of_far += bucket_asked(machine, send) == FAR
        assert isinstance(send.message, Find)
        if is_first:
            effects = machine.on_unreachable(send.to.endpoint_id, 0.5)
        else:
            effects = machine.on_message(send.to, Nodes(send.message.request_id, ()), 0.6)
        lost, is_first = is_first, False
        open_questions += [each for each in sends(effects) if isinstance(each.message, Find)]
        assert not lost or open_questions
    assert of_far == NEIGHBOURS_ASKED + 1


def test_a_half_empty_bucket_is_asked_for_again_after_an_hour() -> None:
    net = Net()
    net.grow(60)
    machine = table_of(net.nodes[0])
    net.run(600)
    before = {index: machine.table.bucket_size(index) for index in machine.table.bucket_sizes()}
    assert before
    asked: list[Find] = []

    def note(effects: list[Effect]) -> list[Effect]:
        asked.extend(each.message for each in sends(effects) if isinstance(each.message, Find))
        return effects

    original = machine.on_timer
    machine.on_timer = lambda timer, now_s: note(original(timer, now_s))  # type: ignore[method-assign]
    net.run(2400)
    assert not asked
    net.run(1800)
    assert asked
