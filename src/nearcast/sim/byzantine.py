"""A hostile peer: any machine, with something between it and the network that does harm.

It drops what the machine sends, sends it late, sends old messages again, changes what is in them, or lies in a way that
only the protocol's owner can think of (`lie`). What the machine receives and believes stays untouched: a liar knows the
truth. Each outgoing message is met by at most one of its behaviours.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from nearcast.errors import RemoteError
from nearcast.overlay.machine import Arm, Effect, Machine, Send

if TYPE_CHECKING:
    import random

    from nearcast.sim.peer import Peer
    from nearcast.sim.scenario import ByzantineTable
    from nearcast.transport.base import PeerAddress

Kind = TypeVar("Kind")
REMEMBERED_MAX = 64  # messages that may be sent again


@dataclass(frozen=True, slots=True)
class _Later:
    """The liar's own timer: it rings when something held back is to be sent."""

    effect: Send


class Byzantine:
    """Wraps a machine. `lie(send, rng)` returns what is sent instead, or None for nothing; without it `lie` garbles.

    `through(message)` is what the receiver's parser makes of a garbled message; it raises RemoteError where the parser
    does, and the message goes nowhere. Without it machines may be given what no parser would let pass.
    `is_pardoned`: from now on it is honest.
    """

    def __init__(
        self,
        machine: Machine,
        table: "ByzantineTable",
        rng: "random.Random",
        lie: Callable[[Send, "random.Random"], Send | None] | None = None,
        through: Callable[[Any], Any] | None = None,
    ) -> None:
        self.machine = machine
        self.is_pardoned = False
        self._table = table
        self._rng = rng
        self._lie = lie
        self._through = through
        self._old: list[Send] = []

    def __getattr__(self, name: str) -> Any:
        """The verbs of the machine inside. Their effects are honest unless they pass `corrupt`."""
        return getattr(self.machine, name)

    def start(self, now_s: float) -> Iterable[Effect]:
        return self.corrupt(self.machine.start(now_s))

    def on_message(self, sender: "PeerAddress", message: Any, now_s: float) -> Iterable[Effect]:
        return self.corrupt(self.machine.on_message(sender, message, now_s))

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        if isinstance(timer, _Later):
            return (timer.effect,)
        return self.corrupt(self.machine.on_timer(timer, now_s))

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        return self.corrupt(self.machine.on_unreachable(endpoint_id, now_s))

    def corrupt(self, effects: Iterable[Effect]) -> Iterator[Effect]:
        """What becomes of these effects."""
        for effect in effects:
            if not isinstance(effect, Send) or self.is_pardoned or self._rng.random() >= self._table.often:
                yield effect
            else:
                yield from self._harm(effect)

    def _harm(self, send: Send) -> Iterator[Effect]:
        rng = self._rng
        behaviour = rng.choice(self._table.behaviours) if self._table.behaviours else "drop"
        match behaviour:
            case "delay":
                yield Arm(rng.expovariate(1 / self._table.delay_s), _Later(send))
            case "replay":
                yield send
                yield from self._replayed(send)
            case "garble":
                yield from self._garbled(send)
            case "lie" if self._lie is not None:
                told = self._lie(send, rng)
                if told is not None:
                    yield told
            case "lie":
                yield from self._garbled(send)
            case _:  # drop
                return

    def _garbled(self, send: Send) -> Iterator[Effect]:
        message = garbled(send.message, self._rng)
        if self._through is not None:
            try:
                message = self._through(message)
            except RemoteError:
                return
        yield replace(send, message=message)

    def _replayed(self, send: Send) -> Iterator[Effect]:
        old = self._rng.choice(self._old) if self._old else send
        if len(self._old) < REMEMBERED_MAX:
            self._old.append(send)
        else:
            self._old[self._rng.randrange(REMEMBERED_MAX)] = send
        yield Arm(self._rng.expovariate(1 / self._table.delay_s), _Later(replace(old, to=send.to)))


def garbled(message: Any, rng: "random.Random") -> Any:
    """The message with one of its fields changed into another value of the same type, as a parser might let pass."""
    if not is_dataclass(message) or isinstance(message, type):
        return message
    names = [each.name for each in fields(message) if _is_plain(getattr(message, each.name))]
    if not names:
        return message
    name = rng.choice(names)
    return replace(message, **{name: _other(getattr(message, name), rng)})


def machine_of(peer: "Peer", kind: type[Kind]) -> Kind:
    """What a peer really runs: a liar's verbs are those of the machine inside."""
    machine = peer.machine
    inner = machine.machine if isinstance(machine, Byzantine) else machine
    assert isinstance(inner, kind)
    return inner


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | bytes | tuple)


def _other(value: Any, rng: "random.Random") -> Any:
    match value:
        case bool():
            return not value
        case int():
            return max(0, value + rng.choice((-1, 1, 1 << 16)))
        case float():
            return value * rng.choice((0.0, 0.5, 2.0, 1000.0))
        case bytes():
            return rng.randbytes(len(value))
        case _:
            return value[: rng.randrange(len(value) + 1)]
