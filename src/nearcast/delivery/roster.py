"""Who takes part in one download: sources that join, fail, or lie, and what it means when none is left.

A source that does not have the thing is no failure of its own; one that lied is remembered beyond the download.
"""

from collections.abc import Callable

from nearcast.content.cid import Cid
from nearcast.delivery.events import FetchEvent, SourceFailed, SourceJoined
from nearcast.delivery.purchase import Purchase
from nearcast.delivery.select import Paces
from nearcast.delivery.source import Source
from nearcast.errors import IntegrityError, LimitError, NearcastError, NotFoundError, RemoteError, UnavailableError
from nearcast.tasks import Pulse

SOURCES_MAX = 64  # at once in one download; guess: far more than one link can use


class Roster:
    """The sources of one download, by name, in the caller's order of preference."""

    def __init__(self, root: Cid, liars: dict[str, str], paces: Paces, on_event: Callable[[FetchEvent], None]) -> None:
        self._root = root
        self.paces = paces
        self._known_liars = liars
        self._on_event = on_event
        self.active: dict[str, Source] = {}
        self.failed: dict[str, NearcastError] = {}
        self.liars: list[str] = []
        self.paid: dict[str, Purchase] = {}
        self.pulse = Pulse()

    def join(self, source: Source) -> None:
        """A source takes part from now on, unless it is known as a liar, or there are enough."""
        if source.name in self.active or source.name in self.failed or len(self.active) >= SOURCES_MAX:
            return
        if source.name in self._known_liars:
            self.failed[source.name] = RemoteError(self._known_liars[source.name])
            return
        self.active[source.name] = source
        if source.purchase is not None:
            source.purchase.on_event = self._on_event
            self.paid[source.name] = source.purchase
        self._on_event(SourceJoined(source.name))
        self.pulse.beat()

    def fail(self, name: str, error: NearcastError) -> None:
        """A source takes part no more."""
        if self.active.pop(name, None) is None:
            self.pulse.beat()  # for the stages of a relay, which share this roster and each find out for themselves
            return
        paid = self.paid.get(name)
        if paid is not None and paid.lie is not None:
            error = paid.lie
        self.failed[name] = error
        is_liar = isinstance(error, IntegrityError | LimitError)
        if is_liar:
            self.liars.append(name)
            self._known_liars[name] = error.message
            if paid is not None:
                paid.distrust(error)
        self._on_event(SourceFailed(name, error.message, is_liar))
        self.pulse.beat()

    def nobody_left(self, lacking: dict[str, NearcastError]) -> NearcastError:
        """The error that ends the download. `lacking`: those still here, and what they said that they do not have."""
        reasons = {**self.failed, **lacking}
        told = "; ".join(f"{name}: {error.message}" for name, error in reasons.items())
        if not reasons:
            return UnavailableError(
                f"{self._root} is not here, and there is nobody to ask", fix="name a peer, or use a link that does"
            )
        if all(isinstance(error, NotFoundError) for error in reasons.values()):
            return NotFoundError(f"nobody has {self._root} ({told})")
        if not any(isinstance(error, UnavailableError) for error in reasons.values()):
            fixes = [error.fix for error in reasons.values() if error.fix is not None]
            return RemoteError(f"nobody gave {self._root} ({told})", fix=next(iter(fixes), "get it from somebody else"))
        return UnavailableError(f"nobody could give {self._root} ({told})", fix="try again; what has arrived is kept")
