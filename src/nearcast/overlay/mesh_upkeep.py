"""How one protocol's findings help the others: getting in, staying in, watching the right nodes, knowing where we are.

One timer for all of it, quick while the node is alone, slow once it is in. `Upkeep` decides; the protocols act.

- Alone: knock at a few doors (bootstrap.py) with a probe each. Whoever answers is the door to the hash table and to
  gossip; dead contacts never get into either.
- In: the region's topic is joined through announced nodes of the region, the detector's group through those of our
  cell (cells.py). Lost contacts are knocked at now and then. Somebody far away is measured.
"""

from collections.abc import Callable

from nearcast.overlay.gossip.announcement import Announcement, NodeFacts
from nearcast.overlay.gossip.topics import GLOBAL_TOPIC
from nearcast.overlay.machine import Arm, Effect, Tell
from nearcast.overlay.measuring import Echo, Measuring, Sample
from nearcast.overlay.mesh_events import Alone, Entered, MeshTimer
from nearcast.overlay.parts import Parts
from nearcast.transport.base import PeerAddress

TICK = MeshTimer()
GROWTH = 1.5  # of the pause between knocks; guess
REGION_DOORS_MAX = 8  # announced nodes of our region that are asked for a link at once; guess
ANNOUNCED_MAX = 64  # of one snapshot, while the hash table knows hardly anybody; guess: more than it has room for then
REGION_PAUSE_S = 5.0  # until others are asked; guess: an answer is here by then, or will not come
GROWN = 2.0  # times as many nodes: half of the records are not where they are looked for any more
UNDERRATED = 2.0  # times as many nodes as announcements tell of: more than both estimates err. Guess
GROUP_SEEDS_MAX = 3  # members of our cell that are asked for the group's table; guess, one may be gone


class Upkeep:
    """Of one node. Methods append effects to `out`."""

    __slots__ = (
        "_alone_s",
        "_announced",
        "_arranged_s",
        "_entrances",
        "_facts",
        "_far_probe_s",
        "_group_found",
        "_lost_knock_s",
        "_measuring",
        "_nodes_published",
        "_parts",
        "_pause_s",
        "_region_asked_s",
        "_region_found",
        "_resized_s",
        "_unmet_knock_s",
        "_warm_probes",
        "entered_s",
    )

    def __init__(self, parts: Parts, facts: Callable[[], NodeFacts]) -> None:
        self._parts = parts
        self._facts = facts
        self._measuring = Measuring()
        self._pause_s = parts.settings.knock_s
        self._warm_probes = parts.settings.warm_probes
        self._alone_s = 0.0  # since when we are
        self.entered_s: float | None = None  # since when we are not
        self._entrances = 0  # doors gone through since the last tick
        self._announced: list[PeerAddress] = []  # while the hash table knows hardly anybody
        self._region_found: list[PeerAddress] = []  # of our region, while we have no neighbour there
        self._group_found: list[PeerAddress] = []  # of our cell, while we have no group
        self._region_asked_s = self._lost_knock_s = self._far_probe_s = float("-inf")
        self._arranged_s = self._resized_s = self._unmet_knock_s = float("-inf")
        self._nodes_published = 1.0

    def start(self, now_s: float, out: list[Effect]) -> None:
        """Alone, so far."""
        self._alone_s = now_s
        self.say(now_s)
        out.append(Arm(self._parts.settings.knock_s * (0.5 + self._parts.rng.random()), TICK))

    def say(self, now_s: float) -> None:
        """What is announced of us, as it is now."""
        if not self._parts.is_client:
            facts = self._facts()
            coordinate = self._parts.locating.encoded()
            self._parts.gossip.announce(
                NodeFacts(facts.price_per_gib, facts.load_permille, facts.mbps, coordinate, self._parts.region)
            )
            self._parts.detector.coordinate = coordinate

    def tick(self, now_s: float, out: list[Effect]) -> None:
        """See how we are doing."""
        parts, settings = self._parts, self._parts.settings
        self._entrances = 0
        if parts.is_member():
            self.look(now_s, out)
            self._look_after(now_s, out)
            pause_s = settings.tick_s
        else:
            if self.entered_s is not None:
                self._lost_everybody(now_s, out)
            self.knock(now_s, out)
            pause_s = self._pause_s
            self._pause_s = min(self._pause_s * GROWTH, settings.knock_s_max)
        out.append(Arm(pause_s * (0.9 + 0.2 * parts.rng.random()), TICK))

    # -- getting in ----------------------------------------------------------------------------------------------

    def knock(self, now_s: float, out: list[Effect]) -> None:
        """Ask at a few doors, unless we are in."""
        parts = self._parts
        if not parts.is_member():
            doors = parts.doors.knock(parts.settings.doors, now_s)
            out += [self._measuring.ask(door, now_s, is_reliable=True) for door in doors]

    def echoed(self, sender: PeerAddress, echo: Echo, now_s: float, out: list[Effect]) -> None:
        """Somebody we asked is there."""
        parts = self._parts
        answer = self._measuring.answered(sender, echo, now_s)
        if answer is None:
            return
        if isinstance(answer, Sample):
            self.measured(answer.peer, answer.rtt_s, answer.coordinate, now_s)
            return
        out.append(answer)
        parts.doors.answered(sender.endpoint_id)
        is_back = parts.doors.is_lost(sender.endpoint_id)
        if is_back:
            parts.doors.remember(sender)
        is_member = parts.is_member()
        is_unmet = is_member and parts.doors.is_unmet(sender.endpoint_id)
        if is_back or is_unmet or (self._entrances < parts.settings.entrances and not is_member):
            self._entrances += 1
            parts.doors.met(sender.endpoint_id)
            out += parts.kademlia.join([sender], now_s)
            said = parts.gossip.announcement(sender.endpoint_id, now_s)
            is_of_region = is_back and (said is None or said.facts.region == parts.region)
            out += parts.gossip.join([sender], now_s, None if is_of_region else GLOBAL_TOPIC)

    def way_in(self, now_s: float) -> list[Effect]:
        """Somebody wants to look for a thing while the hash table knows nobody: it may go by doors not yet opened."""
        parts = self._parts
        if len(parts.kademlia.table):
            return []
        return list(parts.kademlia.join(parts.doors.any(parts.settings.doors), now_s))

    def look(self, now_s: float, out: list[Effect]) -> None:
        """There is a neighbour, or the neighbourhood is known: we may be in."""
        if self.entered_s is None and self._parts.is_member():
            self._entered(now_s, out)

    def slow_down(self, now_s: float) -> None:
        """The hash table knows at once how many nodes there are; who has only heard a few announce themselves does not,
        and a crowd of such newcomers would speak all at the same time."""
        parts = self._parts
        nodes = parts.nodes()
        per_s_max = parts.settings.gossip.announcing.per_s_max
        for topic in parts.gossip.topics:
            pace = parts.gossip.member(topic).pace
            expected = nodes if topic == GLOBAL_TOPIC else nodes * parts.region_share(now_s)
            if expected > UNDERRATED * pace.nodes():
                pace.start_from(expected / per_s_max, pace.is_crowded, now_s)

    def _entered(self, now_s: float, out: list[Effect]) -> None:
        self.entered_s = now_s
        self._pause_s = self._parts.settings.knock_s
        out.append(Tell(Entered(now_s - self._alone_s)))

    def _lost_everybody(self, now_s: float, out: list[Effect]) -> None:
        self.entered_s = None
        self._alone_s = now_s
        out.append(Tell(Alone()))

    # -- what announcements say ----------------------------------------------------------------------------------

    def announced(self, announcement: Announcement, now_s: float) -> None:
        """A node said where it is: it may be of our region, and of our cell."""
        parts = self._parts
        contact = announcement.contact
        if parts.kademlia.is_sparse and len(self._announced) < ANNOUNCED_MAX:
            self._announced.append(contact)
        if announcement.facts.region != parts.region or parts.is_client or contact.endpoint_id == parts.own.endpoint_id:
            return
        has_link = parts.region_topic is None or parts.has_neighbours(parts.region_topic)
        if not has_link and len(self._region_found) < REGION_DOORS_MAX:
            self._region_found.append(contact)
        is_ours = len(self._group_found) < REGION_DOORS_MAX and parts.cell.admits(contact.endpoint_id)
        if is_ours and parts.detector.state_of(contact.endpoint_id) not in ("alive", "suspect"):
            self._group_found.append(contact)

    def use_found(self, now_s: float, out: list[Effect]) -> None:
        """Nodes of our region and of our cell were announced: make use of them."""
        parts = self._parts
        for contact in self._announced:
            out += parts.kademlia.heard_of(contact, now_s)
        self._announced.clear()
        if self._region_found and now_s - self._region_asked_s > REGION_PAUSE_S:
            self._region_asked_s = now_s
            out += parts.gossip.join(self._region_found, now_s, parts.region_topic)
            self._region_found = []
        if self._group_found:
            found, self._group_found = self._group_found, []
            known = [contact for contact in found if parts.detector.state_of(contact.endpoint_id) == "unknown"]
            back = [contact for contact in found if contact not in known]
            if back or not parts.detector.members():
                out += parts.detector.join((back + known)[:GROUP_SEEDS_MAX], now_s)
            out += parts.detector.know(known, now_s)

    # -- staying in ----------------------------------------------------------------------------------------------

    def _look_after(self, now_s: float, out: list[Effect]) -> None:
        parts, settings = self._parts, self._parts.settings
        self.say(now_s)
        self._remember()
        if parts.doors.lost_count and now_s - self._lost_knock_s > settings.lost_knock_s:
            self._lost_knock_s = now_s
            lost = parts.doors.one_lost()
            if lost is not None:
                out.append(self._measuring.ask(lost, now_s, is_reliable=True))
        self._meet_seeds(now_s, out)
        if parts.region_topic is not None and not parts.has_neighbours(parts.region_topic):
            self._find_region(now_s, out)
        self._measure(now_s, out)
        if now_s - self._resized_s > settings.resize_s:
            self._resized_s = now_s
            self.slow_down(now_s)
            self._publish_anew(now_s, out)
            self._resize(now_s, out)

    def _meet_seeds(self, now_s: float, out: list[Effect]) -> None:
        """They may be on another island: one at a time, at each look soon after we are in, then as the lost are."""
        parts, settings = self._parts, self._parts.settings
        is_fresh = self.entered_s is not None and now_s - self.entered_s < settings.settling_s
        if is_fresh or now_s - self._unmet_knock_s > settings.lost_knock_s:
            self._unmet_knock_s = now_s
            seed = parts.doors.unmet(parts.is_inside, now_s)
            if seed is not None:
                out.append(self._measuring.ask(seed, now_s, is_reliable=True))

    def _publish_anew(self, now_s: float, out: list[Effect]) -> None:
        """There are far more nodes than when we published: those who should keep our records are others now."""
        parts = self._parts
        nodes = parts.nodes()
        if nodes > GROWN * self._nodes_published:
            self._nodes_published = nodes
            out += parts.kademlia.publish_anew(now_s)

    def _resize(self, now_s: float, out: list[Effect]) -> None:
        """Our cell may have become smaller: who is not in it is not watched any more, who is announced in it is."""
        parts = self._parts
        bits = parts.cell.bits
        parts.cell.resize(parts.region_nodes())
        if parts.cell.bits > bits:
            members = [member.endpoint_id for member in parts.detector.members()]
            parts.detector.forget([member for member in members if not parts.cell.admits(member)])
            for announcement in parts.gossip.announcements(now_s):
                self.announced(announcement, now_s)
            self.use_found(now_s, out)

    def _remember(self) -> None:
        """Some who are alive: a neighbour of each topic, and one of those that the detector watches."""
        parts, rng = self._parts, self._parts.rng
        known = [list(parts.gossip.member(topic).membership.active.values()) for topic in parts.gossip.topics]
        for contacts in (*known, parts.detector.members()):
            if contacts:
                parts.doors.remember(rng.choice(contacts))

    def _find_region(self, now_s: float, out: list[Effect]) -> None:
        """No neighbour in our region: those that are announced there are asked, as far as we know any."""
        parts = self._parts
        own_id, region = parts.own.endpoint_id, parts.region
        known = [
            announcement.contact
            for announcement in parts.gossip.announcements(now_s)
            if announcement.facts.region == region and announcement.contact.endpoint_id != own_id
        ]
        if known and now_s - self._region_asked_s > REGION_PAUSE_S:
            self._region_asked_s = now_s
            chosen = parts.rng.sample(known, min(len(known), REGION_DOORS_MAX))
            out += parts.gossip.join(chosen, now_s, parts.region_topic)

    # -- where we are --------------------------------------------------------------------------------------------

    def measured(self, peer: PeerAddress, rtt_s: float, coordinate: bytes | None, now_s: float) -> None:
        """One round trip, whoever measured it."""
        parts = self._parts
        heard = parts.heard.measured(peer, rtt_s, now_s)
        if not parts.locating.is_settled or now_s - heard.sampled_s >= parts.settings.settled_sample_s:
            heard.sampled_s = now_s
            parts.locating.sample(peer.endpoint_id, rtt_s, coordinate, now_s)

    def _measure(self, now_s: float, out: list[Effect]) -> None:
        """Elect landmarks now and then; soon after joining ask somebody at each tick, later seldom."""
        parts, settings = self._parts, self._parts.settings
        is_warming = self._warm_probes > 0
        if now_s - self._arranged_s > (settings.arrange_s if not is_warming else settings.resize_s):
            self._arranged_s = now_s
            parts.locating.arrange(parts.gossip.announcements(now_s))
        if is_warming or now_s - self._far_probe_s > settings.far_probe_s:
            wanted = parts.locating.next_wanted()
            if wanted is not None and wanted.endpoint_id != parts.own.endpoint_id:
                self._warm_probes -= is_warming
                self._far_probe_s = now_s
                out.append(self._measuring.ask(wanted, now_s))
