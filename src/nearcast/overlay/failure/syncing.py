"""Two members compare their tables and exchange what differs, in bounded pieces (push-pull, anti-entropy).

Rumours end after a number of tellings; whoever missed one would never learn. So now and then a member sends a random
other the digests of the 64 parts of its table: 512 bytes. The other answers with its records of parts that differ, as
many as fit a piece, and gets those back that it lacks. Where nothing differs nothing is answered. A newcomer's table
differs everywhere: it asks again, whomever it knows by then, until a piece brings no more. Now and then the other is a
member that is believed dead: so two halves that a broken network had parted find each other again (serf does the
same).

The dead are told as suspected, so that they can contradict (memberlist, mergeState).
Bounds: PIECE_BYTES_MAX and RUMOURS_MAX in a piece; ANSWERS_MAX answers per interval of the probe, whoever asks.
"""

from array import array
from collections.abc import Iterable
from itertools import chain
from sys import byteorder
from typing import TYPE_CHECKING

from nearcast.overlay.failure.group import bucket_of
from nearcast.overlay.failure.messages import (
    BUCKETS,
    DIGEST_BYTES,
    RUMOURS_MAX,
    Gossip,
    SyncAnswer,
    SyncRequest,
)
from nearcast.overlay.failure.rumours import Alive, Left, Rumour, Suspect
from nearcast.overlay.machine import Effect, Send
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

    from nearcast.overlay.failure.beliefs import Beliefs
    from nearcast.overlay.failure.group import Tombstone

PIECE_BYTES_MAX = 16 << 10  # guess: some 200 records, a few packets' worth
ANSWERS_MAX = 32  # per interval of the probe; guess: half a MiB
PIECES_MAX = 256  # that a newcomer asks for in a row: tables of 40,000 members


class Syncing:
    """Compares our table with others'. Methods append what is to be done to `effects`."""

    __slots__ = ("_answered", "_asked", "_beliefs", "_pieces_left", "_rng")

    def __init__(self, beliefs: "Beliefs", rng: "random.Random") -> None:
        self._beliefs = beliefs
        self._rng = rng
        self._asked: dict[bytes, None] = {}  # whom we have asked and who has not answered yet
        self._answered = 0
        self._pieces_left = 0

    def begin_interval(self) -> None:
        self._answered = 0

    def ask(self, contact: PeerAddress, effects: list[Effect]) -> None:
        """Ask for what differs."""
        if len(self._asked) >= ANSWERS_MAX:
            del self._asked[next(iter(self._asked))]  # one of those that never answered
        self._asked[contact.endpoint_id] = None
        beliefs = self._beliefs
        effects.append(Send(contact, SyncRequest(beliefs.own, _packed(beliefs))))

    def ask_all(self, seeds: tuple[PeerAddress, ...], effects: list[Effect]) -> None:
        """Ask these to begin with, and go on until the table is whole."""
        self._pieces_left = PIECES_MAX
        for seed in seeds:
            self.ask(seed, effects)

    def ask_someone(self, effects: list[Effect]) -> None:
        """Ask a random member, or one believed dead as often as there are such."""
        group = self._beliefs.group
        dead = [tombstone.record for tombstone in group.tombstones.values() if not tombstone.is_left]
        if dead and self._rng.random() * (len(dead) + len(group.members)) < len(dead):
            self.ask(self._rng.choice(dead).contact, effects)
            return
        for record in group.sample(1, self._beliefs.suspicions):
            self.ask(record.contact, effects)

    def on_request(self, sender: PeerAddress, request: SyncRequest, now_s: float, effects: list[Effect]) -> None:
        beliefs = self._beliefs
        sender_id = sender.endpoint_id
        if request.own.contact.endpoint_id != sender_id or self._answered >= ANSWERS_MAX:
            return
        self._answered += 1
        beliefs.heard_from(sender_id, request.own.incarnation, effects)
        beliefs.hear((request.own,), sender_id, now_s, effects)
        own = _packed(beliefs)
        size = DIGEST_BYTES
        start = int(self._rng.random() * BUCKETS)  # so that the same early parts are not told again and again
        differing = [
            number
            for number in chain(range(start, BUCKETS), range(start))
            if own[number * size : (number + 1) * size] != request.digests[number * size : (number + 1) * size]
        ]
        about = beliefs.about(sender_id, request.own.incarnation)
        if differing or about is not None:
            answer = self._answer(differing, about)
            effects.append(Send(sender, answer))

    def on_answer(self, sender: PeerAddress, answer: SyncAnswer, now_s: float, effects: list[Effect]) -> None:
        beliefs = self._beliefs
        if self._asked.pop(sender.endpoint_id, self) is not None:
            return  # unasked
        told = {rumour.endpoint_id: rumour for rumour in answer.rumours}
        before = len(beliefs.group.members)
        about = beliefs.about(sender.endpoint_id, answer.incarnation)
        missing = ([] if about is None else [about]) + self._missing(answer.buckets, told)
        beliefs.hear(answer.rumours, sender.endpoint_id, now_s, effects, is_asked=True)
        if missing:
            effects.append(Send(sender, Gossip(beliefs.own.incarnation, tuple(_fitting(missing)))))
        if answer.has_more and self._pieces_left > 0 and len(beliefs.group.members) > before:
            self._pieces_left -= 1
            for record in beliefs.group.sample(1, {sender.endpoint_id}) or [Alive(sender, 0)]:
                self.ask(record.contact, effects)

    def _answer(self, differing: list[int], about: Rumour | None) -> SyncAnswer:
        rumours: list[Rumour] = [] if about is None else [about]
        size_bytes = 0
        told: list[int] = []
        records_of = self._records(differing)
        for number in differing:
            records = records_of[number]
            records_bytes = sum(rumour.size_bytes for rumour in records)
            if size_bytes + records_bytes > PIECE_BYTES_MAX or len(rumours) + len(records) > RUMOURS_MAX:
                if not told:  # a part that is larger than a piece: a different random piece of it each time
                    self._rng.shuffle(records)
                    rumours += _fitting(records)
                break
            rumours += records
            size_bytes += records_bytes
            told.append(number)
        own = self._beliefs.own.incarnation
        return SyncAnswer(own, bytes(told), tuple(rumours), len(told) < len(differing))

    def _records(self, numbers: Iterable[int]) -> dict[int, list[Rumour]]:
        """Everything that we know of these parts, by part."""
        beliefs = self._beliefs
        records: dict[int, list[Rumour]] = {number: [] for number in numbers}
        if not records:
            return records
        for endpoint_id, record in chain(beliefs.group.members.items(), ((beliefs.own.endpoint_id, beliefs.own),)):
            of_part = records.get(bucket_of(endpoint_id))
            if of_part is not None:
                of_part.append(record)
        for endpoint_id, suspicion in beliefs.suspicions.items():
            of_part = records.get(bucket_of(endpoint_id))
            if of_part is not None:
                of_part.append(Suspect(endpoint_id, suspicion.incarnation, suspicion.accuser))
        for endpoint_id, tombstone in beliefs.group.tombstones.items():
            of_part = records.get(bucket_of(endpoint_id))
            if of_part is not None:
                of_part.append(_epitaph(tombstone))
        return records

    def _missing(self, buckets: bytes, told: dict[bytes, Rumour]) -> list[Rumour]:
        """Our records of these parts that the other lacks, or has older."""
        missing: list[Rumour] = []
        for records in self._records(buckets).values():
            for record in records:
                other = told.get(record.endpoint_id)
                if other is None or (isinstance(other, Alive) and other.incarnation < record.incarnation):
                    missing.append(record)
        return missing


def _packed(beliefs: "Beliefs") -> bytes:
    """Digests as they travel: big-endian whatever the machine."""
    digests = array("Q", beliefs.group.digests)
    if byteorder == "little":
        digests.byteswap()
    return digests.tobytes()


def _epitaph(tombstone: "Tombstone") -> Rumour:
    """A death is told as a suspicion here: two halves of a broken network must not bury each other when they meet."""
    endpoint_id = tombstone.record.contact.endpoint_id
    if tombstone.is_left:
        return Left(endpoint_id, tombstone.incarnation)
    return Suspect(endpoint_id, tombstone.incarnation, tombstone.accuser)


def _fitting(records: list[Rumour]) -> list[Rumour]:
    """As many of them as a piece may have."""
    size_bytes = 0
    for count, record in enumerate(records[:RUMOURS_MAX]):
        size_bytes += record.size_bytes
        if size_bytes > PIECE_BYTES_MAX:
            return records[:count]
    return records[:RUMOURS_MAX]
