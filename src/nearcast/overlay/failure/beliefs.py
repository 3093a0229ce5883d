"""What one member believes of the others, and how rumours change it (SWIM, section 4.2).

Of two rumours about a member the one with the higher incarnation is right; at the same incarnation dead beats suspected
beats alive. Whoever hears bad news of itself contradicts with an incarnation above it. What changes our belief is told
on; the rest is not, so a replayed rumour ends here.

Added, because anybody may lie: who sends a message is proven, so what a member says of itself beats hearsay; hearsay
may raise an incarnation only by a bounded step, and a suspicion be ahead by a smaller one; our own rises no faster by
what we are told than others can follow; a death by hearsay counts only of whom we have suspected for a while; and one
sender introduces a bounded number of new members per minute. Not a goal: that a liar cannot cause a suspicion. It can,
and it costs the group one contradiction. Nor that it cannot put a member's record out of that member's reach, by many
steps of hearsay: then the member may be dead here until it next speaks to us itself.

Invariants: our own incarnation only grows, and so does the one we know of a member that we list; a record beyond any
honest step is dropped at the member's own word; whoever contradicts in time is not declared dead here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from nearcast.overlay.failure.awareness import LocalHealth
from nearcast.overlay.failure.events import MemberAlive, MemberDead, MemberLeft, MemberSuspect
from nearcast.overlay.failure.group import Group
from nearcast.overlay.failure.rumours import (
    INCARNATION_MAX,
    INCARNATION_STEP_MAX,
    LEAP_MAX,
    Alive,
    Dead,
    Left,
    Rumour,
    RumourQueue,
    Suspect,
)
from nearcast.overlay.failure.suspicion import Suspicion
from nearcast.overlay.machine import Arm, Effect, Tell

if TYPE_CHECKING:
    import random

    from nearcast.overlay.failure.settings import SwimSettings
    from nearcast.transport.base import PeerAddress

INTRODUCTIONS_MAX = 256  # new members that one sender's rumours may bring within INTRODUCTIONS_S; guess: one piece
INTRODUCTIONS_S = 60.0
INTRODUCERS_MAX = 1024  # senders that are counted; guess
LEAP_SHARE = 1 / 8  # of the shortest suspicion, in which our incarnation leaps once; guess: a rumour takes less
STEPS_MAX = 1024  # by which it rises beyond a leap in that time; guess: honest members make us take a few
SWEEP = "sweep"  # the timer that ends suspicions
EPSILON_S = 1e-6  # a timer that rings this much early, by rounding, rings in time

Admits: TypeAlias = Callable[[bytes], bool]


class Beliefs:
    """The group as one member sees it. Methods append what is to be done to `effects`."""

    def __init__(
        self,
        own: "PeerAddress",
        rng: "random.Random",
        settings: "SwimSettings",
        incarnation: int,
        admits: Admits | None,
    ) -> None:
        self.own = Alive(own, incarnation)
        self.group = Group(rng, settings.members_max, settings.tombstones_max)
        self.group.note(self.own)
        self.suspicions: dict[bytes, Suspicion] = {}
        self.queue = RumourQueue()
        self.health = LocalHealth(is_on=settings.has_local_health)
        self.is_leaving = False
        self._settings = settings
        self._admits = admits
        self._introductions: dict[bytes, int] = {}
        self._introductions_until_s = 0.0
        self._contradicted_s = float("-inf")
        self._leapt_s = float("-inf")  # since when others' word has raised our incarnation from `_leapt_from`
        self._leapt_from = incarnation
        self._sweep_s = float("inf")

    # -- what arrives --------------------------------------------------------------------------------------------

    def hear(
        self,
        rumours: tuple[Rumour, ...],
        sender: bytes,
        now_s: float,
        effects: list[Effect],
        *,
        is_asked: bool = False,
    ) -> None:
        """Rumours from a proven sender. Whom we asked for its table may bring as many new members as it knows."""
        own_id = self.own.contact.endpoint_id
        for rumour in rumours:
            if rumour.endpoint_id == own_id:
                self._hear_of_self(rumour, now_s)
                continue
            match rumour:
                case Alive():
                    self._hear_alive(rumour, sender, now_s, effects, is_asked)
                case Suspect(endpoint_id, incarnation, accuser):
                    self.suspect(endpoint_id, incarnation, accuser, now_s, effects)
                case Dead(endpoint_id, incarnation, accuser):
                    self._hear_dead(endpoint_id, incarnation, accuser, now_s, effects)
                case Left(endpoint_id, incarnation):
                    self._hear_left(rumour, sender, now_s, effects)

    def heard_from(self, sender: bytes, incarnation: int, effects: list[Effect]) -> None:
        """A message from this peer itself, with its own incarnation.

        It ends a suspicion here. The record stays, and is told on, as the member's own rumour has it: only that says
        where the member is reachable.
        """
        group = self.group
        record = group.members.get(sender)
        if record is None:
            tombstone = group.tombstones.get(sender)
            if tombstone is not None and tombstone.incarnation > incarnation + INCARNATION_STEP_MAX:
                del group.tombstones[sender]  # it never was at that incarnation
            return
        group.heard_from(sender)
        suspicion = self.suspicions.get(sender)
        if record.incarnation > incarnation + INCARNATION_STEP_MAX:
            group.remove(sender)  # somebody made this record up; the true one comes with the next comparison of tables
        elif suspicion is not None and incarnation > suspicion.incarnation:
            del self.suspicions[sender]
            effects.append(Tell(MemberAlive(record.contact, incarnation)))

    def revive(self, sender: bytes, incarnation: int, effects: list[Effect]) -> None:
        """A message came from this peer. If it is dead here at an older incarnation it has contradicted already.

        Its record is one below what it is at, so that its own rumour, which alone says where it is now, is news to us.
        """
        tombstone = self.group.tombstones.get(sender)
        if tombstone is None or tombstone.incarnation >= incarnation:
            return
        contact = tombstone.record.contact
        if self._admits is not None and not self._admits(sender):
            return
        if self.group.put(Alive(contact, incarnation - 1), is_hearsay=False):
            effects.append(Tell(MemberAlive(contact, incarnation)))

    def about(self, endpoint_id: bytes, incarnation: int) -> Rumour | None:
        """What that peer, being at this incarnation, ought to hear of itself from us, so that it can contradict."""
        suspicion = self.suspicions.get(endpoint_id)
        if suspicion is not None:
            if self._settings.has_buddy and suspicion.incarnation >= incarnation:
                return Suspect(endpoint_id, suspicion.incarnation, suspicion.accuser)
            return None
        record = self.group.members.get(endpoint_id)
        if record is not None:
            return record if record.incarnation > incarnation else None
        tombstone = self.group.tombstones.get(endpoint_id)
        if tombstone is not None and tombstone.incarnation >= incarnation:
            return Dead(endpoint_id, tombstone.incarnation, tombstone.accuser)
        return None

    # -- what we conclude ----------------------------------------------------------------------------------------

    def suspect(
        self, endpoint_id: bytes, incarnation: int, accuser: bytes, now_s: float, effects: list[Effect]
    ) -> Suspicion | None:
        """We or somebody else got no answer from this member. The suspicion there is now, if the word counts."""
        record = self.group.members.get(endpoint_id)
        if record is None or not record.incarnation <= incarnation <= record.incarnation + LEAP_MAX:
            return None
        suspicion = self.suspicions.get(endpoint_id)
        if suspicion is not None:
            if incarnation < suspicion.incarnation:
                return None
            suspicion.incarnation = incarnation
            if not self._is_witness(accuser) or not suspicion.confirm(accuser):
                return suspicion
        else:
            suspicion = self._new_suspicion(incarnation, accuser, now_s)
            self.suspicions[endpoint_id] = suspicion
            effects.append(Tell(MemberSuspect(endpoint_id, incarnation, accuser)))
        self.queue.put(Suspect(endpoint_id, incarnation, accuser))
        self._arm(suspicion.deadline_s, now_s, effects)
        return suspicion

    def sweep(self, now_s: float, effects: list[Effect]) -> None:
        """Suspicions whose time is over become deaths."""
        if now_s + EPSILON_S < self._sweep_s:
            return  # an older timer: suspicions have ended since, or a sooner one has swept
        if now_s - self._sweep_s > self._settings.stall_s:
            self.delay(now_s - self._sweep_s)
        self._sweep_s = float("inf")
        next_s = float("inf")
        for endpoint_id, suspicion in list(self.suspicions.items()):
            if endpoint_id not in self.group.members:
                del self.suspicions[endpoint_id]
            elif suspicion.deadline_s <= now_s + EPSILON_S:
                accuser = self.own.contact.endpoint_id
                self._bury(endpoint_id, suspicion.incarnation, accuser, suspicion.is_leaving, now_s, effects)
            else:
                next_s = min(next_s, suspicion.deadline_s)
        if next_s < float("inf"):
            self._arm(next_s, now_s, effects)

    def delay(self, by_s: float) -> None:
        """We stood still, and nobody could contradict. Reading what has piled up is given half the short time."""
        for suspicion in self.suspicions.values():
            suspicion.since_s += by_s + suspicion.min_s / 2

    def contradict(self, incarnation: int) -> None:
        """Say that we are alive, at an incarnation above this one."""
        group = self.group
        group.note(self.own)
        self.own = Alive(self.own.contact, min(max(incarnation, self.own.incarnation) + 1, INCARNATION_MAX))
        group.note(self.own)
        self.queue.put(self.own)

    def move(self, contact: "PeerAddress") -> None:
        """We are reachable elsewhere now."""
        self.group.note(self.own)
        self.own = Alive(contact, self.own.incarnation)
        self.group.note(self.own)
        self.contradict(self.own.incarnation)

    # -- one kind of rumour each ---------------------------------------------------------------------------------

    def _hear_of_self(self, rumour: Rumour, now_s: float) -> None:
        """Others believe a contradiction by hearsay only if it is at most INCARNATION_STEP_MAX above what they know.

        So we rise no faster than they hear of it, whatever we are told: by one leap per LEAP_SHARE, and STEPS_MAX
        single steps. Who restarts and has forgotten its incarnation is above it after one leap, at most eight.
        """
        incarnation, own = rumour.incarnation, self.own.incarnation
        if self.is_leaving or not own <= incarnation <= own + INCARNATION_STEP_MAX:
            return
        if now_s - self._leapt_s >= self._settings.suspicion_min_s(len(self.group.members) + 1) * LEAP_SHARE:
            self._leapt_s, self._leapt_from = now_s, own
        if own >= self._leapt_from + LEAP_MAX + STEPS_MAX:
            return  # whoever believes it says it again
        if isinstance(rumour, Alive):
            if incarnation == own:
                return
        elif now_s - self._contradicted_s >= self._settings.probe_interval_s:
            self.health.change(+1)  # at most once per interval: others must not be able to slow us down at will
            self._contradicted_s = now_s
        self.contradict(min(incarnation, self._leapt_from + LEAP_MAX))

    def _hear_alive(self, rumour: Alive, sender: bytes, now_s: float, effects: list[Effect], is_asked: bool) -> None:
        endpoint_id = rumour.contact.endpoint_id
        record = self.group.members.get(endpoint_id)
        if record is not None:
            suspicion = self.suspicions.get(endpoint_id)
            known = max(record.incarnation, suspicion.incarnation if suspicion else 0)
        else:
            tombstone = self.group.tombstones.get(endpoint_id)
            if tombstone is None:
                self._introduce(rumour, sender, now_s, effects, is_asked)
                return
            known = tombstone.incarnation
        is_step = known < rumour.incarnation <= known + INCARNATION_STEP_MAX
        if is_step or (sender == endpoint_id and rumour.incarnation > known):
            self._believe_alive(rumour, effects, is_hearsay=sender != endpoint_id)
            self.queue.put(rumour)

    def _introduce(self, rumour: Alive, sender: bytes, now_s: float, effects: list[Effect], is_asked: bool) -> None:
        """A member that we did not know."""
        endpoint_id = rumour.contact.endpoint_id
        if self._admits is not None and not self._admits(endpoint_id):
            return
        if sender != endpoint_id and not is_asked and not self._may_introduce(sender, now_s):
            return
        if self._believe_alive(rumour, effects, is_hearsay=sender != endpoint_id):
            self.queue.put(rumour)

    def _hear_dead(
        self, endpoint_id: bytes, incarnation: int, accuser: bytes, now_s: float, effects: list[Effect]
    ) -> None:
        suspicion = self.suspicions.get(endpoint_id)
        if self._settings.doubts_deaths and (
            suspicion is None or now_s - suspicion.since_s < suspicion.min_s / 2 or incarnation < suspicion.incarnation
        ):
            self.suspect(endpoint_id, incarnation, accuser, now_s, effects)
            return
        record = self.group.members.get(endpoint_id)
        if record is None:
            return
        known = max(record.incarnation, suspicion.incarnation if suspicion else 0)
        if known <= incarnation <= known + LEAP_MAX:
            self._bury(endpoint_id, incarnation, accuser, False, now_s, effects)

    def _hear_left(self, rumour: Left, sender: bytes, now_s: float, effects: list[Effect]) -> None:
        endpoint_id, incarnation = rumour.endpoint_id, rumour.incarnation
        record = self.group.members.get(endpoint_id)
        if record is None or not record.incarnation <= incarnation <= record.incarnation + LEAP_MAX:
            return
        if sender == endpoint_id or not self._settings.doubts_deaths:
            self._bury(endpoint_id, incarnation, endpoint_id, True, now_s, effects)
            return
        suspicion = self.suspect(endpoint_id, incarnation, sender, now_s, effects)
        if suspicion is not None and not suspicion.is_leaving:
            suspicion.is_leaving = True
            self.queue.put(rumour)

    # -- what changes --------------------------------------------------------------------------------------------

    def _believe_alive(self, record: Alive, effects: list[Effect], *, is_hearsay: bool = False) -> bool:
        endpoint_id = record.contact.endpoint_id
        is_news = self.suspicions.pop(endpoint_id, None) is not None or endpoint_id not in self.group.members
        if not self.group.put(record, is_hearsay=is_hearsay):
            return False
        if is_news:
            effects.append(Tell(MemberAlive(record.contact, record.incarnation)))
        return True

    def _bury(
        self, endpoint_id: bytes, incarnation: int, accuser: bytes, is_left: bool, now_s: float, effects: list[Effect]
    ) -> None:
        self.suspicions.pop(endpoint_id, None)
        self.group.bury(endpoint_id, incarnation, accuser, is_left=is_left, now_s=now_s)
        if is_left:
            self.queue.put(Left(endpoint_id, incarnation))
            effects.append(Tell(MemberLeft(endpoint_id, incarnation)))
        else:
            self.queue.put(Dead(endpoint_id, incarnation, accuser))
            effects.append(Tell(MemberDead(endpoint_id, incarnation, accuser)))

    def _new_suspicion(self, incarnation: int, accuser: bytes, now_s: float) -> Suspicion:
        settings = self._settings
        others = len(self.group.members)
        expected = settings.suspicion_confirmations
        if others - 1 < expected:
            expected = 0  # too few members to give them
        min_s = settings.suspicion_min_s(others + 1)
        return Suspicion(incarnation, accuser, now_s, min_s, min_s * settings.suspicion_max_multiplier, expected)

    def _is_witness(self, accuser: bytes) -> bool:
        return accuser in self.group.members or accuser == self.own.contact.endpoint_id

    def _may_introduce(self, sender: bytes, now_s: float) -> bool:
        if now_s >= self._introductions_until_s or len(self._introductions) >= INTRODUCERS_MAX:
            self._introductions = {}
            self._introductions_until_s = now_s + INTRODUCTIONS_S
        count = self._introductions.get(sender, 0)
        self._introductions[sender] = count + 1
        return count < INTRODUCTIONS_MAX

    def _arm(self, deadline_s: float, now_s: float, effects: list[Effect]) -> None:
        """Suspicions that end within one interval of gossip end together: one timer for all."""
        if deadline_s + EPSILON_S < self._sweep_s:
            sweep_s = max(deadline_s, now_s + self._settings.gossip_interval_s)
            if sweep_s < self._sweep_s:
                self._sweep_s = sweep_s
                effects.append(Arm(sweep_s - now_s, SWEEP))
