"""Who can dial whom, and what the first message to somebody costs.

A message to a peer without a connection waits for QUIC's handshake, one round trip. A connection serves both directions
and ends when nothing was sent on it for IDLE_S. What NAT does, kept simple on purpose (after RFC 4787 and 5128):

    dialled \\ dialling    open      cone                symmetric
    open                  dials     dials               dials
    cone                  punched   punched             punched if `is_lenient`, else fails
    symmetric             punched   as above            fails

`punched`: both ends agree on it over a relay, PUNCH_RTTS round trips more. Who cannot be dialled is still reached over
a connection that it opened itself. There is no relaying of data: what fails, fails.
"""

from typing import TYPE_CHECKING, Final

from nearcast.sim.peer import CONE, OPEN, SYMMETRIC

if TYPE_CHECKING:
    from nearcast.sim.peer import Peer

IDLE_S = 30.0  # QUIC's usual max_idle_timeout, also iroh's default
HANDSHAKE_RTTS = 1.0  # RFC 9000: data may follow after one round trip
PUNCH_RTTS = 1.0  # one more, over the relay, for the two ends to begin at the same time
CONNECTIONS_SWEPT_AT = 1 << 20  # connections remembered before idle ones are dropped
NOT_REACHABLE: Final = -1.0


class Dialling:
    """Remembers which connections are open. `is_lenient`: a cone lets a symmetric one through, as most do."""

    __slots__ = ("_sweep_at", "_used_s", "dials", "is_lenient", "refused")

    def __init__(self, *, is_lenient: bool = True) -> None:
        self.is_lenient = is_lenient
        self.dials = 0
        self.refused = 0
        self._used_s: dict[int, float] = {}
        self._sweep_at = CONNECTIONS_SWEPT_AT

    def dial_s(self, sender: "Peer", target: "Peer", delay_s: float, now_s: float, knows_way: bool = True) -> float:
        """Seconds before the message can leave: 0 on a connection that is open; NOT_REACHABLE."""
        one, other = sender.index, target.index
        key = one << 24 | other if one < other else other << 24 | one
        used_s = self._used_s.get(key)
        if used_s is not None and now_s - used_s < IDLE_S:
            self._used_s[key] = now_s
            return 0.0
        if used_s is not None and (target.endpoint_id in sender.kept or sender.endpoint_id in target.kept):
            self._used_s[key] = now_s  # a connection that is kept is kept alive
            return 0.0
        rtts = self._dial(sender.nat, target.nat) if knows_way else NOT_REACHABLE
        if rtts < 0:
            self.refused += 1
            return NOT_REACHABLE
        self.dials += 1
        self._used_s[key] = now_s
        if len(self._used_s) > self._sweep_at:
            self._sweep(now_s)
        return 2 * delay_s * rtts

    def _dial(self, dialling: int, dialled: int) -> float:
        if dialled == OPEN:
            return HANDSHAKE_RTTS
        if dialling == OPEN or (dialling == CONE and dialled == CONE):
            return HANDSHAKE_RTTS + PUNCH_RTTS
        if dialling == SYMMETRIC and dialled == SYMMETRIC:
            return NOT_REACHABLE
        return HANDSHAKE_RTTS + PUNCH_RTTS if self.is_lenient else NOT_REACHABLE

    def _sweep(self, now_s: float) -> None:
        self._used_s = {key: used_s for key, used_s in self._used_s.items() if now_s - used_s < IDLE_S}
        self._sweep_at = max(CONNECTIONS_SWEPT_AT, 2 * len(self._used_s))
