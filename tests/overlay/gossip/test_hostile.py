"""Peers that replay, forge, flood, invent and promise: an honest node stays bounded, sane and connected."""

from dataclasses import replace

import pytest
from tests.overlay.gossip.pump import Pump, fake_sign

from nearcast.overlay.gossip.envelope import seal
from nearcast.overlay.gossip.events import Announced, Delivered, Misbehaved
from nearcast.overlay.gossip.machine import Gossip
from nearcast.overlay.gossip.messages import (
    CONTACTS_MAX,
    ID_BYTES,
    IDS_MAX,
    Answer,
    Ask,
    Have,
    Join,
    Listen,
    Message,
    Part,
    Push,
    Shuffle,
    Shuffled,
    Snapshot,
    Walk,
)
from nearcast.overlay.gossip.settings import GossipSettings
from nearcast.overlay.machine import Send
from nearcast.transport.base import PeerAddress

TOPIC = "global"
SETTINGS = GossipSettings()


class Scene:
    """A network of honest peers, one of them the victim, and a neighbour of its that says what the test wants."""

    def __init__(self, seed: int, peers: int = 30) -> None:
        self.pump = Pump(seed)
        ids = self.pump.grow(peers)
        self.pump.run(60)
        self.victim_id = ids[2]
        self.mallory_id = list(self.victim.member(TOPIC).membership.active)[-1]

    @property
    def victim(self) -> Gossip:
        return self.pump.peers[self.victim_id]

    def say(self, *messages: Message, sender: bytes | None = None) -> list[object]:
        """What the victim sends at once in answer."""
        sent: list[object] = []
        for message in messages:
            who = self.pump.addresses.get(sender or self.mallory_id, PeerAddress(sender or b""))
            effects = list(self.victim.on_message(who, message, self.pump.now_s))
            sent += [effect.message for effect in effects if isinstance(effect, Send)]
            self.pump.give(self.victim_id, effects)
        return sent

    def sealed(self, body: bytes, *, signer: bytes | None = None, topic: str = TOPIC, age_s: float = 0.0) -> bytes:
        origin = self.mallory_id
        issued_ms = int((self.pump.now_s - age_s) * 1000)
        sign = fake_sign(signer or origin)
        return seal(topic, origin, sign, kind="text", body=body, issued_ms=issued_ms, lifetime_s=300)

    def told(self, kind: type) -> list[object]:
        return [event for event in self.pump.told[self.victim_id] if isinstance(event, kind)]


def test_a_forged_broadcast_is_not_handed_on_and_its_bearer_is_shunned() -> None:
    scene = Scene(1)
    assert not [
        sent for sent in scene.say(Push(TOPIC, 1, scene.sealed(b"x", signer=b"n" * 32))) if isinstance(sent, Push)
    ]
    assert scene.told(Delivered) == []
    assert len(scene.told(Misbehaved)) == 1
    assert scene.mallory_id not in scene.victim.member(TOPIC).membership.active
    ask = Ask(TOPIC, scene.pump.addresses[scene.mallory_id], is_urgent=True)
    assert scene.say(ask) == [], "shunned: not even answered"
    scene.pump.run(30)
    assert scene.mallory_id not in scene.victim.member(TOPIC).membership.active
    assert len(scene.victim.member(TOPIC).membership.active) >= 4, "somebody else has taken its place"


def test_a_replay_is_delivered_once() -> None:
    scene = Scene(2)
    payload = scene.sealed(b"hello")
    for _ in range(5):
        scene.say(Push(TOPIC, 1, payload))
    scene.pump.run(30)
    assert len(scene.told(Delivered)) == 1
    scene.pump.run(SETTINGS.fresh_s + 3 * SETTINGS.skew_s)  # the ids may be forgotten now: it is not fresh any more
    other = next(known for known in scene.victim.member(TOPIC).membership.active if known != scene.mallory_id)
    assert not [sent for sent in scene.say(Push(TOPIC, 1, payload), sender=other) if isinstance(sent, Push)]
    assert len(scene.told(Delivered)) == 1
    assert scene.told(Misbehaved) == [], "a clock may be wrong: nobody is blamed"


def test_another_topics_broadcast_is_a_forgery_here() -> None:
    scene = Scene(3)
    scene.say(Push(TOPIC, 1, scene.sealed(b"x", topic="region/eu")))
    assert scene.told(Delivered) == []
    assert len(scene.told(Misbehaved)) == 1


@pytest.mark.parametrize("count", [10_000])
def test_a_flood_of_one_neighbour_is_rationed(count: int) -> None:
    scene = Scene(4)
    for number in range(count):
        scene.say(Push(TOPIC, 1, scene.sealed(number.to_bytes(4, "big"))))
    tree = scene.victim.member(TOPIC).tree
    assert len(scene.told(Delivered)) <= SETTINGS.origin_per_minute
    assert len(tree.seen) <= SETTINGS.sender_burst + 1
    scene.pump.run(20)
    honest = list(scene.victim.member(TOPIC).membership.active)
    assert len(honest) >= 4


def test_shuffles_of_inventions_do_not_fill_the_views() -> None:
    scene = Scene(5)
    membership = scene.victim.member(TOPIC).membership
    for number in range(3000):
        invented = tuple(PeerAddress((number * 8 + place).to_bytes(32, "big")) for place in range(CONTACTS_MAX))
        origin = PeerAddress(b"\x77" + number.to_bytes(31, "big"))
        scene.say(Shuffle(TOPIC, origin, invented, 1, bytes(8)), Shuffled(TOPIC, invented, bytes(8)))
        scene.say(Answer(TOPIC, True, invented), Walk(TOPIC, invented[0], 3), Part(TOPIC, invented), sender=b"s" * 32)
        scene.pump.run(0.2)
    honest = [peer for peer in membership.passive.peers() if peer.endpoint_id in scene.pump.peers]
    assert len(membership.passive) <= SETTINGS.membership.passive_max
    assert len(honest) >= 10, "the rest are inventions that went round by way of honest peers and came back"
    assert len([known for known in membership.active if known in scene.pump.peers]) >= 4


def test_shuffles_of_invented_origins_make_a_node_dial_few() -> None:
    scene = Scene(13)
    numbers, now_s = SETTINGS.membership, scene.pump.now_s
    mallory = scene.pump.addresses[scene.mallory_id]
    places = tuple(f"203.0.113.9:{port}" for port in range(1, 17))

    def answered(origin: PeerAddress, at_s: float) -> list[PeerAddress]:
        shuffle = Shuffle(TOPIC, origin, (), 1, bytes(8))
        effects = scene.victim.on_message(mallory, shuffle, at_s)
        return [sent.to for sent in effects if isinstance(sent, Send) and isinstance(sent.message, Shuffled)]

    dialled: list[PeerAddress] = []
    for number in range(300):
        dialled += answered(PeerAddress(b"\x77" + number.to_bytes(31, "big"), places), now_s + number / 6)
    assert 10 <= len(dialled) <= numbers.strangers_answered_burst + 50 * numbers.strangers_answered_per_s
    assert all(len(set(to.addresses)) == numbers.stranger_addresses_max for to in dialled)
    membership = scene.victim.member(TOPIC).membership
    assert any(peer.endpoint_id[:1] == b"\x77" for peer in membership.passive.peers()), "remembered as ever"
    assert (
        len([to for number in range(9) for to in answered(PeerAddress(bytes([number]) * 32, places), now_s + 50)]) <= 1
    )
    neighbour = next(iter(membership.active.values()))
    for known in (mallory, neighbour):
        elsewhere = PeerAddress(known.endpoint_id, places)
        assert answered(elsewhere, now_s + 50) == [known], "who is linked is answered, and dialled nowhere"


def test_honest_shuffles_are_all_answered() -> None:
    """The bound on strangers is never met by a network that has just grown, when most is shuffled."""
    sent = []
    for per_s in (SETTINGS.membership.strangers_answered_per_s, 1e9):
        pump = Pump(14)
        pump.grow(
            60, settings=replace(SETTINGS, membership=replace(SETTINGS.membership, strangers_answered_per_s=per_s))
        )
        pump.run(180)
        sent.append(pump.sent)
    assert sent[0]["Shuffled"] > 180, "three of each"
    assert sent[0] == sent[1]


def test_invented_ids_cost_their_announcer_the_link() -> None:
    scene = Scene(6)
    for number in range(20):
        ids = tuple(bytes([number, place]) + bytes(ID_BYTES - 2) for place in range(IDS_MAX))
        scene.say(Have(TOPIC, ids, (0,) * IDS_MAX))
    assert 0 < scene.victim.member(TOPIC).tree.missing <= SETTINGS.tree.missing_max // 4
    scene.pump.run(30)
    assert scene.victim.member(TOPIC).tree.missing == 0
    assert len(scene.told(Misbehaved)) == 1
    assert scene.mallory_id not in scene.victim.member(TOPIC).membership.active


def test_strangers_get_nothing_pushed_and_push_nothing() -> None:
    scene = Scene(7)
    stranger = b"s" * 32
    assert scene.say(Push(TOPIC, 1, scene.sealed(b"x")), sender=stranger) == [Part(TOPIC)]
    assert scene.told(Delivered) == []
    assert scene.say(Snapshot(TOPIC, (b"x",), 60.0, False), sender=stranger) == [Part(TOPIC)]
    assert scene.told(Announced) == []


def test_nobody_joins_in_anothers_name() -> None:
    scene = Scene(8)
    other = PeerAddress(b"o" * 32, ("10.2.2.2:1",))
    assert scene.say(Join(TOPIC, other), Ask(TOPIC, other, True), sender=b"s" * 32) == [Answer(TOPIC, False)] * 2
    assert b"o" * 32 not in scene.victim.member(TOPIC).membership.active


def test_listeners_are_bounded_and_silent() -> None:
    scene = Scene(9)
    accepted = 0
    for number in range(200):
        (answer, *_) = scene.say(Listen(TOPIC), sender=b"\x55" + number.to_bytes(31, "big"))
        assert isinstance(answer, Answer)
        accepted += answer.is_accepted
    assert accepted == SETTINGS.membership.listeners_max
    assert len(scene.victim.member(TOPIC).membership.active) >= 4
    scene.say(Push(TOPIC, 0, scene.sealed(b"x")), sender=b"\x55" + bytes(31))
    assert scene.told(Delivered) == []
    assert len(scene.told(Misbehaved)) == 1
    assert len(scene.victim.member(TOPIC).membership.listeners) == accepted - 1


def test_unknown_topics_are_refused() -> None:
    scene = Scene(10)
    contact = scene.pump.addresses[scene.mallory_id]
    assert scene.say(Join("region/xx", contact), Listen("region/xx")) == [Answer("region/xx", False)] * 2
    assert scene.say(Push("region/xx", 0, b"x")) == [Part("region/xx")]
    assert scene.say(Answer("region/xx", True), Part("region/xx")) == [], (
        "or two nodes would answer each other for ever"
    )


def test_a_tenth_of_silent_members_does_not_cut_anybody_off() -> None:
    """They keep their links, take everything, and hand nothing on."""
    pump = Pump(11)
    ids = pump.grow(150)
    pump.run(60)
    silent = set(ids[5::10])
    pump.intercept = lambda sender, to, message: sender in silent and isinstance(message, Push)
    honest = [known for known in ids if known not in silent]
    for number in range(10):
        origin = pump.rng.choice(honest)
        pump.give(origin, pump.peers[origin].broadcast(TOPIC, bytes([number]), pump.now_s)[1])
        pump.run(3)
    pump.run(40)
    missed = sum(10 - len([e for e in pump.told[known] if isinstance(e, Delivered)]) for known in honest)
    assert missed <= 10, "every origin has its own by itself"


def test_many_identities_are_remembered_in_bounds() -> None:
    settings = replace(SETTINGS, bans_max=4)
    pump = Pump(12)
    victim_id = pump.add(1, settings=settings)
    victim = pump.peers[victim_id]
    pump.give(victim_id, victim.join([], pump.now_s))
    for number in range(300):
        stranger = PeerAddress(number.to_bytes(32, "big"), (f"10.3.{number >> 8}.{number & 255}:1",))
        for message in (Join(TOPIC, stranger), Push(TOPIC, 0, b"garbage"), Part(TOPIC)):
            for _ in victim.on_message(stranger, message, pump.now_s):
                pass
    assert len(victim._allowances) <= settings.senders_max
    assert len(victim._shunning) <= settings.bans_max
    assert len(victim.member(TOPIC).membership.active) <= settings.membership.active_max
