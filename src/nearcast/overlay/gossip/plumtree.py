"""Plumtree: a broadcast costs one payload per member, because it runs along a tree that the broadcasts themselves find.

Leitão, Pereira, Rodrigues, "Epidemic Broadcast Trees", SRDS 2007.

Every link between neighbours is eager or lazy. Payloads go at once over eager ones; a payload that one has already
makes its link lazy (prune). Over lazy links goes only the id, some time later; who is told of an id and does not get
the payload grafts the link: it is eager again, and the tree is whole.

Beyond the paper, to say less:
- Ids gather for `have_batch_s` and go together.
- Over a lazy link only one end speaks: the one with the lower id after one batch, the other one batch later, and not at
  all of what it has been told by then. Who was told of an id knows that the teller has it.
- One id in eight, another one on each link, waits for company: it goes with the next id, or in a hurry.

And to lose less:
- A new neighbour is told the ids of the last minute, so a member that was cut off while something went round gets it.
- For a while after the failure of a neighbour in the tree everything waits for a shorter time.
- Who announces and does not deliver, again and again, is reported and shunned.

Goals: payloads per member near 1, control messages per broadcast at most half of the paper's, every member reached.
Non-goals: order; delivery to a member that was away for longer than payloads are kept.
Invariants: every table is bounded; each id is delivered at most once while it is remembered; a link is never eager to
somebody who is no neighbour.
"""

from dataclasses import dataclass, field

from nearcast.overlay.gossip.events import FlushDue, MissingDue
from nearcast.overlay.gossip.messages import IDS_MAX, ROUND_MAX, Graft, Have, Prune, Push
from nearcast.overlay.gossip.seen import SeenIds
from nearcast.overlay.gossip.settings import TreeSettings
from nearcast.overlay.machine import Arm, Effect, Send
from nearcast.transport.base import PeerAddress

TIMER_SLACK_S = 0.001  # a timer may ring a rounding error early
PATIENT_ONE_IN = 8  # single broadcasts cost less than half of the paper's control messages; measured
QUEUE_MAX = 4 * IDS_MAX  # ids waiting on one link; the oldest are not announced any more


class Link:
    """What we know of one neighbour in this topic."""

    __slots__ = (
        "broken_promises",
        "is_due",
        "is_eager",
        "is_listener",
        "late",
        "missing",
        "peer",
        "queue",
        "salt",
        "speaks_first",
    )

    def __init__(self, peer: PeerAddress, *, is_listener: bool, speaks_first: bool, salt: int) -> None:
        self.peer = peer
        self.is_eager = True
        self.is_listener = is_listener
        self.speaks_first = speaks_first
        self.salt = salt  # the same at both ends: which ids wait for company here
        self.is_due = False  # whether something in the queue does not
        self.queue: dict[bytes, int] = {}  # to be announced: id and round
        self.late: dict[bytes, int] = {}  # the same, one batch older: for the end that speaks second
        self.missing = 0  # ids that it announced and that have not come
        self.broken_promises = 0


@dataclass(slots=True)
class Recent:
    """A payload, kept for grafts."""

    payload: bytes
    round: int
    parent_id: bytes
    at_s: float


@dataclass(slots=True)
class Missing:
    """An id that was announced: by whom (round each), who was asked, when to ask the next."""

    due_s: float
    announcers: dict[bytes, int] = field(default_factory=dict)
    asked_id: bytes | None = None


class Tree:
    """One peer's part in the tree of one topic."""

    __slots__ = (
        "_flush_due",
        "_hurry_until_s",
        "_is_flush_armed",
        "_is_leaf",
        "_missing",
        "_missing_armed_s",
        "_missing_due",
        "_optimise_s",
        "_own_id",
        "_prune",
        "_recent",
        "_settings",
        "_topic",
        "links",
        "seen",
        "suspects",
    )

    def __init__(self, topic: str, own_id: bytes, settings: TreeSettings, seen: SeenIds, *, is_leaf: bool) -> None:
        self.links: dict[bytes, Link] = {}
        self.seen = seen
        self.suspects: list[bytes] = []  # who broke too many promises: whoever runs us takes them out
        self._topic = topic
        self._own_id = own_id
        self._settings = settings
        self._is_leaf = is_leaf  # a client: it neither pushes nor announces
        self._recent: dict[bytes, Recent] = {}
        self._missing: dict[bytes, Missing] = {}
        self._missing_armed_s: float | None = None
        self._is_flush_armed = False
        self._hurry_until_s = 0.0
        self._optimise_s = 0.0
        self._prune, self._flush_due, self._missing_due = Prune(topic), FlushDue(topic), MissingDue(topic)

    @property
    def depth(self) -> int:
        """The most hops that a payload has come lately."""
        return max((recent.round for recent in self._recent.values()), default=0)

    @property
    def kept(self) -> int:
        """How many payloads are kept for grafts."""
        return len(self._recent)

    @property
    def missing(self) -> int:
        """How many ids were announced that have not come."""
        return len(self._missing)

    # Neighbours.

    def link_up(self, peer: PeerAddress, *, is_listener: bool, is_new: bool, now_s: float, out: list[Effect]) -> None:
        """A neighbour or a listener: eager until a duplicate proves it superfluous; told of what went round lately,
        unless it `is_new` and gets a snapshot."""
        speaks_first = is_listener or self._own_id < peer.endpoint_id
        salt = self._own_id[0] ^ peer.endpoint_id[0]
        link = Link(peer, is_listener=is_listener, speaks_first=speaks_first, salt=salt)
        self.links[peer.endpoint_id] = link
        if is_new or self._is_leaf:
            return
        for message_id, recent in self._recent.items():
            if now_s - recent.at_s <= self._settings.told_again_s:
                link.queue[message_id] = recent.round + 1
        if link.queue:
            link.is_due = True
            self._arm_flush(now_s, out)

    def link_down(self, endpoint_id: bytes, now_s: float, out: list[Effect], *, is_lost: bool) -> None:
        """Gone. If it was our part of the tree we graft another link when no eager one is left. We hurry when it was
        lost; who parts from us leaves another neighbour, and parting is what a growing network does all the time."""
        link = self.links.pop(endpoint_id, None)
        if link is None:
            return
        if link.is_eager and not link.is_listener:
            if is_lost:
                self._hurry_until_s = now_s + self._settings.hurry_s
            for other in self.links.values():
                if other.is_eager and not other.is_listener:
                    return
            for other in self.links.values():
                if not other.is_listener:
                    other.is_eager = True
                    out.append(Send(other.peer, Graft(self._topic, ())))
                    return

    # Broadcasts.

    def publish(self, message_id: bytes, payload: bytes, now_s: float, out: list[Effect]) -> None:
        """Broadcast a payload of our own."""
        self._keep(message_id, payload, 0, self._own_id, now_s)
        self._spread(message_id, payload, 0, {}, self._own_id, now_s, out)

    def on_duplicate(self, link: Link, message_id: bytes, out: list[Effect]) -> None:
        """A payload that was here before: this link is not needed for the tree."""
        link.broken_promises = 0
        link.queue.pop(message_id, None)
        link.late.pop(message_id, None)
        if link.is_eager:
            link.is_eager = False
        out.append(Send(link.peer, self._prune))

    def on_new(self, link: Link, message_id: bytes, message: Push, now_s: float, out: list[Effect]) -> None:
        """A payload that was not here before, and is fit to be handed on."""
        link.broken_promises = 0
        link.is_eager = True
        missing = self._forget_missing(message_id)
        parent_id = link.peer.endpoint_id
        self._keep(message_id, message.payload, message.round, parent_id, now_s)
        told = missing.announcers if missing is not None else {}
        self._spread(message_id, message.payload, message.round, told, parent_id, now_s, out)
        for announcer_id, round_ in told.items():
            self._optimise(announcer_id, message_id, round_, now_s, out)

    def refuse(self, message_id: bytes, now_s: float) -> None:
        """Not fit to be handed on: never asked for, nor looked at, again."""
        self._forget_missing(message_id)
        self.seen.add(message_id, now_s)

    def on_have(self, link: Link, message: Have, now_s: float, out: list[Effect]) -> None:
        """A neighbour has these: what we lack is asked for when it does not come by itself."""
        seen, queue, late = self.seen, link.queue, link.late
        link_id = link.peer.endpoint_id
        may_optimise = not link.is_eager and now_s >= self._optimise_s
        for message_id, round_ in zip(message.ids, message.rounds, strict=True):
            if message_id in seen:
                if queue:
                    queue.pop(message_id, None)
                if late:
                    late.pop(message_id, None)
                if may_optimise:
                    self._optimise(link_id, message_id, round_, now_s, out)
                continue
            missing = self._missing.get(message_id)
            if missing is None:
                if len(self._missing) >= self._settings.missing_max or 4 * link.missing >= self._settings.missing_max:
                    continue
                wait_s = self._settings.missing_hurry_s if now_s < self._hurry_until_s else self._settings.missing_s
                missing = self._missing[message_id] = Missing(now_s + wait_s)
                self._arm_missing(missing.due_s, now_s, out)
            if link_id not in missing.announcers:
                missing.announcers[link_id] = round_
                link.missing += 1

    def on_graft(self, link: Link, message: Graft, out: list[Effect]) -> None:
        """Push to it again, and what it lacks at once."""
        link.is_eager = True
        for message_id in message.ids:
            recent = self._recent.get(message_id)
            if recent is not None:
                out.append(Send(link.peer, Push(self._topic, min(recent.round + 1, ROUND_MAX), recent.payload)))

    def on_prune(self, link: Link) -> None:
        """It has another way to get what we would push."""
        link.is_eager = False

    # Timers.

    def on_flush_due(self, now_s: float, out: list[Effect]) -> None:
        """Announce what gathered; the end that speaks second keeps it for one batch more."""
        self._is_flush_armed = False
        is_more = False
        for link in self.links.values():
            if link.late:
                self._announce(link.peer, link.late, out)
                link.late = {}
            if not link.is_due:
                continue
            link.is_due = False
            if link.speaks_first:
                self._announce(link.peer, link.queue, out)
            else:
                link.late = link.queue
                is_more = True
            link.queue = {}
        if is_more:
            self._arm_flush(now_s, out)

    def on_missing_due(self, now_s: float, out: list[Effect]) -> None:
        """Graft what has not come, from whoever announced it over the fewest hops and was not asked yet."""
        self._missing_armed_s = None
        grafts: dict[bytes, list[bytes]] = {}
        next_s: float | None = None
        for message_id, missing in list(self._missing.items()):
            if missing.due_s <= now_s + TIMER_SLACK_S and not self._ask_next(message_id, missing, now_s, grafts):
                continue
            next_s = missing.due_s if next_s is None else min(next_s, missing.due_s)
        for link_id, ids in grafts.items():
            link = self.links[link_id]
            link.is_eager = True
            batches = [tuple(ids[start : start + IDS_MAX]) for start in range(0, len(ids), IDS_MAX)]
            out.extend(Send(link.peer, Graft(self._topic, batch)) for batch in batches)
        if next_s is not None:
            self._arm_missing(next_s, now_s, out)

    # Details.

    def _ask_next(self, message_id: bytes, missing: Missing, now_s: float, grafts: dict[bytes, list[bytes]]) -> bool:
        """Put the next graft for this id into `grafts`; False when nobody is left to ask and the id is given up."""
        if missing.asked_id is not None:
            self._promise_broken(missing.asked_id)
            self._unannounce(missing, missing.asked_id)
        for announcer_id in list(missing.announcers):
            if announcer_id not in self.links:
                del missing.announcers[announcer_id]
        if not missing.announcers:
            del self._missing[message_id]
            return False
        missing.asked_id = min(missing.announcers, key=missing.announcers.__getitem__)
        missing.due_s = now_s + self._settings.missing_next_s
        grafts.setdefault(missing.asked_id, []).append(message_id)
        return True

    def _promise_broken(self, announcer_id: bytes) -> None:
        link = self.links.get(announcer_id)
        if link is not None:
            link.broken_promises += 1
            if link.broken_promises == self._settings.broken_promises_max:
                self.suspects.append(announcer_id)

    def _unannounce(self, missing: Missing, announcer_id: bytes) -> None:
        if missing.announcers.pop(announcer_id, None) is not None and announcer_id in self.links:
            self.links[announcer_id].missing -= 1

    def _forget_missing(self, message_id: bytes) -> Missing | None:
        missing = self._missing.pop(message_id, None)
        if missing is not None:
            for announcer_id in missing.announcers:
                link = self.links.get(announcer_id)
                if link is not None and link.missing > 0:
                    link.missing -= 1
        return missing

    def _keep(self, message_id: bytes, payload: bytes, round_: int, parent_id: bytes, now_s: float) -> None:
        recent = self._recent
        self.seen.add(message_id, now_s)
        recent[message_id] = Recent(payload, round_, parent_id, now_s)
        oldest_s = now_s - self._settings.recent_s
        while len(recent) > self._settings.recent_max or next(iter(recent.values())).at_s < oldest_s:
            del recent[next(iter(recent))]

    def _spread(
        self,
        message_id: bytes,
        payload: bytes,
        round_: int,
        told: dict[bytes, int],
        parent_id: bytes,
        now_s: float,
        out: list[Effect],
    ) -> None:
        """Push over eager links, queue for lazy ones; nothing for those who are known to have it."""
        if self._is_leaf:
            return
        round_ = min(round_ + 1, ROUND_MAX)
        push = Push(self._topic, round_, payload)
        is_queued = False
        is_patient = now_s >= self._hurry_until_s
        for link_id, link in self.links.items():
            if link_id == parent_id or link_id in told:
                continue
            if link.is_eager:
                out.append(Send(link.peer, push))
            else:
                queue = link.queue
                if len(queue) >= QUEUE_MAX:
                    del queue[next(iter(queue))]
                queue[message_id] = round_
                if not (is_patient and (message_id[0] ^ link.salt) % PATIENT_ONE_IN == 0):
                    link.is_due = is_queued = True
        if is_queued and not self._is_flush_armed:
            self._arm_flush(now_s, out)

    def _optimise(self, announcer_id: bytes, message_id: bytes, round_: int, now_s: float, out: list[Effect]) -> None:
        """Swap a lazy link for the eager one that this came by, if that is a much shorter way."""
        recent = self._recent.get(message_id)
        if recent is None or recent.round - round_ < self._settings.optimise_hops or now_s < self._optimise_s:
            return
        announcer, parent = self.links.get(announcer_id), self.links.get(recent.parent_id)
        if announcer is None or parent is None or announcer.is_eager or not parent.is_eager or announcer is parent:
            return
        self._optimise_s = now_s + self._settings.optimise_pause_s
        announcer.is_eager, parent.is_eager = True, False
        out.append(Send(announcer.peer, Graft(self._topic, ())))
        out.append(Send(parent.peer, Prune(self._topic)))

    def _announce(self, peer: PeerAddress, queue: dict[bytes, int], out: list[Effect]) -> None:
        recent = self._recent  # what is not there any more could not be sent
        known = {message_id: round_ for message_id, round_ in queue.items() if message_id in recent}
        ids, rounds = tuple(known), tuple(known.values())
        for start in range(0, len(ids), IDS_MAX):
            end = start + IDS_MAX
            out.append(Send(peer, Have(self._topic, ids[start:end], rounds[start:end])))

    def _arm_flush(self, now_s: float, out: list[Effect]) -> None:
        if not self._is_flush_armed:
            self._is_flush_armed = True
            settings = self._settings
            wait_s = settings.have_hurry_s if now_s < self._hurry_until_s else settings.have_batch_s
            out.append(Arm(wait_s, self._flush_due))

    def _arm_missing(self, due_s: float, now_s: float, out: list[Effect]) -> None:
        if self._missing_armed_s is None or due_s < self._missing_armed_s:
            self._missing_armed_s = due_s
            out.append(Arm(max(due_s - now_s, 0.0), self._missing_due))
