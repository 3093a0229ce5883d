"""Hostile peers: what goes in is the truth, what comes out is harmed as the table says."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sim.toys import Note, Recorder, recorders, world

from nearcast.errors import RemoteError
from nearcast.overlay.machine import Arm, Keep, Send
from nearcast.sim.byzantine import Byzantine, garbled
from nearcast.sim.scenario import ByzantineTable
from nearcast.transport.base import PeerAddress

MANY = 2000


def received(behaviour: str, *, often: float = 1.0, pardoned: bool = False) -> list[tuple[float, Note]]:
    """What arrives of MANY numbered messages of one liar, with the delay of each beyond the network's."""
    simulation = world()
    (target,), (target_peer,) = recorders(simulation, 1)
    table = ByzantineTable(share=1.0, behaviours=(behaviour,), often=often, delay_s=2.0)
    effects = [Send(target_peer.address, Note("x", number)) for number in range(MANY)]
    liar = Byzantine(Recorder(first=effects), table, random.Random(1))
    liar.is_pardoned = pardoned
    simulation.add(liar, simulation.new_address())
    simulation.run_until(100.0)
    return [(now_s - 0.05, message) for now_s, _, message in target.messages]


def test_drop() -> None:
    assert received("drop") == []
    assert len(received("drop", often=0.25)) == pytest.approx(MANY * 0.75, abs=60)


def test_delay() -> None:
    arrived = received("delay")
    assert sorted(message.number for _, message in arrived) == list(range(MANY))
    assert sum(delay_s for delay_s, _ in arrived) / MANY == pytest.approx(2.0, rel=0.1)


def test_replay() -> None:
    arrived = received("replay")
    assert len(arrived) == 2 * MANY
    assert {message.number for _, message in arrived} == set(range(MANY))


def test_garble() -> None:
    arrived = received("garble")
    assert len(arrived) == MANY
    changed = sum(message.text != "x" or message.number != at for at, (_, message) in enumerate(arrived))
    assert changed > MANY * 0.9


def test_a_pardoned_liar_is_honest() -> None:
    assert [message.number for _, message in received("drop", pardoned=True)] == list(range(MANY))


def test_a_lie_of_the_protocols_own() -> None:
    to = PeerAddress(bytes(32))

    def lie(send: Send, rng: random.Random) -> Send | None:
        return replace(send, message=Note("a lie")) if send.message.number else None

    liar = Byzantine(Recorder(), ByzantineTable(behaviours=("lie",)), random.Random(1), lie)
    assert list(liar.corrupt([Send(to, Note(number=1)), Send(to, Note())])) == [Send(to, Note("a lie"))]


def test_what_no_parser_lets_pass_goes_nowhere() -> None:
    to = PeerAddress(bytes(32))

    def through(message: Note) -> Note:
        if message.number != 5:
            raise RemoteError("malformed")
        return message

    liar = Byzantine(Recorder(), ByzantineTable(behaviours=("garble",)), random.Random(1), through=through)
    assert list(liar.corrupt([Send(to, Note("x", 5))] * 20)) == []
    liar = Byzantine(
        Recorder(), ByzantineTable(behaviours=("garble",)), random.Random(1), through=lambda message: message
    )
    assert len(list(liar.corrupt([Send(to, Note("x", 5))] * 20))) == 20


def test_everything_but_messages_passes_and_the_machine_knows_the_truth() -> None:
    to = PeerAddress(bytes(32))
    inner = Recorder()
    liar = Byzantine(inner, ByzantineTable(), random.Random(1))
    assert list(liar.corrupt([Arm(1.0, "tick"), Keep(to), Send(to, Note())])) == [Arm(1.0, "tick"), Keep(to)]
    list(liar.on_message(to, Note("truth"), 3.0))
    list(liar.on_timer("tick", 4.0))
    list(liar.on_unreachable(bytes(32), 5.0))
    assert liar.messages == [(3.0, bytes(32), Note("truth"))], "attributes are the machine's own"
    assert inner.timers == [(4.0, "tick")]
    assert inner.unreachable == [(5.0, bytes(32))]


@given(st.text(max_size=5), st.integers(0, 1 << 40), st.integers(0, 1000))
def test_what_is_garbled_keeps_its_types(text: str, number: int, seed: int) -> None:
    changed = garbled(Note(text, number), random.Random(seed))
    assert type(changed) is Note
    assert (type(changed.text), type(changed.number)) == (str, int)
    assert changed.number >= 0


def test_what_has_no_fields_is_left_alone() -> None:
    assert garbled("text", random.Random(1)) == "text"
