"""Lifeguard's anomaly: a member that neither sends nor receives for a while, again and again, while its clock runs on.

Dadgar, Phillips, Currey 2018, section V: a process blocks wherever it would send or receive, for D seconds; then it
goes on with what has piled up, for I seconds; then it blocks again. Its timers ring all the while, so it judges others
by answers that it has not read yet: the worst kind of slow member. (The other kind, that stands still as a whole, is
the simulator's own [slow].)
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearcast.overlay.machine import Arm, Effect, Machine, Send

if TYPE_CHECKING:
    from nearcast.transport.base import PeerAddress

HELD_MAX = 20_000  # messages that wait; guess: far more than arrive in the longest block


@dataclass(frozen=True, slots=True)
class _Resume:
    """A block is over."""


@dataclass(frozen=True, slots=True)
class _Block:
    """A block begins."""


class Blocking:
    """Wraps a machine: `blocked_s` without sending and receiving, then `running_s` of life, from `first_s` on."""

    def __init__(self, machine: Machine, first_s: float, blocked_s: float, running_s: float) -> None:
        self.machine = machine
        self._first_s = first_s
        self._blocked_s = blocked_s
        self._running_s = running_s
        self._is_blocked = False
        self._arrived: list[tuple[PeerAddress, Any]] = []
        self._unreached: list[bytes] = []
        self._unsent: list[Effect] = []

    def __getattr__(self, name: str) -> Any:
        """The verbs and views of the machine inside."""
        return getattr(self.machine, name)

    def start(self, now_s: float) -> Iterable[Effect]:
        return [*self.machine.start(now_s), Arm(self._first_s, _Block())]

    def on_message(self, sender: "PeerAddress", message: Any, now_s: float) -> Iterable[Effect]:
        if not self._is_blocked:
            return self.machine.on_message(sender, message, now_s)
        if len(self._arrived) < HELD_MAX:
            self._arrived.append((sender, message))
        return ()

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        match timer:
            case _Block():
                self._is_blocked = True
                return [Arm(self._blocked_s, _Resume())]
            case _Resume():
                return self._resume(now_s)
        return self._held(self.machine.on_timer(timer, now_s))

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        if not self._is_blocked:
            return self.machine.on_unreachable(endpoint_id, now_s)
        self._unreached.append(endpoint_id)
        return ()

    def _held(self, effects: Iterable[Effect]) -> Iterable[Effect]:
        """What is to be sent waits; timers and events do not."""
        if not self._is_blocked:
            return effects
        passed: list[Effect] = []
        for effect in effects:
            if not isinstance(effect, Send):
                passed.append(effect)
            elif len(self._unsent) < HELD_MAX:
                self._unsent.append(effect)
        return passed

    def _resume(self, now_s: float) -> Iterable[Effect]:
        self._is_blocked = False
        effects: list[Effect] = [*self._unsent, Arm(self._running_s, _Block())]
        for sender, message in self._arrived:
            effects += self.machine.on_message(sender, message, now_s)
        for endpoint_id in self._unreached:
            effects += self.machine.on_unreachable(endpoint_id, now_s)
        self._arrived, self._unreached, self._unsent = [], [], []
        return effects
