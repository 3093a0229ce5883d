"""What is known of one other node, from all protocols together, as selection and people want to see it."""

from dataclasses import dataclass
from typing import Any, Literal

from nearcast.transport.base import PeerAddress

State = Literal["alive", "suspect", "dead", "unknown"]


@dataclass(frozen=True, slots=True)
class ContactView:
    """A node as we see it now.

    `rtt_s`: round-trip seconds, measured (`is_measured`) or estimated from coordinates; None: no idea. `price`: units
    per GiB, `load`: 0 to 1, `mbps`: all declared by the node itself, None when it has announced nothing. `heard_s`:
    when it spoke to us last, on our clock; None: never. `state`: the failure detector's word if it watches the node;
    else alive when the node spoke to us within ALIVE_S.
    """

    address: PeerAddress
    state: State
    rtt_s: float | None
    is_measured: bool
    price: int | None
    load: float | None
    mbps: int | None
    region: str | None
    heard_s: float | None

    def as_json(self, now_s: float) -> dict[str, Any]:
        """For `nearcast peers`."""
        return {
            "endpoint_id": self.address.endpoint_id.hex(),
            "addresses": list(self.address.addresses),
            "relay": self.address.relay_url,
            "state": self.state,
            "rtt_ms": None if self.rtt_s is None else round(1000 * self.rtt_s, 2),
            "is_rtt_measured": self.is_measured,
            "price": self.price,
            "load": self.load,
            "mbps": self.mbps,
            "region": self.region,
            "heard_s_ago": None if self.heard_s is None else round(now_s - self.heard_s, 1),
        }
