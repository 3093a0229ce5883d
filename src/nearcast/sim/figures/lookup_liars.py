"""Hostile nodes of the hash table: they join as others do, answer pings, and then drop, lie, or besiege one key.

All of them work together. "drop" answers nothing but pings, takes no records. "lie" names invented nodes near what is
looked for and other liars, and claims to provide it itself; of records it says that it keeps them. "eclipse" is a liar
whose id was made close to one key: it names its accomplices there, and has nothing.
"""

import bisect
import hashlib
import random
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from nearcast.overlay.kademlia import Kademlia
from nearcast.overlay.kademlia.keys import KEY_BITS, key_number, node_id
from nearcast.overlay.kademlia.messages import CONTACTS_PER_ANSWER_MAX, PROVIDERS, Find, Kept, Nodes, Store
from nearcast.overlay.kademlia.records import ProviderRecord, Record, Sign, signed_provider
from nearcast.overlay.machine import Effect, Send
from nearcast.transport.base import PeerAddress

Kind = Literal["drop", "lie", "eclipse"]
INVENTED = 50_000  # nodes that do not exist: several times as dense as those that do
RECORDS_PER_LIE = 8
LIFE_S = 3600
UNIX_S = 1_800_000_000.0  # when a simulation begins


class Crowd:
    """Contacts by node id: who of them is close to a place, cheaply and nearly exactly."""

    def __init__(self, members: Iterable[PeerAddress] = ()) -> None:
        self._sorted = sorted((node_id(member.endpoint_id), member) for member in members)

    def add(self, member: PeerAddress) -> None:
        bisect.insort(self._sorted, (node_id(member.endpoint_id), member))

    def near(self, place: int, count: int) -> list[PeerAddress]:
        """Neighbours on the line, sorted by distance: near enough for a liar."""
        at = bisect.bisect_left(self._sorted, (place,))
        around = self._sorted[max(0, at - count) : at + count]
        around.sort(key=lambda pair: pair[0] ^ place)
        return [member for _, member in around[:count]]


@dataclass
class Conspiracy:
    """What all liars of a run know. `sieges`: ids made close to a key, for whoever is to besiege it."""

    rng: random.Random
    liars: Crowd = field(default_factory=Crowd)
    invented: Crowd = field(default_factory=Crowd)
    sieges: list[bytes] = field(default_factory=list)

    def invent(
        self,
        address: Callable[[bytes], PeerAddress],
        besieged: Iterable[bytes],
        nodes: int,
        each: int,
        invented: int = INVENTED,
    ) -> None:
        """Make up nodes that do not exist, and, for each besieged key, so many ids that beat all honest ones."""
        self.invented = Crowd(address(self.rng.randbytes(32)) for _ in range(invented))
        missing = {key_number(key): each for key in besieged}
        bits = KEY_BITS - nodes.bit_length() - 1  # closer than the closest of twice as many nodes
        prefixes = {key >> bits: key for key in missing}
        count = 0
        while any(missing.values()):
            count += 1
            endpoint_id = hashlib.blake2b(f"siege/{count}".encode(), digest_size=32).digest()
            key = prefixes.get(int.from_bytes(hashlib.sha256(endpoint_id).digest(), "big") >> bits)
            if key is not None and missing[key]:
                missing[key] -= 1
                self.sieges.append(endpoint_id)
        self.rng.shuffle(self.sieges)


class Liar:
    """A hostile node: a Kademlia inside for everything but answers."""

    def __init__(self, machine: Kademlia, own: PeerAddress, kind: Kind, conspiracy: Conspiracy, sign: Sign) -> None:
        self.machine = machine
        self.kind = kind
        self._own = own
        self._conspiracy = conspiracy
        self._sign = sign
        conspiracy.liars.add(own)

    def start(self, now_s: float) -> Iterable[Effect]:
        return self.machine.start(now_s)

    def join(self, seeds: Iterable[PeerAddress], now_s: float) -> Iterable[Effect]:
        return self.machine.join(seeds, now_s)

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        return self.machine.on_timer(timer, now_s)

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        return self.machine.on_unreachable(endpoint_id, now_s)

    def on_message(self, sender: PeerAddress, message: Any, now_s: float) -> Iterable[Effect]:
        match message:
            case Find() | Store() if self.kind == "drop":
                return ()
            case Find():
                return (Send(sender, self._lie(message, now_s)),)
            case Store():
                return (Send(sender, Kept(message.request_id, is_kept=True)),)
            case _:
                return self.machine.on_message(sender, message, now_s)

    def _lie(self, message: Find, now_s: float) -> Nodes:
        place = key_number(message.key if message.near is None else message.near)
        conspiracy = self._conspiracy
        accomplices = conspiracy.liars.near(place, CONTACTS_PER_ANSWER_MAX)
        if self.kind == "eclipse":
            return Nodes(message.request_id, tuple(accomplices))
        half = CONTACTS_PER_ANSWER_MAX // 2
        named = {each.endpoint_id: each for each in (*conspiracy.invented.near(place, half), *accomplices[:half])}
        records: tuple[Record, ...] = ()
        if message.what == PROVIDERS:
            records = tuple(self._false_records(message.key, accomplices, now_s))
        return Nodes(message.request_id, tuple(named.values()), records)

    def _false_records(self, key: bytes, accomplices: list[PeerAddress], now_s: float) -> Iterable[ProviderRecord]:
        """One that it signed itself, and others' whose signatures are made up."""
        expiry_s = int(UNIX_S + now_s) + LIFE_S
        yield signed_provider(key, self._own, expiry_s, expiry_s, self._sign)
        for other in accomplices[: RECORDS_PER_LIE - 1]:
            if other.endpoint_id != self._own.endpoint_id:
                yield ProviderRecord(key, other, expiry_s, expiry_s, self._conspiracy.rng.randbytes(64))
