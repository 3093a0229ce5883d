"""A whole node among strangers who send it anything that parses: it raises nothing, and stays within its bounds."""

import random
from dataclasses import fields, is_dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day
from tests.overlay.overlay_messages import ID, MESSAGES, OTHER

from nearcast.keys import identity_from_secret, verify
from nearcast.overlay import codec
from nearcast.overlay.failure import messages as failure
from nearcast.overlay.gossip.announcement import NodeFacts
from nearcast.overlay.kademlia import messages as kademlia
from nearcast.overlay.machine import Arm, Drop, Effect, Keep, Send, Tell
from nearcast.overlay.mesh import Mesh
from nearcast.transport.base import PeerAddress

IDENTITIES = [identity_from_secret(bytes([number]) * 32) for number in range(4)]
OWN = PeerAddress(IDENTITIES[0].endpoint_id, ("192.0.2.9:4433",))
STRANGERS = [PeerAddress(ID, ("192.0.2.1:1",)), PeerAddress(OTHER, ("192.0.2.2:1",)), PeerAddress(bytes([7]) * 32)]
NOW_S = 1_800_000_000.0
ACTS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(MESSAGES), st.integers(0, 1 << 20), st.floats(0.0, 90.0)),
    min_size=1,
    max_size=40,
)


def node(seed: int) -> Mesh:
    return Mesh(
        OWN,
        lambda: NodeFacts(region="eu"),
        sign=IDENTITIES[0].sign,
        verify=verify,
        rng=random.Random(seed),
    )


def varied(message: Any, number: int) -> Any:
    """The same message with another number wherever it has one that is not a flag."""
    numbers = [
        field.name
        for field in fields(message)
        if isinstance(getattr(message, field.name), int) and not isinstance(getattr(message, field.name), bool)
    ]
    assert is_dataclass(message)
    return replace(message, **dict.fromkeys(numbers[:1], number)) if numbers and number % 2 else message  # type: ignore[type-var]


class Owner:
    """Performs a machine's effects as far as the machine can tell: timers ring, dials fail."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.now_s = NOW_S
        self.timers: list[tuple[float, int, Any]] = []
        self.count = 0

    def perform(self, effects: Any) -> list[Effect]:
        done = list(effects)
        for effect in done:
            match effect:
                case Send(to, message):
                    assert codec.frame(message)
                    assert to.endpoint_id != OWN.endpoint_id
                case Arm(after_s, timer):
                    self.count += 1
                    self.timers.append((self.now_s + after_s, self.count, timer))
                case Keep() | Drop() | Tell():
                    pass
        return done

    def wait(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        for _ in range(500):
            if not self.timers or min(self.timers)[0] > end_s:
                break
            due = min(self.timers)
            self.timers.remove(due)
            self.now_s = max(self.now_s, due[0])
            self.perform(self.mesh.on_timer(due[2], self.now_s))
        self.now_s = end_s


@by_day(30)
@given(ACTS, st.integers(0, 1 << 16))
def test_strangers_may_say_anything(acts: list[tuple[int, codec.Message, int, float]], seed: int) -> None:
    mesh = node(seed)
    owner = Owner(mesh)
    owner.perform(mesh.start(NOW_S))
    owner.perform(mesh.add_seeds(STRANGERS[:1], NOW_S))
    for who, message, number, wait_s in acts:
        sender = STRANGERS[who]
        owner.perform(mesh.on_message(sender, varied(message, number), owner.now_s))
        if number % 7 == 0:
            owner.perform(mesh.on_unreachable(sender.endpoint_id, owner.now_s))
        owner.wait(wait_s)
    assert len(owner.timers) < 200
    assert len(mesh.parts.kademlia.table) <= len(STRANGERS)
    assert mesh.snapshot(owner.now_s)["heard"] <= len(STRANGERS)
    assert len(mesh.nearest(100, owner.now_s)) <= 10


def test_a_flood_of_strangers_fills_no_list_beyond_its_bound() -> None:
    mesh = node(1)
    owner = Owner(mesh)
    owner.perform(mesh.start(NOW_S))
    bounds = mesh.parts.settings
    for number in range(2_000):
        stranger = PeerAddress(number.to_bytes(32, "big"), (f"198.51.{number % 250}.{number // 250}:1",))
        for message in (kademlia.Ping(number, stranger), failure.Ping(number, 0)):
            owner.perform(mesh.on_message(stranger, message, owner.now_s))
        owner.wait(0.01)
    assert len(mesh.parts.heard) == bounds.heard_max
    assert len(mesh.parts.detector.members()) <= bounds.members_max
    assert len(mesh.parts.kademlia.table) == 0  # nobody is in it that has not answered
