"""The gossip-style failure detector: everybody's heartbeat counters, passed around in whole lists.

Van Renesse, Minsky, Hayden: "A Gossip-Style Failure Detection Service" (Middleware 1998), sections 2 and 3. Every
interval a member raises its own counter and sends its list of (member, counter) to one random member, who merges it by
maximum. Whose counter has not grown for `fail_s` is failed; it is still remembered, and not told of, until
`cleanup_s`, so that an old list does not bring it back. The wanted probability of a mistake gives `fail_s`
(heartbeat_analysis.py).

Here for comparison with SWIM on the same traces, behind the same interface (choosing.py). At a fixed bandwidth
(`bytes_per_s`) a longer list is sent less often, so that detection takes about n log n; that growth is what SWIM was
made to avoid. Not built: the paper's levels for subnets and domains, and its broadcast for partitions.

Goals: the published algorithm, with the bounds that a list from strangers needs. Non-goals: liars. Whoever raises
another's counter keeps it alive, or, by more than anybody honest would, is not believed; a member that hears of its own
counter too high goes on above it.

Invariants: a counter known here only grows, by at most HEARTBEAT_STEP_MAX at once; at most `members_max` entries.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from nearcast.overlay.failure.events import MemberAlive, MemberDead
from nearcast.overlay.failure.group import Roster
from nearcast.overlay.failure.heartbeat_analysis import fail_after_intervals_about, interval_s
from nearcast.overlay.failure.messages import HEARTBEATS_MAX, Heartbeats
from nearcast.overlay.machine import Arm, Effect, Send, Tell
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

LIST_BYTES_MAX = 60 << 10  # of one list; a message of the overlay has at most 64 KiB (codec.py)
MEMBERS_MAX = 8192  # known at most; guess
HEARTBEAT_STEP_MAX = 1 << 16  # more at once is a lie; guess: a counter per second for 18 hours unheard
BEAT = "beat"
SEEDS_MAX = 16


@dataclass(frozen=True, slots=True)
class HeartbeatSettings:
    """Either a fixed interval, or with `bytes_per_s` a fixed bandwidth; `fail_s` 0: from the analysis."""

    interval_s: float = 1.0
    bytes_per_s: float = 0.0  # per member; the interval is then group size * entry_bytes / bytes_per_s
    entry_bytes: float = 60.0  # measured: an entry with one IPv4 address, encoded
    fail_s: float = 0.0
    mistake: float = 1e-9  # the paper's smallest P_mistake
    arrival: float = 0.95  # of messages; guess: 5 % are lost
    cleanup_multiplier: float = 2.0  # T_cleanup = 2 T_fail: the chance of a return is then at most P_mistake
    members_max: int = MEMBERS_MAX


class _Entry:
    """What is known of one member."""

    __slots__ = ("contact", "heartbeat", "is_failed", "risen_s", "size_bytes")

    def __init__(self, contact: PeerAddress, heartbeat: int, risen_s: float) -> None:
        self.contact = contact
        self.size_bytes = _entry_bytes(contact)
        self.heartbeat = heartbeat
        self.risen_s = risen_s  # when the counter last grew, by our clock
        self.is_failed = False


class VanRenesse:
    """One member. `coordinate` is there for the interface; heartbeats carry none and measure nothing."""

    def __init__(self, own: PeerAddress, rng: "random.Random", settings: HeartbeatSettings | None = None) -> None:
        self.settings = settings or HeartbeatSettings()
        self.coordinate: bytes | None = None
        self._own = own
        self._rng = rng
        self._heartbeat = 0
        self._entries: dict[bytes, _Entry] = {}
        self._seeds: tuple[PeerAddress, ...] = ()
        self._is_leaving = False

    # -- verbs ---------------------------------------------------------------------------------------------------

    def start(self, now_s: float) -> Iterable[Effect]:
        return [Arm(self._rng.random() * self._interval_s(), BEAT)]

    def join(self, seeds: Iterable[PeerAddress], now_s: float) -> Iterable[Effect]:
        """Tell these that we are here; they are told again as long as we know nobody."""
        self._seeds = tuple(seed for seed in seeds if seed.endpoint_id != self._own.endpoint_id)[:SEEDS_MAX]
        return [Send(seed, Heartbeats(((self._own, self._heartbeat),))) for seed in self._seeds]

    def know(self, members: Iterable[PeerAddress], now_s: float) -> Iterable[Effect]:
        """Members that are known from elsewhere."""
        for contact in members:
            self._add(contact, 0, now_s)
        return []

    def forget(self, endpoint_ids: Iterable[bytes]) -> None:
        """These are not looked at any more, until somebody's list brings them back."""
        for endpoint_id in endpoint_ids:
            self._entries.pop(endpoint_id, None)

    def fill(self, roster: Roster) -> None:
        """The whole group at once, before anything else, at time 0."""
        for record in roster.members.values():
            self._add(record.contact, 0, 0.0)

    def leave(self, now_s: float) -> Iterable[Effect]:
        """The paper has no goodbye: who leaves is missed."""
        self._is_leaving = True
        return []

    def move(self, own: PeerAddress, now_s: float) -> Iterable[Effect]:
        """The next heartbeats carry the new address."""
        self._own = own
        return []

    # -- what arrives --------------------------------------------------------------------------------------------

    def on_message(self, sender: PeerAddress, message: Any, now_s: float) -> Iterable[Effect]:
        effects: list[Effect] = []
        if self._is_leaving or not isinstance(message, Heartbeats):
            return effects
        entries = self._entries
        for contact, heartbeat in message.entries:
            entry = entries.get(contact.endpoint_id)
            if entry is None:
                self._meet(contact, heartbeat, now_s, effects)
            elif entry.heartbeat < heartbeat <= entry.heartbeat + HEARTBEAT_STEP_MAX:
                entry.heartbeat = heartbeat
                entry.risen_s = now_s
                if contact is not entry.contact:
                    entry.contact, entry.size_bytes = contact, _entry_bytes(contact)
                if entry.is_failed:
                    entry.is_failed = False
                    effects.append(Tell(MemberAlive(contact, heartbeat)))
        return effects

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        effects: list[Effect] = []
        if self._is_leaving or timer != BEAT:
            return effects
        self._heartbeat += 1
        self._look(now_s, effects)
        living = [entry for entry in self._entries.values() if not entry.is_failed]
        if living:
            target = living[int(self._rng.random() * len(living))]
            effects.append(Send(target.contact, self._list(living), is_reliable=False))
        else:
            effects += self.join(self._seeds, now_s)
        effects.append(Arm(self._interval_s(), BEAT))
        return effects

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        """Nothing: silence is what is measured."""
        return []

    # -- views ---------------------------------------------------------------------------------------------------

    @property
    def fail_s(self) -> float:
        """T_fail for the group as it is."""
        size = len(self._entries) + 1
        if self.settings.fail_s or size < 2:
            return self.settings.fail_s or self._interval_s()
        intervals = fail_after_intervals_about(size, self.settings.mistake, self.settings.arrival)
        return intervals * self._interval_s()

    def members(self) -> list[PeerAddress]:
        """Everybody else who has not failed."""
        return [entry.contact for entry in self._entries.values() if not entry.is_failed]

    def state_of(self, endpoint_id: bytes) -> str:
        """One of alive, dead, unknown."""
        entry = self._entries.get(endpoint_id)
        if entry is None:
            return "unknown"
        return "dead" if entry.is_failed else "alive"

    def snapshot(self) -> dict[str, Any]:
        """Counts, for people."""
        living = len(self.members())
        return {
            "detector": "van_renesse",
            "members": living,
            "dead": len(self._entries) - living,
            "heartbeat": self._heartbeat,
            "fail_s": self.fail_s,
        }

    # -- inside --------------------------------------------------------------------------------------------------

    def _look(self, now_s: float, effects: list[Effect]) -> None:
        """Whose counter has stood still for too long."""
        fail_s = self.fail_s
        cleanup_s = fail_s * self.settings.cleanup_multiplier
        forgotten: list[bytes] = []
        for endpoint_id, entry in self._entries.items():
            still_s = now_s - entry.risen_s
            if still_s > fail_s and not entry.is_failed:
                entry.is_failed = True
                effects.append(Tell(MemberDead(endpoint_id, entry.heartbeat, self._own.endpoint_id)))
            if still_s > cleanup_s:
                forgotten.append(endpoint_id)
        for endpoint_id in forgotten:
            del self._entries[endpoint_id]

    def _list(self, living: list[_Entry]) -> Heartbeats:
        """All of it, or as much as fits one message, beginning at a random place."""
        first = int(self._rng.random() * len(living))
        size_bytes = _entry_bytes(self._own)
        entries = [(self._own, self._heartbeat)]
        for entry in islice(chain(living[first:], living[:first]), HEARTBEATS_MAX - 1):
            size_bytes += entry.size_bytes
            if size_bytes > LIST_BYTES_MAX:
                break
            entries.append((entry.contact, entry.heartbeat))
        return Heartbeats(tuple(entries))

    def _meet(self, contact: PeerAddress, heartbeat: int, now_s: float, effects: list[Effect]) -> None:
        """Somebody that is not in our list: new, or ourselves."""
        if contact.endpoint_id == self._own.endpoint_id:
            if self._heartbeat < heartbeat <= self._heartbeat + HEARTBEAT_STEP_MAX:
                self._heartbeat = heartbeat + 1  # of our former life, or made up: go on above it
        elif self._add(contact, heartbeat, now_s):
            effects.append(Tell(MemberAlive(contact, heartbeat)))

    def _add(self, contact: PeerAddress, heartbeat: int, now_s: float) -> bool:
        endpoint_id = contact.endpoint_id
        if endpoint_id == self._own.endpoint_id or endpoint_id in self._entries:
            return False
        if len(self._entries) + 1 >= self.settings.members_max:
            return False
        self._entries[endpoint_id] = _Entry(contact, heartbeat, now_s)
        return True

    def _interval_s(self) -> float:
        settings = self.settings
        if settings.bytes_per_s:
            return interval_s(len(self._entries) + 1, settings.bytes_per_s, settings.entry_bytes)
        return settings.interval_s


def _entry_bytes(contact: PeerAddress) -> int:
    """At most, encoded: the id 34, the counter 9, lists 4, texts."""
    return 50 + sum(len(text) + 2 for text in contact.addresses) + len(contact.relay_url or "")
