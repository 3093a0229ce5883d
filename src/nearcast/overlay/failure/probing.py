"""One member after the other is asked whether it is there (SWIM, section 4.1; Lifeguard, section III.A).

Every interval one member is pinged. If it has not answered after the timeout, a few others are asked to ping it, and
it is pinged once more over the transport that repeats what is lost. If there is no word of it until the interval ends,
it is suspected. Whoever was asked and got no answer either says so (a NACK): those whose NACK is missing, too, show
that the trouble is ours. Interval and timeout grow with the score of local health.

Answers count only from whom they were asked of, since a sender is proven. A liar that is asked to ping for us can say
that a dead member answered; it delays the suspicion until somebody else's probe.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.overlay.failure.events import Measured
from nearcast.overlay.failure.messages import Ack, IndirectAck, Nack, Ping, PingRequest
from nearcast.overlay.machine import Arm, Effect, Send, Tell
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    from nearcast.overlay.failure.beliefs import Beliefs
    from nearcast.overlay.failure.rumours import Alive, Rumour
    from nearcast.overlay.failure.settings import SwimSettings

NACK_SHARE = 0.8  # of the timeout, after which whoever pings for another says that it has no answer (memberlist)
ERRANDS_MAX = 64  # pings for others under way; guess: ten times what a group of 5,000 with 5 % loss asks of one
PROBE = "probe"  # the timer of the next probe


@dataclass(frozen=True, slots=True)
class AckDue:
    """The timer after which a ping without an answer is tried through others."""

    sequence: int


@dataclass(frozen=True, slots=True)
class NackDue:
    """The timer after which we tell whom we ping for that there is no answer."""

    sequence: int


class _Probe:
    """The probe under way."""

    __slots__ = ("is_answered", "is_direct", "nacks", "proxies", "second_sequence", "sent_s", "sequence", "target")

    def __init__(self, target: "Alive", sequence: int, sent_s: float) -> None:
        self.target = target
        self.sequence = sequence
        self.second_sequence = -1
        self.sent_s = sent_s
        self.is_answered = False
        self.is_direct = True
        self.proxies: dict[bytes, None] = {}  # who was asked to ping it; an answer strikes one out
        self.nacks = 0


@dataclass(slots=True)
class _Errand:
    """A ping that somebody asked us for."""

    asker: PeerAddress
    asker_sequence: int
    target: bytes
    sent_s: float
    is_judged: bool = False


class Prober:
    """Whose turn it is, and what has come back. Methods append what is to be done to `effects`."""

    __slots__ = ("_beliefs", "_due_s", "_errands", "_probe", "_sequence", "_settings", "coordinate")

    def __init__(self, beliefs: "Beliefs", settings: "SwimSettings") -> None:
        self.coordinate: bytes | None = None
        self._beliefs = beliefs
        self._settings = settings
        self._probe: _Probe | None = None
        self._errands: dict[int, _Errand] = {}
        self._sequence = 0
        self._due_s = 0.0

    def arm(self, after_s: float, now_s: float, effects: list[Effect]) -> None:
        self._due_s = now_s + after_s
        effects.append(Arm(after_s, PROBE))

    def tick(self, now_s: float, effects: list[Effect]) -> None:
        """An interval is over: judge the probe of the last one, begin the next."""
        late_s = now_s - self._due_s
        if late_s > self._settings.stall_s:
            self._beliefs.delay(late_s)
            self._beliefs.health.change(+1)
        else:
            self._judge(now_s, effects)
        self._probe = None
        target = self._beliefs.group.next()
        if target is not None:
            self._begin(target, now_s, effects)
        self.arm(self._settings.probe_interval_s * self._beliefs.health.factor, now_s, effects)

    def on_ping(self, sender: PeerAddress, ping: Ping, effects: list[Effect]) -> None:
        beliefs = self._beliefs
        rumours = self.rumours_for(sender.endpoint_id, ping.incarnation)
        answer = Ack(ping.sequence, beliefs.own.incarnation, rumours, self.coordinate)
        effects.append(Send(sender, answer, is_reliable=ping.is_reliable))

    def on_ack(self, sender: PeerAddress, ack: Ack, now_s: float, effects: list[Effect]) -> None:
        probe = self._probe
        if probe is not None and ack.sequence in (probe.sequence, probe.second_sequence):
            if sender.endpoint_id == probe.target.contact.endpoint_id:
                if ack.sequence == probe.sequence and probe.is_direct:
                    # Later ones are not measured: a pause of ours would look like a distance.
                    effects.append(Tell(Measured(sender.endpoint_id, now_s - probe.sent_s, ack.coordinate)))
                self._succeed(probe)
            return
        errand = self._errands.get(ack.sequence)
        if errand is not None and errand.target == sender.endpoint_id:
            del self._errands[ack.sequence]
            if not errand.is_judged:
                effects.append(Tell(Measured(sender.endpoint_id, now_s - errand.sent_s, ack.coordinate)))
            effects.append(Send(errand.asker, IndirectAck(errand.asker_sequence), is_reliable=False))

    def on_indirect_ack(self, sender: bytes, sequence: int) -> None:
        probe = self._probe
        if probe is not None and sequence == probe.sequence and sender in probe.proxies:
            self._succeed(probe)

    def on_nack(self, sender: bytes, sequence: int) -> None:
        probe = self._probe
        if probe is not None and sequence == probe.sequence and probe.proxies.pop(sender, self) is None:
            probe.nacks += 1

    def on_ack_due(self, sequence: int, now_s: float, effects: list[Effect]) -> None:
        """The timeout of a direct ping."""
        probe = self._probe
        if probe is not None and probe.sequence == sequence and not probe.is_answered and probe.is_direct:
            self._ask_others(probe, now_s, effects)

    def on_unreachable(self, endpoint_id: bytes, now_s: float, effects: list[Effect]) -> None:
        """The transport could not reach it. That may be our trouble, so others are asked, only sooner."""
        probe = self._probe
        if probe is not None and probe.target.contact.endpoint_id == endpoint_id:
            self.on_ack_due(probe.sequence, now_s, effects)

    def on_ping_request(self, sender: PeerAddress, request: PingRequest, now_s: float, effects: list[Effect]) -> None:
        """A member wants to know of another whether it answers us. Nobody else is served, and no address is taken."""
        group = self._beliefs.group
        target = group.members.get(request.target)
        if target is None or sender.endpoint_id not in group.members:
            return
        if len(self._errands) >= ERRANDS_MAX:
            del self._errands[next(iter(self._errands))]
        self._sequence = sequence = self._sequence + 1
        self._errands[sequence] = _Errand(sender, request.sequence, request.target, now_s)
        effects.append(Send(target.contact, self._ping(target, sequence), is_reliable=False))
        if self._settings.has_local_health:
            effects.append(Arm(self._settings.probe_timeout_s * NACK_SHARE, NackDue(sequence)))

    def on_nack_due(self, sequence: int, effects: list[Effect]) -> None:
        errand = self._errands.get(sequence)
        if errand is not None:
            errand.is_judged = True  # an answer that comes yet is still passed on
            effects.append(Send(errand.asker, Nack(errand.asker_sequence), is_reliable=False))

    def rumours_for(self, endpoint_id: bytes, incarnation: int) -> "tuple[Rumour, ...]":
        """What is told along with a message to this peer: first of all what is said of itself."""
        beliefs = self._beliefs
        size_bytes = self._settings.rumours_bytes_max
        about = beliefs.about(endpoint_id, incarnation)
        if about is not None:
            size_bytes -= about.size_bytes
        elif not beliefs.queue:
            return ()
        limit = self._settings.retransmissions(len(beliefs.group.members) + 1)
        rumours = beliefs.queue.take(size_bytes, limit)
        if about is None or about in rumours:
            return rumours
        return (about, *rumours)

    def _begin(self, target: "Alive", now_s: float, effects: list[Effect]) -> None:
        self._sequence = sequence = self._sequence + 1
        self._probe = _Probe(target, sequence, now_s)
        effects.append(Send(target.contact, self._ping(target, sequence), is_reliable=False))
        effects.append(Arm(self._settings.probe_timeout_s * self._beliefs.health.factor, AckDue(sequence)))

    def _ask_others(self, probe: _Probe, now_s: float, effects: list[Effect]) -> None:
        probe.is_direct = False
        beliefs, target = self._beliefs, probe.target
        target_id = target.contact.endpoint_id
        without = {target_id, *beliefs.suspicions}
        for proxy in beliefs.group.sample(self._settings.indirect_probes, without):
            proxy_id = proxy.contact.endpoint_id
            probe.proxies[proxy_id] = None
            rumours = self.rumours_for(proxy_id, proxy.incarnation)
            request = PingRequest(probe.sequence, beliefs.own.incarnation, target_id, rumours)
            effects.append(Send(proxy.contact, request, is_reliable=False))
        if self._settings.has_second_ping:
            self._sequence = probe.second_sequence = self._sequence + 1
            ping = self._ping(target, probe.second_sequence, is_reliable=True)
            effects.append(Send(target.contact, ping))

    def _ping(self, target: "Alive", sequence: int, *, is_reliable: bool = False) -> Ping:
        rumours = self.rumours_for(target.contact.endpoint_id, target.incarnation)
        return Ping(sequence, self._beliefs.own.incarnation, rumours, self.coordinate, is_reliable)

    def _succeed(self, probe: _Probe) -> None:
        if not probe.is_answered:
            probe.is_answered = True
            self._beliefs.health.change(-1)

    def _judge(self, now_s: float, effects: list[Effect]) -> None:
        probe = self._probe
        if probe is None or probe.is_answered:
            return
        beliefs = self._beliefs
        asked = probe.nacks + len(probe.proxies)
        beliefs.health.change(len(probe.proxies) if asked else 1)  # each missing NACK counts (memberlist, state.go)
        target_id = probe.target.contact.endpoint_id
        record = beliefs.group.members.get(target_id)
        if record is not None:
            suspicion = beliefs.suspicions.get(target_id)
            incarnation = max(record.incarnation, suspicion.incarnation if suspicion else 0)
            beliefs.suspect(target_id, incarnation, beliefs.own.contact.endpoint_id, now_s, effects)
