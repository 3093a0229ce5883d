"""One peer in one topic: its membership, its tree, what it has heard announced, and how often it announces itself."""

from typing import TYPE_CHECKING, Any, assert_never

from nearcast.errors import RemoteError
from nearcast.overlay.gossip.allowance import Allowance
from nearcast.overlay.gossip.announcement import NodeFacts, seal_announcement
from nearcast.overlay.gossip.directory import Directory
from nearcast.overlay.gossip.envelope import Sign, Verify, message_id
from nearcast.overlay.gossip.events import (
    Announced,
    AnnounceDue,
    AnswerDue,
    Delivered,
    FlushDue,
    MissingDue,
    NeighbourDown,
    NeighbourUp,
    RepairDue,
    ShuffleDue,
)
from nearcast.overlay.gossip.hyparview import Membership
from nearcast.overlay.gossip.intake import Intake
from nearcast.overlay.gossip.messages import (
    SNAPSHOT_ANNOUNCEMENTS_MAX,
    Answer,
    Ask,
    Graft,
    Have,
    Join,
    Listen,
    Message,
    Part,
    Prune,
    Push,
    Shuffle,
    Shuffled,
    Snapshot,
    Walk,
)
from nearcast.overlay.gossip.pace import Pace
from nearcast.overlay.gossip.plumtree import Link, Tree
from nearcast.overlay.gossip.seen import SeenIds
from nearcast.overlay.gossip.settings import GossipSettings
from nearcast.overlay.gossip.shuffling import Shuffling
from nearcast.overlay.gossip.shunning import Shunning
from nearcast.overlay.machine import Arm, Drop, Effect, Keep, Send, Tell
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

Timer = ShuffleDue | RepairDue | AnswerDue | FlushDue | MissingDue | AnnounceDue
OF_TREE = frozenset((Push, Have, Prune, Graft, Snapshot))  # what only a neighbour or a listener may say

SNAPSHOTS_TAKEN_MAX = 2  # per life: the first may come from a newcomer that knows little itself
SNAPSHOTS_PER_S = 0.5  # given to others; a crowd gets links at once, and hears the rest in time
SNAPSHOTS_BURST = 10.0
FIRST_ANNOUNCEMENT_S = 1.0  # after the first link; guess: the snapshot is here and says whether there is a crowd


class Member:
    """Everything about one topic. What it does is appended to `out`."""

    __slots__ = (
        "_facts",
        "_holds",
        "_intake",
        "_is_announcing",
        "_last_issued_ms",
        "_own",
        "_rng",
        "_settings",
        "_shunning",
        "_sign",
        "_snapshots_allowed",
        "_snapshots_wanted",
        "directory",
        "membership",
        "pace",
        "shuffling",
        "topic",
        "tree",
    )

    def __init__(
        self,
        topic: str,
        own: PeerAddress,
        *,
        sign: Sign,
        verify: Verify,
        rng: "random.Random",
        settings: GossipSettings,
        shunning: Shunning,
        holds: dict[bytes, int],
        is_client: bool,
        now_s: float,
    ) -> None:
        self.topic = topic
        self._own = own
        self._sign = sign
        self._rng = rng
        self._settings = settings
        self._shunning = shunning
        self._holds = holds  # in how many topics each peer is a neighbour: shared by all topics of this peer
        window_s = settings.fresh_s + 2 * settings.skew_s
        seen = SeenIds(window_s, settings.seen_max, now_s)
        self.directory = Directory(settings.directory_max)
        self.pace = Pace(settings.announcing, rng, now_s)
        self.tree = Tree(topic, own.endpoint_id, settings.tree, seen, is_leaf=is_client)
        self.membership = Membership(topic, own, self, rng, settings.membership, is_client=is_client, now_s=now_s)
        self.shuffling = Shuffling(topic, self.membership, now_s)
        self._intake = Intake(topic, self.directory, verify, settings, now_s)
        self._facts: NodeFacts | None = None
        self._is_announcing = False
        self._last_issued_ms = 0
        self._snapshots_wanted = SNAPSHOTS_TAKEN_MAX
        self._snapshots_allowed = Allowance(SNAPSHOTS_PER_S, SNAPSHOTS_BURST, now_s)

    # From the membership.

    def link_up(self, peer: PeerAddress, *, is_listener: bool, is_new: bool, now_s: float, out: list[Effect]) -> None:
        """A neighbour or a listener has come: keep the connection, make it part of the tree, tell it what we know."""
        endpoint_id = peer.endpoint_id
        self._holds[endpoint_id] = self._holds.get(endpoint_id, 0) + 1
        if self._holds[endpoint_id] == 1:
            out.append(Keep(peer))
        self.tree.link_up(peer, is_listener=is_listener, is_new=is_new, now_s=now_s, out=out)
        if not is_listener:
            out.append(Tell(NeighbourUp(self.topic, endpoint_id)))
        if is_new:
            self._greet(peer, now_s, out)
        if not self._is_announcing and not self.membership.is_client:
            self._is_announcing = True
            out.append(Arm(FIRST_ANNOUNCEMENT_S * (1.0 + self._rng.random()), AnnounceDue(self.topic)))

    def link_down(self, endpoint_id: bytes, now_s: float, out: list[Effect], *, is_lost: bool) -> None:
        """It is none any more."""
        link = self.tree.links.get(endpoint_id)
        self.tree.link_down(endpoint_id, now_s, out, is_lost=is_lost)
        if link is not None and not link.is_listener:
            out.append(Tell(NeighbourDown(self.topic, endpoint_id)))
        left = self._holds.pop(endpoint_id) - 1
        if left:
            self._holds[endpoint_id] = left
        else:
            out.append(Drop(endpoint_id))

    def is_shunned(self, endpoint_id: bytes, now_s: float) -> bool:
        """Whether it broke the protocol lately."""
        return self._shunning.holds(endpoint_id, now_s)

    # From the network.

    def on_message(self, sender: PeerAddress, message: Message, now_s: float, out: list[Effect]) -> None:
        """Raises RemoteError when the sender has done what no honest peer does."""
        if message.__class__ in OF_TREE:
            link = self.tree.links.get(sender.endpoint_id) or self._link_of(sender, now_s, out)
            if link is not None:
                self._on_tree_message(link, message, now_s, out)
            return
        match message:
            case Shuffle() | Walk():
                if self._link_of(sender, now_s, out) is None or sender.endpoint_id not in self.membership.active:
                    return
                if isinstance(message, Shuffle):
                    self.shuffling.on_shuffle(sender, message, now_s, out)
                else:
                    self.membership.on_walk(sender, message, now_s, out)
            case Join():
                is_back = sender.endpoint_id in self.membership.active  # it restarted before anybody noticed
                self.membership.on_join(sender, message, now_s, out)
                if is_back:
                    self._greet(sender, now_s, out)
            case Ask():
                self.membership.on_ask(sender, message, now_s, out)
            case Answer():
                self.membership.on_answer(sender, message, now_s, out)
            case Part():
                self.membership.on_part(sender, message, now_s, out)
            case Shuffled():
                self.shuffling.on_shuffled(sender, message, now_s, out)
            case Listen():
                self.membership.on_listen(sender, now_s, out)

    def _on_tree_message(self, link: Link, message: Any, now_s: float, out: list[Effect]) -> None:
        """The most frequent ones first."""
        kind = message.__class__
        if kind is Push:
            self._on_push(link, message, now_s, out)
        elif kind is Have:
            if link.is_listener:
                raise RemoteError("a client announces broadcasts")
            self.tree.on_have(link, message, now_s, out)
        elif kind is Prune:
            self.tree.on_prune(link)
        elif kind is Graft:
            self.tree.on_graft(link, message, out)
        else:
            self._on_snapshot(message, now_s, out)

    def _link_of(self, sender: PeerAddress, now_s: float, out: list[Effect]) -> Link | None:
        """The link to a neighbour or a listener. Whoever takes us for its neighbour and is none of ours hears so;
        if we have just asked it to become one, its message has overtaken its answer."""
        link = self.tree.links.get(sender.endpoint_id)
        if link is None:
            self.membership.on_stranger(sender, now_s, out)
            link = self.tree.links.get(sender.endpoint_id)
        return link

    def on_timer(self, timer: Timer, now_s: float, out: list[Effect]) -> None:
        """One of ours has rung."""
        match timer:
            case FlushDue():
                self.tree.on_flush_due(now_s, out)
            case MissingDue():
                self.tree.on_missing_due(now_s, out)
            case AnswerDue():
                self.membership.on_answer_due(timer, now_s, out)
            case RepairDue():
                self.membership.on_repair_due(now_s, out)
            case ShuffleDue():
                self.shuffling.on_due(now_s, out)
            case AnnounceDue():
                self._on_announce_due(now_s, out)
            case _:
                assert_never(timer)

    def as_json(self) -> dict[str, Any]:
        """For `nearcast status`."""
        links = self.tree.links
        return {
            "active": [
                {"endpoint_id": known.hex(), "is_eager": known in links and links[known].is_eager}
                for known in self.membership.active
            ],
            "passive": len(self.membership.passive),
            "listeners": len(self.membership.listeners),
            "announced": len(self.directory),
            "announcement_period_s": round(self.pace.period_s, 1),
            "nodes_estimate": round(self.pace.nodes()),
        }

    # Broadcasts and announcements.

    def publish(self, payload: bytes, now_s: float, out: list[Effect]) -> bytes:
        """Broadcast a sealed payload of ours; its id."""
        published_id = message_id(self.topic, payload)
        self.tree.publish(published_id, payload, now_s, out)
        return published_id

    def next_issued_ms(self, now_s: float) -> int:
        """The time of our next envelope: never twice the same, never backwards."""
        self._last_issued_ms = max(self._last_issued_ms + 1, int(now_s * 1000))
        return self._last_issued_ms

    def set_facts(self, facts: NodeFacts) -> None:
        """What is announced from now on."""
        self._facts = facts

    def moved(self, own: PeerAddress) -> None:
        """Our addresses have changed."""
        self._own = own
        self.membership.own = own

    def _on_announce_due(self, now_s: float, out: list[Effect]) -> None:
        is_first = not self.pace.has_announced
        if self._facts is not None and self.pace.is_due(now_s):
            payload = seal_announcement(
                self.topic,
                self._own,
                self._facts,
                self._sign,
                issued_ms=self.next_issued_ms(now_s),
                lifetime_s=self.pace.lifetime_s(),
                is_first=is_first,
            )
            self.publish(payload, now_s, out)
        wait_s = self.pace.next_look_s() * (0.5 + self._rng.random())
        out.append(Arm(wait_s, AnnounceDue(self.topic)))

    def _on_push(self, link: Link, message: Push, now_s: float, out: list[Effect]) -> None:
        if link.is_listener:
            raise RemoteError("a client broadcasts")
        tree = self.tree
        pushed_id = message_id(self.topic, message.payload)
        if pushed_id in tree.seen:
            tree.on_duplicate(link, pushed_id, out)
            return
        opened = self._intake.admit(message.payload, now_s)
        if opened is None:
            tree.refuse(pushed_id, now_s)
            return
        tree.on_new(link, pushed_id, message, now_s, out)
        announcement = opened.announcement
        if announcement is not None:
            known = self.directory.get(announcement.contact.endpoint_id, now_s)
            self.pace.heard(announcement, known, now_s)
            self.directory.add(announcement)
            out.append(Tell(Announced(self.topic, announcement)))
        else:
            envelope = opened.envelope
            out.append(Tell(Delivered(self.topic, pushed_id, envelope.origin, envelope.body)))

    def _greet(self, newcomer: PeerAddress, now_s: float, out: list[Effect]) -> None:
        """What a newcomer should know; not to too many at a time."""
        if self._snapshots_allowed.take(1.0, now_s):
            out.append(Send(newcomer, self._snapshot(now_s)))

    def _snapshot(self, now_s: float) -> Snapshot:
        known = self.directory.sample(SNAPSHOT_ANNOUNCEMENTS_MAX, self._rng, now_s)
        payloads = tuple(announcement.payload for announcement in known)
        return Snapshot(self.topic, payloads, self.pace.period_s, self.pace.tells_crowd(now_s))

    def _on_snapshot(self, message: Snapshot, now_s: float, out: list[Effect]) -> None:
        """Only as many as a newcomer asks for; what is in them has been broadcast before and is not handed on."""
        if self._snapshots_wanted <= 0:
            return
        if self._snapshots_wanted == SNAPSHOTS_TAKEN_MAX:
            self.pace.start_from(message.period_s, message.is_crowded, now_s)
        self._snapshots_wanted -= 1
        for payload in message.announcements:
            announcement = self._intake.admit_older(payload, now_s)
            if announcement is not None and announcement.contact.endpoint_id != self._own.endpoint_id:
                self.tree.refuse(message_id(self.topic, payload), now_s)
                self.directory.add(announcement)
                out.append(Tell(Announced(self.topic, announcement)))
