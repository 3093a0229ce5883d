"""SWIM with Lifeguard: who of a group is alive, found out together, at a cost per member that does not grow.

Das, Gupta, Motivala: "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol" (DSN 2002).
Dadgar, Phillips, Currey: "Lifeguard: Local Health Awareness for More Accurate Failure Detection" (2018). Numbers and
details as in memberlist, HashiCorp's implementation by Lifeguard's authors.

Each member pings one other per interval (probing.py); of what it finds out and hears it keeps and tells on what is
news (beliefs.py, rumours.py); and now and then it compares its table with another's (syncing.py). A member that is
pinged by each of n - 1 others with the same chance is first missed after 1 / (1 - 1/e) = 1.58 intervals on average,
whatever n is.

Goals: detection whose time does not grow with the group; no false death while messages get lost or members are slow; a
bounded rate and size of messages; a bounded table; round-trip times as a by-product, with a coordinate carried along.
Non-goals: that all members see the same group at the same moment; that lies cost nothing (see beliefs.py); secrecy of
who is a member.

Invariants: a member that answers is not dead for ever: whoever buried it tells it so in the next message, and it comes
back with a higher incarnation; if it is above that already, its own next message brings it back. Own incarnation and
sequence numbers only grow. Nothing is sent to an address that a message named for somebody who is not a member.
Everything kept has a bound.
"""

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

from nearcast.overlay.failure.beliefs import Admits, Beliefs
from nearcast.overlay.failure.group import Roster
from nearcast.overlay.failure.messages import (
    Ack,
    Gossip,
    IndirectAck,
    Nack,
    Ping,
    PingRequest,
    SyncAnswer,
    SyncRequest,
)
from nearcast.overlay.failure.probing import AckDue, NackDue, Prober
from nearcast.overlay.failure.rumours import Alive, Left
from nearcast.overlay.failure.settings import SwimSettings
from nearcast.overlay.failure.syncing import Syncing
from nearcast.overlay.machine import Arm, Effect, Send
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

SEEDS_MAX = 16  # asked when joining; guess
REJOIN_S = 5.0  # after which the seeds are asked again while the group is empty; guess
REJOIN_S_MAX = 60.0  # doubled each time up to this
FAREWELLS_MAX = 16  # members that are told goodbye by ourselves; guess: the rest hears it from several
SYNC_UNSCALED = 32  # members up to which the interval of comparing is as configured (memberlist, pushPullScale)
GOSSIP = "gossip"
SYNC = "sync"
REJOIN = "rejoin"
_DATED = frozenset((Ping, Ack, PingRequest, Gossip, SyncAnswer))  # that carry the sender's incarnation


class Swim:
    """One member. `coordinate` (bytes, at most 100, or None) travels on pings and is whatever the owner sets."""

    def __init__(
        self,
        own: PeerAddress,
        rng: "random.Random",
        settings: SwimSettings | None = None,
        *,
        incarnation: int = 0,
        admits: Admits | None = None,
    ) -> None:
        """`admits(endpoint id)` says who may become a member by hearsay; without it everybody may.

        A node that restarts may begin at `incarnation` 0: it contradicts what is said of its former life.
        """
        self.settings = settings or SwimSettings()
        self._rng = rng
        self._beliefs = Beliefs(own, rng, self.settings, incarnation, admits)
        self._prober = Prober(self._beliefs, self.settings)
        self._syncing = Syncing(self._beliefs, rng)
        self._seeds: tuple[PeerAddress, ...] = ()
        self._rejoin_s = REJOIN_S
        self._is_gossiping = False
        self._is_rejoining = False

    # -- verbs ---------------------------------------------------------------------------------------------------

    def start(self, now_s: float) -> Iterable[Effect]:
        effects: list[Effect] = []
        settings = self.settings
        self._prober.arm(self._rng.random() * settings.probe_interval_s, now_s, effects)
        if settings.sync_interval_s:
            effects.append(Arm(self._rng.random() * settings.sync_interval_s, SYNC))
        return effects

    def join(self, seeds: Iterable[PeerAddress], now_s: float) -> Iterable[Effect]:
        """Become a member of the group that these belong to."""
        own_id = self._beliefs.own.endpoint_id
        self._seeds = tuple(seed for seed in seeds if seed.endpoint_id != own_id)[:SEEDS_MAX]
        effects: list[Effect] = []
        self._syncing.ask_all(self._seeds, effects)
        return self._with_rejoin(effects)

    def know(self, members: Iterable[PeerAddress], now_s: float) -> Iterable[Effect]:
        """Members that are known for certain, from elsewhere: they are probed, and nothing is told of them."""
        effects: list[Effect] = []
        beliefs = self._beliefs
        for contact in members:
            endpoint_id = contact.endpoint_id
            is_new = endpoint_id not in beliefs.group.members and endpoint_id not in beliefs.group.tombstones
            if is_new and endpoint_id != beliefs.own.endpoint_id:
                beliefs.group.put(Alive(contact, 0), is_hearsay=False)
        return effects

    def forget(self, endpoint_ids: Iterable[bytes]) -> None:
        """These are not of our group any more, alive or not; nobody is told, and `admits` should say the same."""
        beliefs = self._beliefs
        for endpoint_id in endpoint_ids:
            if endpoint_id in beliefs.group.members:
                beliefs.group.remove(endpoint_id)
                beliefs.suspicions.pop(endpoint_id, None)

    def fill(self, roster: Roster) -> None:
        """The whole group at once, before anything else."""
        self._beliefs.group.fill(roster, self._beliefs.own)

    def leave(self, now_s: float) -> Iterable[Effect]:
        """Goodbye. Nothing is answered from now on."""
        beliefs = self._beliefs
        beliefs.is_leaving = True
        farewell = Gossip(beliefs.own.incarnation, (Left(beliefs.own.endpoint_id, beliefs.own.incarnation),))
        return [Send(record.contact, farewell) for record in beliefs.group.sample(FAREWELLS_MAX, ())]

    def move(self, own: PeerAddress, now_s: float) -> Iterable[Effect]:
        """We are reachable elsewhere now; everybody is told."""
        effects: list[Effect] = []
        self._beliefs.move(own)
        return self._with_gossip(effects)

    # -- what arrives --------------------------------------------------------------------------------------------

    def on_message(self, sender: PeerAddress, message: Any, now_s: float) -> Iterable[Effect]:
        effects: list[Effect] = []
        beliefs = self._beliefs
        if beliefs.is_leaving:
            return effects
        kind, sender_id = message.__class__, sender.endpoint_id
        if kind in _DATED:
            beliefs.heard_from(sender_id, message.incarnation, effects)
            if message.rumours and kind is not SyncAnswer:
                beliefs.hear(message.rumours, sender_id, now_s, effects)
            beliefs.revive(sender_id, message.incarnation, effects)
        if kind is Ping:
            self._prober.on_ping(sender, message, effects)
        elif kind is Ack:
            self._prober.on_ack(sender, message, now_s, effects)
        elif kind is PingRequest:
            self._prober.on_ping_request(sender, message, now_s, effects)
        elif kind is IndirectAck:
            self._prober.on_indirect_ack(sender_id, message.sequence)
        elif kind is Nack:
            self._prober.on_nack(sender_id, message.sequence)
        elif kind is SyncRequest:
            self._syncing.on_request(sender, message, now_s, effects)
        elif kind is SyncAnswer:
            self._syncing.on_answer(sender, message, now_s, effects)
        return self._with_gossip(effects)

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        effects: list[Effect] = []
        if self._beliefs.is_leaving:
            return effects
        match timer:
            case AckDue(sequence):
                self._prober.on_ack_due(sequence, now_s, effects)
            case NackDue(sequence):
                self._prober.on_nack_due(sequence, effects)
            case "probe":
                self._syncing.begin_interval()
                self._beliefs.group.forget_dead(now_s - self.settings.tombstone_s)
                self._prober.tick(now_s, effects)
            case "sweep":
                self._beliefs.sweep(now_s, effects)
            case "gossip":
                self._gossip(effects)
            case "sync":
                if self._beliefs.group.members:
                    self._syncing.ask_someone(effects)
                else:
                    self._with_rejoin(effects)
                effects.append(Arm(self._sync_interval_s(), SYNC))
            case "rejoin":
                self._rejoin(effects)
        return self._with_gossip(effects)

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        effects: list[Effect] = []
        if not self._beliefs.is_leaving:
            self._prober.on_unreachable(endpoint_id, now_s, effects)
        return effects

    # -- views ---------------------------------------------------------------------------------------------------

    @property
    def coordinate(self) -> bytes | None:
        return self._prober.coordinate

    @coordinate.setter
    def coordinate(self, coordinate: bytes | None) -> None:
        self._prober.coordinate = coordinate

    @property
    def incarnation(self) -> int:
        return self._beliefs.own.incarnation

    @property
    def local_health(self) -> int:
        """0 is healthy, 8 is the worst (Lifeguard's score)."""
        return self._beliefs.health.score

    def members(self) -> list[PeerAddress]:
        """Everybody else who is alive, or suspected and not yet dead."""
        return [record.contact for record in self._beliefs.group.members.values()]

    def state_of(self, endpoint_id: bytes) -> str:
        """One of alive, suspect, dead, left, unknown."""
        beliefs = self._beliefs
        if endpoint_id in beliefs.group.members:
            return "suspect" if endpoint_id in beliefs.suspicions else "alive"
        tombstone = beliefs.group.tombstones.get(endpoint_id)
        if tombstone is None:
            return "unknown"
        return "left" if tombstone.is_left else "dead"

    def snapshot(self) -> dict[str, Any]:
        """Counts, for people."""
        beliefs = self._beliefs
        return {
            "detector": "swim",
            "members": len(beliefs.group.members),
            "suspected": len(beliefs.suspicions),
            "dead": len(beliefs.group.tombstones),
            "incarnation": beliefs.own.incarnation,
            "local_health": beliefs.health.score,
            "rumours": len(beliefs.queue),
        }

    # -- timers --------------------------------------------------------------------------------------------------

    def _gossip(self, effects: list[Effect]) -> None:
        """Tell a few random members what there is to tell; `_with_gossip` arms the next round if something is left."""
        self._is_gossiping = False
        beliefs = self._beliefs
        for record in beliefs.group.sample(self.settings.gossip_fanout, ()):
            rumours = self._prober.rumours_for(record.contact.endpoint_id, record.incarnation)
            if not rumours:
                return
            effects.append(Send(record.contact, Gossip(beliefs.own.incarnation, rumours), is_reliable=False))

    def _with_gossip(self, effects: list[Effect]) -> list[Effect]:
        settings = self.settings
        if not self._is_gossiping and settings.gossip_fanout and self._beliefs.queue:
            self._is_gossiping = True
            effects.append(Arm(settings.gossip_interval_s, GOSSIP))
        return effects

    def _sync_interval_s(self) -> float:
        """Longer in larger groups, so that comparing costs each member the same (memberlist, pushPullScale)."""
        size = len(self._beliefs.group.members) + 1
        doublings = max(0, (size - 1).bit_length() - SYNC_UNSCALED.bit_length() + 1)
        return self.settings.sync_interval_s * (1 + doublings)

    def _rejoin(self, effects: list[Effect]) -> None:
        self._is_rejoining = False
        if self._beliefs.group.members:
            self._rejoin_s = REJOIN_S
            return
        self._syncing.ask_all(self._seeds, effects)
        self._with_rejoin(effects)

    def _with_rejoin(self, effects: list[Effect]) -> list[Effect]:
        if not self._is_rejoining and self._seeds:
            self._is_rejoining = True
            effects.append(Arm(self._rejoin_s, REJOIN))
            self._rejoin_s = min(2 * self._rejoin_s, REJOIN_S_MAX)
        return effects
