"""One member among others that say anything at all: whatever hypothesis makes of rumours, time and an honest word."""

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.overlay.failure.groups import person, sent

from nearcast.overlay.failure.beliefs import SWEEP
from nearcast.overlay.failure.messages import Ack, Gossip, Ping, PingRequest, SyncAnswer
from nearcast.overlay.failure.rumours import (
    INCARNATION_MAX,
    INCARNATION_STEP_MAX,
    Alive,
    Dead,
    Left,
    Suspect,
)
from nearcast.overlay.failure.settings import SwimSettings, lan
from nearcast.overlay.failure.swim import Swim
from nearcast.overlay.machine import Arm
from nearcast.transport.base import PeerAddress

PEOPLE = st.integers(1, 6).map(person)
INCARNATIONS = st.integers(0, 6) | st.sampled_from([INCARNATION_STEP_MAX, INCARNATION_STEP_MAX + 1, INCARNATION_MAX])
IDS = PEOPLE.map(lambda contact: contact.endpoint_id)
RUMOURS = st.lists(
    st.builds(Alive, PEOPLE, INCARNATIONS)
    | st.builds(Suspect, IDS, INCARNATIONS, IDS)
    | st.builds(Dead, IDS, INCARNATIONS, IDS)
    | st.builds(Left, IDS, INCARNATIONS),
    max_size=4,
).map(tuple)


class Listing(dict[bytes, Alive]):
    """A group's members; `gone` are those that have been taken off since it was emptied, if only to be put back."""

    def __init__(self, members: dict[bytes, Alive]) -> None:
        super().__init__(members)
        self.gone: set[bytes] = set()

    def pop(self, endpoint_id: bytes, *default: Any) -> Any:
        self.gone.add(endpoint_id)
        return super().pop(endpoint_id, *default)


class OneMember(RuleBasedStateMachine):
    """One member, whatever others say. Number 2 is honest: it contradicts whatever it hears of itself."""

    @initialize(settings=st.sampled_from([lan(), SwimSettings(members_max=4, doubts_deaths=False)]))
    def begin(self, settings: SwimSettings) -> None:
        self.now_s = 0.0
        self.honest_s = 0.0
        self.member = Swim(person(1), random.Random(1), settings)
        self.honest = Swim(person(2), random.Random(2), settings)
        self.timers: list[tuple[float, Any]] = []
        self.incarnation = 0
        self.known: dict[bytes, int] = {}
        self.listing = self.member._beliefs.group.members = Listing(self.member._beliefs.group.members)
        self.do(self.member.start(0.0))
        self.do(self.member.know([person(2), person(3)], 0.0))

    def do(self, effects: Any) -> None:
        for effect in effects:
            if isinstance(effect, Arm):
                assert effect.after_s >= 0
                self.timers.append((self.now_s + effect.after_s, effect.timer))
        assert len(self.timers) < 2000

    @rule(sender=st.integers(3, 6).map(person), incarnation=INCARNATIONS, rumours=RUMOURS, kind=st.integers(0, 4))
    def hear(self, sender: PeerAddress, incarnation: int, rumours: Any, kind: int) -> None:
        message: Any = [
            Gossip(incarnation, rumours),
            Ping(5, incarnation, rumours),
            Ack(self.member._prober._sequence, incarnation, rumours),
            PingRequest(5, incarnation, person(2).endpoint_id, rumours),
            SyncAnswer(incarnation, bytes([0, 4]), rumours, True),
        ][kind]
        self.do(self.member.on_message(sender, message, self.now_s))

    @rule(by_s=st.floats(0.01, 20))
    def wait(self, by_s: float) -> None:
        """Time passes, timers ring in order; some of them late."""
        self.now_s += by_s
        due = sorted((entry for entry in self.timers if entry[0] <= self.now_s), key=lambda entry: entry[0])
        self.timers = [entry for entry in self.timers if entry[0] > self.now_s]
        for _, timer in due:
            self.do(self.member.on_timer(timer, self.now_s))

    @rule()
    def sweep_early(self) -> None:
        self.do(self.member.on_timer(SWEEP, self.now_s))

    @rule()
    def the_honest_one_is_never_dead_for_ever(self) -> None:
        """It pings; whatever is said of it in the answer it contradicts; after that it is no longer dead here.

        Its own clock runs on meanwhile, so that it may leap as often as the furthest hearsay needs.
        """
        honest = self.honest
        for _ in range(10):
            self.honest_s += 10.0
            ping = Ping(1, honest.incarnation, (honest._beliefs.own,))
            effects = list(self.member.on_message(person(2), ping, self.now_s))
            self.do(effects)
            for send in sent(effects, Ack):
                honest.on_message(person(1), send.message, self.honest_s)
        self.do(self.member.on_message(person(2), Gossip(honest.incarnation, (honest._beliefs.own,)), self.now_s))
        assert self.member.state_of(person(2).endpoint_id) != "dead"
        if person(2) in self.member.members():
            assert self.member.state_of(person(2).endpoint_id) == "alive"

    @invariant()
    def numbers_only_grow_and_everything_is_bounded(self) -> None:
        if not hasattr(self, "member"):
            return
        beliefs = self.member._beliefs
        assert beliefs.own.incarnation >= self.incarnation
        self.incarnation = beliefs.own.incarnation
        members = beliefs.group.members
        assert members is self.listing
        for endpoint_id in (self.known.keys() & members.keys()) - self.listing.gone:
            assert members[endpoint_id].incarnation >= self.known[endpoint_id]
        self.known = {endpoint_id: record.incarnation for endpoint_id, record in members.items()}
        self.listing.gone.clear()
        assert person(1).endpoint_id not in members
        assert len(members) <= self.member.settings.members_max
        assert not members.keys() & beliefs.group.tombstones.keys()
        assert 0 <= self.member.local_health <= 8


OneMember.TestCase.settings = settings(stateful_step_count=30)
TestOneMember = OneMember.TestCase


def test_what_hearsay_put_out_of_reach_is_taken_off_at_the_members_own_word() -> None:
    """Two steps of hearsay, each believed; then number 2 speaks, whose record may fall to what it is truly at."""
    state = OneMember()
    state.begin(lan())
    state.numbers_only_grow_and_everything_is_bounded()
    state.hear(person(3), 0, (Alive(person(2), 1), Alive(person(2), 1 + INCARNATION_STEP_MAX)), 0)
    state.numbers_only_grow_and_everything_is_bounded()
    state.the_honest_one_is_never_dead_for_ever()
    state.numbers_only_grow_and_everything_is_bounded()
    assert state.known[person(2).endpoint_id] == 0


def test_who_made_room_in_a_full_group_may_come_back_as_a_newcomer() -> None:
    state = OneMember()
    state.begin(SwimSettings(members_max=4, doubts_deaths=False))
    state.hear(person(3), 0, (Alive(person(4), 3), Alive(person(5), 3)), 0)
    state.numbers_only_grow_and_everything_is_bounded()
    state.hear(person(3), 0, (Alive(person(6), 0), Alive(person(4), 0), Alive(person(5), 0)), 0)
    state.numbers_only_grow_and_everything_is_bounded()
