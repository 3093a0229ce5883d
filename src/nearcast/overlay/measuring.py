"""Measuring how far chosen peers are: a probe, its echo, and the coordinate that the peer states with it.

A failure detector measures those that it watches, which are near. Coordinates also want a few far away (Vivaldi,
SIGCOMM 2004, section 4.4), whom nothing else talks to. Each is asked twice in a row and the shorter time counts: the
first message may have had to wait for a connection, whose handshake is no distance.

    probe {"t": "p", "n": sequence}        <- echo {"t": "e", "n": sequence, "c"?: coordinate}

Goals: a bounded number of questions under way; an answer counts only from whom we asked, once, in time.
Non-goals: when and whom to ask (mesh.py and coordinates/ decide).
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from nearcast.errors import RemoteError
from nearcast.fields import bytes_within, integer_of, map_of
from nearcast.overlay.machine import Effect, Send
from nearcast.transport.base import PeerAddress

COORDINATE_BYTES_MAX = 100  # of every coordinate's wire form
SEQUENCE_MAX = 1 << 53
UNDER_WAY_MAX = 64  # guess: one is asked every few seconds
PATIENCE_S = 10.0  # the longest time that counts as a distance (coordinates RTT_S_MAX)


@dataclass(frozen=True, slots=True)
class Probe:
    """How far are you, and where do you stand?"""

    sequence: int


@dataclass(frozen=True, slots=True)
class Echo:
    """The answer; `coordinate` as coordinates/ encodes it, None for one who has none."""

    sequence: int
    coordinate: bytes | None = None


Message: TypeAlias = Probe | Echo


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured round trip, in seconds."""

    peer: PeerAddress
    rtt_s: float
    coordinate: bytes | None


def fields(message: Message) -> dict[str, Any]:
    """The message as a DAG-CBOR-able map."""
    match message:
        case Probe(sequence):
            return {"t": "p", "n": sequence}
        case Echo(sequence, None):
            return {"t": "e", "n": sequence}
        case Echo(sequence, coordinate):
            return {"t": "e", "n": sequence, "c": coordinate}


def parse(value: Any) -> Message:
    """The message of a map of fields. Raises RemoteError."""
    value = map_of(value, "a probe")
    sequence = integer_of(value.get("n"), "the sequence of a probe", SEQUENCE_MAX)
    match value.get("t"):
        case "p":
            return Probe(sequence)
        case "e":
            coordinate = value.get("c")
            if coordinate is not None:
                bytes_within(coordinate, "the coordinate of an echo", 0, COORDINATE_BYTES_MAX)
            return Echo(sequence, coordinate)
        case _:
            raise RemoteError("malformed probe: of no known type")


class Asked:
    """A question under way. `first_rtt_s`: of the first of the two, once it was answered."""

    __slots__ = ("endpoint_id", "first_rtt_s", "sent_s")

    def __init__(self, endpoint_id: bytes, sent_s: float, first_rtt_s: float | None) -> None:
        self.endpoint_id = endpoint_id
        self.sent_s = sent_s
        self.first_rtt_s = first_rtt_s


class Measuring:
    """The questions of one node."""

    __slots__ = ("_sequence", "_under_way")

    def __init__(self) -> None:
        self._sequence = 0
        self._under_way: dict[int, Asked] = {}

    def ask(
        self, peer: PeerAddress, now_s: float, first_rtt_s: float | None = None, *, is_reliable: bool = False
    ) -> Effect:
        """Measure the time to this peer; what comes of it, `answered` says. `is_reliable`: it must not get lost."""
        self._sequence += 1
        if len(self._under_way) >= UNDER_WAY_MAX:
            del self._under_way[next(iter(self._under_way))]
        self._under_way[self._sequence] = Asked(peer.endpoint_id, now_s, first_rtt_s)
        return Send(peer, Probe(self._sequence), is_reliable=is_reliable)

    def answered(self, sender: PeerAddress, echo: Echo, now_s: float) -> Effect | Sample | None:
        """An echo has come: the second question is to be sent, or there is a sample, or it was not ours."""
        asked = self._under_way.get(echo.sequence)
        if asked is None or asked.endpoint_id != sender.endpoint_id:
            return None
        del self._under_way[echo.sequence]
        rtt_s = now_s - asked.sent_s
        if not 0.0 < rtt_s <= PATIENCE_S:
            return None
        if asked.first_rtt_s is None:
            return self.ask(sender, now_s, rtt_s)
        return Sample(sender, min(rtt_s, asked.first_rtt_s), echo.coordinate)
