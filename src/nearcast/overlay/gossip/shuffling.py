"""HyParView's shuffle: members exchange samples of their views, so that the passive ones stay fresh and mixed.

A sample goes on a walk along neighbours; who ends it answers the origin with as many of its own. Only the answer to our
last sample counts, and once.

An origin that is neither the bearer nor a neighbour of ours is the bearer's word alone, and answering means to dial it:
such answers are rationed, and few of its addresses are tried, so that nobody can make us dial around.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from nearcast.overlay.gossip.allowance import Allowance
from nearcast.overlay.gossip.events import ShuffleDue
from nearcast.overlay.gossip.messages import NONCE_BYTES, Listen, Shuffle, Shuffled
from nearcast.overlay.machine import Arm, Effect, Send
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    from nearcast.overlay.gossip.hyparview import Membership


class Shuffling:
    """One peer's part in it, in one topic."""

    __slots__ = ("_known", "_membership", "_nonce", "_sent", "_strangers", "_topic")

    def __init__(self, topic: str, membership: "Membership", now_s: float) -> None:
        self._topic = topic
        self._membership = membership
        self._nonce = b""
        self._sent: tuple[bytes, ...] = ()
        self._known = -1  # how many the passive view held at the last look
        settings = membership.settings
        self._strangers = Allowance(settings.strangers_answered_per_s, settings.strangers_answered_burst, now_s)

    def on_due(self, now_s: float, out: list[Effect]) -> None:
        """Send a sample on a walk; a client asks one of those that it listens to for others instead."""
        membership = self._membership
        settings, rng = membership.settings, membership.rng
        known = len(membership.passive)
        is_growing = known > self._known  # a network with few nodes never fills the view, and has no more to tell
        self._known = known
        is_thin = 2 * known < settings.passive_max and is_growing and not self._nonce
        period_s = settings.shuffle_first_s if is_thin else settings.shuffle_period_s
        out.append(Arm(period_s * (0.5 + rng.random()), ShuffleDue(self._topic)))
        membership.look_for_lost(now_s, out)
        if not membership.active:
            return
        target = rng.choice(list(membership.active.values()))
        if membership.is_client:
            out.append(Send(target, Listen(self._topic)))
            return
        others = [peer for peer in membership.active.values() if peer is not target]
        sample = rng.sample(others, min(len(others), settings.shuffle_active))
        sample += membership.passive.sample(settings.shuffle_passive)
        self._nonce = rng.randbytes(NONCE_BYTES)
        self._sent = tuple(peer.endpoint_id for peer in sample)
        shuffle = Shuffle(self._topic, membership.own, tuple(sample), settings.walk_hops, self._nonce)
        out.append(Send(target, shuffle))

    def on_shuffle(self, sender: PeerAddress, message: Shuffle, now_s: float, out: list[Effect]) -> None:
        """A neighbour's, or one that passes by: handed on, or answered at the walk's end with as many of ours."""
        membership = self._membership
        origin, hops = message.origin, min(message.hops, membership.settings.walk_hops) - 1
        if origin.endpoint_id == membership.own.endpoint_id or membership.is_client:
            return
        passed = (sender.endpoint_id, origin.endpoint_id)
        onward = [peer for known, peer in membership.active.items() if known not in passed]
        if hops > 0 and onward:
            handed = Shuffle(self._topic, origin, message.contacts, hops, message.nonce)
            out.append(Send(membership.rng.choice(onward), handed))
            return
        given: tuple[PeerAddress, ...] = ()
        way_back = self._way_back(sender, origin, now_s)
        if way_back is not None:
            given = tuple(membership.passive.sample(len(message.contacts), but=origin.endpoint_id))
            out.append(Send(way_back, Shuffled(self._topic, given, message.nonce)))
        given_ids = [peer.endpoint_id for peer in given]
        membership.remember((origin, *message.contacts), sender.endpoint_id, given_ids)
        membership.repair_soon(now_s, out)

    def _way_back(self, sender: PeerAddress, origin: PeerAddress, now_s: float) -> PeerAddress | None:
        """Where to answer a shuffle's origin; None: too many strangers have been answered lately."""
        membership = self._membership
        if origin.endpoint_id == sender.endpoint_id:
            return sender
        neighbour = membership.active.get(origin.endpoint_id)
        if neighbour is not None:
            return neighbour
        if not self._strangers.take(1.0, now_s):
            return None
        addresses_max = membership.settings.stranger_addresses_max
        if len(origin.addresses) <= addresses_max:
            return origin
        # by chance: which of them lead there depends on where we are
        return replace(origin, addresses=tuple(membership.rng.sample(origin.addresses, addresses_max)))

    def on_shuffled(self, sender: PeerAddress, message: Shuffled, now_s: float, out: list[Effect]) -> None:
        """The answer to our sample; anything else was not asked for."""
        if self._nonce and message.nonce == self._nonce:
            self._nonce = b""
            self._membership.remember(message.contacts, sender.endpoint_id, self._sent)
            self._membership.repair_soon(now_s, out)
