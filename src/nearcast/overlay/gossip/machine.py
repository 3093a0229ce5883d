"""Gossip: all topics of one peer as one state machine (overlay/machine.py says what that is).

Each topic has members, neighbours and a tree of its own (member.py). Here they share one identity, one allowance per
sender, one list of whom to shun, and the connections: a peer that is a neighbour in two topics is kept once.

`now_s` is Unix time: announcements are dated.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nearcast.errors import RemoteError, UsageError
from nearcast.overlay.gossip.allowance import Allowances
from nearcast.overlay.gossip.announcement import Announcement, NodeFacts
from nearcast.overlay.gossip.envelope import Sign, Verify, seal
from nearcast.overlay.gossip.events import (
    Misbehaved,
)
from nearcast.overlay.gossip.member import Member
from nearcast.overlay.gossip.messages import Answer, Ask, Join, Listen, Part, Prune, Shuffle, Shuffled, Snapshot, Walk
from nearcast.overlay.gossip.settings import GossipSettings
from nearcast.overlay.gossip.shunning import Shunning
from nearcast.overlay.gossip.topics import GLOBAL_TOPIC, TOPICS_MAX, parse_topic
from nearcast.overlay.machine import Effect, Send, Tell
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

BROADCAST_KIND = "text"
BROADCAST_LIFETIME_S = 300  # of an envelope that is no announcement: it is not kept anywhere

# What a message takes of its sender's allowance: one is a payload's worth of work, what sends others costs more.
COSTS: dict[type, float] = {Join: 10.0, Ask: 5.0, Listen: 5.0, Shuffle: 3.0, Shuffled: 3.0, Walk: 3.0, Snapshot: 10.0}


class Gossip:
    """One peer's gossip. `sign` signs as `own`; `verify(endpoint_id, message, signature)` checks anybody's."""

    def __init__(
        self,
        own: PeerAddress,
        *,
        sign: Sign,
        verify: Verify,
        rng: "random.Random",
        settings: GossipSettings | None = None,
        topics: Sequence[str] = (GLOBAL_TOPIC,),
        is_client: bool = False,
    ) -> None:
        self._own = own
        self._sign = sign
        self._verify = verify
        self._rng = rng
        self._settings = settings = settings or GossipSettings()
        self._is_client = is_client
        self._facts: NodeFacts | None = None
        self._holds: dict[bytes, int] = {}
        self._allowances = Allowances(settings.sender_per_s, settings.sender_burst, settings.senders_max)
        self._shunning = Shunning(settings.ban_s, settings.bans_max)
        self._shunned = self._shunning.until_s  # almost always empty
        self._topics = tuple(parse_topic(topic) for topic in topics)
        self._members: dict[str, Member] = {}

    # The machine.

    def start(self, now_s: float) -> Iterable[Effect]:
        """Take part in the topics we were made with; `join` says through whom."""
        out: list[Effect] = []
        for topic in self._topics:
            self._take_part(topic, now_s, out)
        return out

    def on_message(self, sender: PeerAddress, message: Any, now_s: float) -> Iterable[Effect]:
        """One of gossip/messages.py."""
        sender_id = sender.endpoint_id
        if self._shunned and self._shunning.holds(sender_id, now_s):
            return ()
        if not self._allowances.take(sender_id, COSTS.get(message.__class__, 1.0), now_s):
            return ()
        out: list[Effect] = []
        member = self._members.get(message.topic)
        if member is None:
            if isinstance(message, Join | Ask | Listen):
                out.append(Send(sender, Answer(message.topic, False)))
            elif not isinstance(message, Answer | Part | Prune | Shuffled):
                out.append(Send(sender, Part(message.topic)))
            return out
        try:
            member.on_message(sender, message, now_s, out)
        except RemoteError as error:
            self._shun(sender_id, error.message, now_s, out)
        return out

    def on_timer(self, timer: Any, now_s: float) -> Iterable[Effect]:
        """One of gossip/events.py."""
        out: list[Effect] = []
        member = self._members.get(timer.topic)
        if member is not None:
            member.on_timer(timer, now_s, out)
            suspects = member.tree.suspects
            while suspects:
                self._shun(suspects.pop(), "it announced broadcasts that it did not have", now_s, out)
        return out

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        """Nobody's neighbour any more, in no topic."""
        out: list[Effect] = []
        for member in self._members.values():
            member.membership.on_unreachable(endpoint_id, now_s, out)
        return out

    # What whoever runs it can ask for.

    def join(self, seeds: Sequence[PeerAddress], now_s: float, topic: str | None = None) -> Iterable[Effect]:
        """Become a member through `seeds`, of all our topics or of one."""
        out: list[Effect] = []
        for member in self._members.values():
            if topic is None or member.topic == topic:
                member.membership.join(seeds, now_s, out)
        return out

    def subscribe(self, topic: str, seeds: Sequence[PeerAddress], now_s: float) -> Iterable[Effect]:
        """Take part in one more topic. Raises UsageError beyond TOPICS_MAX, RemoteError for a malformed name."""
        out: list[Effect] = []
        self._take_part(parse_topic(topic), now_s, out)
        self._members[topic].membership.join(seeds, now_s, out)
        return out

    def unsubscribe(self, topic: str, now_s: float) -> Iterable[Effect]:
        """Leave a topic."""
        out: list[Effect] = []
        member = self._members.pop(topic, None)
        if member is not None:
            member.membership.leave(now_s, out)
        return out

    def leave(self, now_s: float) -> Iterable[Effect]:
        """Say goodbye everywhere."""
        out: list[Effect] = []
        for topic in list(self._members):
            out.extend(self.unsubscribe(topic, now_s))
        return out

    def broadcast(self, topic: str, body: bytes, now_s: float) -> tuple[bytes, Iterable[Effect]]:
        """Send `body` to every member: its id, and what to do.

        Raises UsageError from a client, or in a topic that we take no part in; RemoteError when it is too long.
        """
        member = self._members.get(topic)
        if self._is_client or member is None:
            raise UsageError(f"nothing can be broadcast in {topic}: this peer only listens, or takes no part in it")
        issued_ms = member.next_issued_ms(now_s)
        payload = seal(
            topic,
            self._own.endpoint_id,
            self._sign,
            kind=BROADCAST_KIND,
            body=body,
            issued_ms=issued_ms,
            lifetime_s=BROADCAST_LIFETIME_S,
        )
        out: list[Effect] = []
        return member.publish(payload, now_s, out), out

    def announce(self, facts: NodeFacts) -> None:
        """What is announced of us from now on, when it is time to."""
        self._facts = facts
        for member in self._members.values():
            member.set_facts(facts)

    def moved(self, own: PeerAddress) -> None:
        """Our addresses have changed; our endpoint id has not."""
        self._own = own
        for member in self._members.values():
            member.moved(own)

    # To look at.

    @property
    def topics(self) -> tuple[str, ...]:
        """Those that we take part in."""
        return tuple(self._members)

    def member(self, topic: str) -> Member:
        """Our part in a topic. Raises KeyError."""
        return self._members[topic]

    def announcement(self, endpoint_id: bytes, now_s: float) -> Announcement | None:
        """The newest word of a node, from whichever topic."""
        found = [member.directory.get(endpoint_id, now_s) for member in self._members.values()]
        return max((known for known in found if known is not None), key=lambda known: known.issued_ms, default=None)

    def announcements(self, now_s: float) -> list[Announcement]:
        """The newest word of every node known, from whichever topic."""
        newest: dict[bytes, Announcement] = {}
        for member in self._members.values():
            for known in member.directory.current(now_s):
                other = newest.get(known.contact.endpoint_id)
                if other is None or other.issued_ms < known.issued_ms:
                    newest[known.contact.endpoint_id] = known
        return list(newest.values())

    def as_json(self) -> dict[str, Any]:
        """For `nearcast status`: what is known of each topic."""
        return {topic: member.as_json() for topic, member in self._members.items()}

    # Details.

    def _take_part(self, topic: str, now_s: float, out: list[Effect]) -> None:
        if topic in self._members:
            return
        if len(self._members) >= TOPICS_MAX:
            raise UsageError(f"a peer takes part in at most {TOPICS_MAX} topics")
        member = self._members[topic] = Member(
            topic,
            self._own,
            sign=self._sign,
            verify=self._verify,
            rng=self._rng,
            settings=self._settings,
            shunning=self._shunning,
            holds=self._holds,
            is_client=self._is_client,
            now_s=now_s,
        )
        if self._facts is not None:
            member.set_facts(self._facts)
        member.membership.start(out)

    def _shun(self, endpoint_id: bytes, reason: str, now_s: float, out: list[Effect]) -> None:
        self._shunning.add(endpoint_id, now_s)
        out.append(Tell(Misbehaved(endpoint_id, reason)))
        for member in self._members.values():
            member.membership.shun(endpoint_id, now_s, out)
