"""What all parts of one node of the hash table share: its state, its requests, and the effects that leave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from nearcast.overlay.kademlia.keys import key_bytes
from nearcast.overlay.kademlia.messages import NODES, Find, Ping
from nearcast.overlay.kademlia.records import Verify
from nearcast.overlay.kademlia.requests import CHECK, FILL, Job, Requests
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.store import RecordStore
from nearcast.overlay.kademlia.table import Table
from nearcast.overlay.machine import Arm, Effect, Send, Tell
from nearcast.overlay.peers import ADDRESSES_MAX
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

TIMER_SLACK_S: Final = 0.001  # so that a timer never rings a rounding error too early


@dataclass(frozen=True, slots=True)
class Timer:
    """`what`: requests that are late, the table's upkeep, or another try to join."""

    what: Literal["requests", "upkeep", "rejoin"]


REQUESTS: Final = Timer("requests")
UPKEEP: Final = Timer("upkeep")
REJOIN: Final = Timer("rejoin")


class Core:
    """The state of one node. `said`: the contact that its requests carry; None: it is a client."""

    def __init__(
        self,
        own: PeerAddress,
        verify: Verify,
        rng: random.Random,
        settings: KademliaSettings,
        unix_clock: Callable[[float], float],
        *,
        is_client: bool,
    ) -> None:
        self.own = own
        self.own_id = own.endpoint_id
        self.said = None if is_client else own
        self.settings = settings
        self.rng = rng
        self.verify = verify
        self.unix = unix_clock
        self.table = Table(own.endpoint_id, settings, is_lan=True)
        self.store = RecordStore(settings, rng, is_lan=True)
        self.requests = Requests(settings.patience_s, settings.timeout_s)
        self._out: list[Effect] = []
        self._is_armed = False

    def send(self, to: PeerAddress, message: Any) -> None:
        self._out.append(Send(to, message))

    def arm(self, after_s: float, timer: Timer) -> None:
        self._out.append(Arm(after_s, timer))

    def tell(self, event: Any) -> None:
        self._out.append(Tell(event))

    def request(self, address: PeerAddress, job: Job, now_s: float) -> int:
        """A request is about to be sent to somebody: its id."""
        return self.requests.add(address, job, now_s)

    def fill(self, address: PeerAddress, now_s: float) -> None:
        """Ask somebody that was named for a bucket with room whether it is there."""
        requests = self.requests
        if requests.fills < self.settings.filling_checks_max and not requests.is_waiting_for(address.endpoint_id):
            self.send(address, Ping(requests.add(address, FILL, now_s), self.said))

    def ask_back(self, address: PeerAddress, now_s: float) -> int | None:
        """The id of a check that rides on our answer to this peer; None: it is not checked, as in `check`."""
        requests = self.requests
        if requests.checks >= self.settings.checks_max or requests.is_waiting_for(address.endpoint_id):
            return None
        return requests.add(address, CHECK, now_s)

    def check(self, address: PeerAddress, now_s: float) -> None:
        """Ask a peer whether it is alive, unless as many as may be are being asked already, or it is.

        A contact that failed is asked a real question: some answer pings, to stay in tables, and nothing else.
        """
        requests = self.requests
        if requests.checks >= self.settings.checks_max or requests.is_waiting_for(address.endpoint_id):
            return
        request_id = requests.add(address, CHECK, now_s)
        contact = self.table.get(address.endpoint_id)
        if contact is not None and contact.failures:
            self.send(address, Find(request_id, key_bytes(self.table.own_node_id), NODES, None, self.said))
        else:
            self.send(address, Ping(request_id, self.said))

    def timer_rang(self) -> None:
        """The timer of requests: it must be armed anew."""
        self._is_armed = False

    def effects(self, now_s: float) -> list[Effect]:
        """Everything that happened since the last call; the timer of requests is armed if it has to be."""
        if not self._is_armed:  # else it rings before anything newer is due: all requests have the same patience
            due_s = self.requests.next_due_s()
            if due_s is not None:
                self._is_armed = True
                self.arm(max(due_s - now_s, 0.0) + TIMER_SLACK_S, REQUESTS)
        out, self._out = self._out, []
        return out


def whereabouts(said: PeerAddress, sender: PeerAddress) -> PeerAddress:
    """What a peer says of itself, and the address that its connection came from: that one it cannot make up."""
    if not sender.addresses or sender.addresses == said.addresses:
        return said
    addresses = tuple(dict.fromkeys((*sender.addresses, *said.addresses)))[:ADDRESSES_MAX]
    return PeerAddress(said.endpoint_id, addresses, said.relay_url or sender.relay_url)
