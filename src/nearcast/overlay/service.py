"""Drives one machine (machine.py) on the real transport: its messages over links, its timers on the loop's clock.

Everything happens in the event loop, one thing after the other, so the machine never sees two at once. The machine's
`now_s` is a moment since 1970 that never goes back: records of others expire by it, and timers must not jump. It
follows the wall clock forward (a laptop that slept), and stands still while that is behind.

A stranger's message must not end the node, whatever it makes a machine do: what the machine raises ends the stream that
it came by, is counted (`overlay_failures`) and told, and the machine goes on.
"""

import asyncio
import heapq
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from nearcast.clock import Clock
from nearcast.errors import RemoteError
from nearcast.overlay.flood import Conduct
from nearcast.overlay.links import LINKS_MAX, AddressOf, Events, Links, nowhere
from nearcast.overlay.machine import Arm, Drop, Effect, Keep, Machine, Send, Tell
from nearcast.telemetry import Telemetry
from nearcast.transport.base import PeerAddress
from nearcast.transport.pool import ConnectionPool

TIMERS_MAX: Final = 65_536  # of one machine; guess: every protocol is bounded far below, this one is for bugs

Measured = Callable[[PeerAddress, float, float], Iterable[Effect]]
"""`measured(peer, rtt_s, now_s)`: the transport's estimate of a round trip."""


class MachineClock:
    """Seconds since 1970 that never go back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s = clock.unix_s() - clock.monotonic_s()

    def now_s(self) -> float:
        monotonic_s = self._clock.monotonic_s()
        self._ahead_s = max(self._ahead_s, self._clock.unix_s() - monotonic_s)
        return monotonic_s + self._ahead_s


class Service:
    """Use as an async context manager: it owns the links and the timers. `listen` hears every Tell."""

    def __init__(
        self,
        machine: Machine,
        pool: ConnectionPool,
        own: Callable[[], PeerAddress],
        encode: Callable[[Any], bytes],
        decode: Callable[[bytes], Any],
        clock: Clock,
        telemetry: Telemetry,
        *,
        conduct: Conduct | None = None,
        links_max: int = LINKS_MAX,
        address_of: AddressOf = nowhere,
    ) -> None:
        self._machine = machine
        self._clock = MachineClock(clock)
        self._telemetry = telemetry
        events = Events(self._received, self._unreachable)
        self.links = Links(
            pool, own, encode, decode, events, telemetry, conduct=conduct, links_max=links_max, address_of=address_of
        )
        self._listeners: list[Callable[[Any], None]] = []
        self._timers: list[tuple[float, int, Hashable]] = []
        self._armed = 0
        self._handle: asyncio.TimerHandle | None = None
        self._is_running = False

    async def __aenter__(self) -> Self:
        await self.links.__aenter__()
        self._is_running = True
        self.act(self._machine.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_running = False
        if self._handle is not None:
            self._handle.cancel()
        await self.links.__aexit__(kind, error, traceback)

    @property
    def now_s(self) -> float:
        """The machine's time."""
        return self._clock.now_s()

    def listen(self, listener: Callable[[Any], None]) -> None:
        """`listener(event)` is called in the event loop; it must be quick and must not raise."""
        self._listeners.append(listener)

    def unlisten(self, listener: Callable[[Any], None]) -> None:
        self._listeners.remove(listener)

    def act(self, verb: Callable[[float], Iterable[Effect]]) -> None:
        """Let the machine do something now: `verb(now_s)` gives effects."""
        self.perform(list(verb(self.now_s)))  # all of it before anything happens: a listener may act, too

    def perform(self, effects: Iterable[Effect]) -> None:
        """Make what the machine wants happen."""
        for effect in effects:
            match effect:
                case Send(to, message):
                    self.links.send(to, message)
                case Arm(after_s, timer):
                    self._arm(after_s, timer)
                case Keep(peer):
                    self.links.keep(peer)
                case Drop(endpoint_id):
                    self.links.drop(endpoint_id)
                case Tell(event):
                    for listener in list(self._listeners):
                        listener(event)

    # What comes in

    def _received(self, sender: PeerAddress, message: Any) -> None:
        """A link's message. Raises RemoteError, which ends that link."""
        if self._is_running:
            failure = self._contained(lambda now_s: self._machine.on_message(sender, message, now_s))
            if failure is not None:
                raise failure

    def _unreachable(self, endpoint_id: bytes) -> None:
        if self._is_running:
            self._contained(lambda now_s: self._machine.on_unreachable(endpoint_id, now_s))

    def _contained(self, verb: Callable[[float], Iterable[Effect]]) -> RemoteError | None:
        """Act; what goes wrong is told, and returned as what the peer broke."""
        try:
            self.act(verb)
        except RemoteError as error:
            return error
        except Exception as error:  # noqa: BLE001 - see the file's head: a bug met by a stranger's message costs a stream
            self._telemetry.count("overlay_failures")
            self._telemetry.event("overlay-failed", reason=repr(error))
            return RemoteError(f"the overlay failed on a message: {error!r}")
        return None

    # Timers

    def _arm(self, after_s: float, timer: Hashable) -> None:
        if len(self._timers) >= TIMERS_MAX:
            self._telemetry.count("overlay_timers_lost")
            return
        due_s = asyncio.get_running_loop().time() + max(after_s, 0.0)
        self._armed += 1
        heapq.heappush(self._timers, (due_s, self._armed, timer))
        if self._timers[0][1] == self._armed:
            self._wait_for_first()

    def _wait_for_first(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        if self._timers and self._is_running:
            self._handle = asyncio.get_running_loop().call_at(self._timers[0][0], self._ring)

    def _ring(self) -> None:
        """Ring what is due; what these arm anew waits for the next round, however soon it is due."""
        loop_s = asyncio.get_running_loop().time()
        due = list[Hashable]()
        while self._timers and self._timers[0][0] <= loop_s:
            due.append(heapq.heappop(self._timers)[2])
        for timer in due:
            self._contained(partial(self._machine.on_timer, timer))
        self._wait_for_first()
