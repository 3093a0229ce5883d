"""Which failure detector: by name, all behind one interface, so that they can be measured on the same traces."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from nearcast.errors import UsageError
from nearcast.overlay.failure.group import Roster
from nearcast.overlay.failure.settings import MEMBERS_MAX, lan, plain_swim, wan
from nearcast.overlay.failure.swim import Swim
from nearcast.overlay.failure.van_renesse import HeartbeatSettings, VanRenesse
from nearcast.overlay.machine import Effect, Machine
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

    from nearcast.overlay.failure.beliefs import Admits

SWIM_PRESETS = {"plain_swim": plain_swim, "lan": lan, "wan": wan}
DETECTORS = (*SWIM_PRESETS, "van_renesse")
DEFAULT = "wan"


class Detector(Machine, Protocol):
    """A group's members and their states, as one member sees them. Tells the events of events.py."""

    coordinate: bytes | None  # carried along on probes, at most 100 bytes

    def join(self, seeds: Iterable[PeerAddress], now_s: float) -> Iterable[Effect]: ...

    def know(self, members: Iterable[PeerAddress], now_s: float) -> Iterable[Effect]:
        """Members known for certain, from elsewhere."""

    def forget(self, endpoint_ids: Iterable[bytes]) -> None:
        """Members that are not of our group any more."""

    def fill(self, roster: Roster) -> None:
        """The whole group at once, before `start`."""

    def leave(self, now_s: float) -> Iterable[Effect]: ...

    def move(self, own: PeerAddress, now_s: float) -> Iterable[Effect]: ...

    def members(self) -> list[PeerAddress]: ...

    def state_of(self, endpoint_id: bytes) -> str: ...

    def snapshot(self) -> dict[str, Any]: ...


def detector(
    name: str,
    own: PeerAddress,
    rng: "random.Random",
    *,
    members_max: int = MEMBERS_MAX,
    admits: "Admits | None" = None,
) -> Detector:
    """The detector of that name, with its default settings. Raises UsageError for a name that is none."""
    if name == "van_renesse":
        return VanRenesse(own, rng, HeartbeatSettings(members_max=members_max))
    preset = SWIM_PRESETS.get(name)
    if preset is None:
        raise UsageError(f"no failure detector {name}", fix=f"there are {', '.join(DETECTORS)}")
    return Swim(own, rng, replace(preset(), members_max=members_max), admits=admits)
