"""The routing table: whom this node knows, many who are near its own id and ever fewer farther away.

What it does. Bucket i holds up to k contacts at a distance of 2^i to 2^(i+1) - 1, in the order in which they were last
heard; whoever has been there for long and still answers stays, since it will probably stay on (Kademlia, IPTPS 2002,
sections 2.1, 2.2). The closest `siblings_max` contacts of all are kept even where their bucket is full: whoever is
responsible for the keys around us is known to us (S/Kademlia, ICPADS 2007, section 4.2). A stranger that finds its
bucket full waits among the spares until a place is free.

Goals: nobody gets in without having answered a request of ours, nobody is put out while it answers, no machine and no
network fills a bucket or the table (crowding.py); at most `contacts_max` contacts and `spares_max` spares.
Non-goals: it neither pings nor waits. It says who should be asked; the machine asks and tells what came of it.

Invariants, checked in tests: a contact is in exactly the bucket of its distance; the siblings are the closest
contacts, in order; of contacts that are not siblings a bucket has at most k; the counts of groups are those of the
contacts; the node itself is not in it.
"""

from bisect import insort
from collections.abc import Iterable, Iterator
from typing import Literal

from nearcast.overlay.density import nodes_estimated
from nearcast.overlay.kademlia.address_groups import groups_of_all
from nearcast.overlay.kademlia.crowding import Crowding, Groups
from nearcast.overlay.kademlia.keys import node_id
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.spares import Spares
from nearcast.transport.base import PeerAddress

Place = Literal["free", "full", "known", "refused"]
"""What a stranger finds. "refused": it is ourselves, or there are too many of its network."""


class Contact:
    """Somebody in the table. `heard_s`: when it last proved to be alive. `failures`: in a row."""

    __slots__ = ("address", "bucket", "failures", "groups", "heard_s", "node_id", "part")

    def __init__(
        self, address: PeerAddress, number: int, bucket: int, part: int, groups: Groups, heard_s: float
    ) -> None:
        self.address = address
        self.node_id = number
        self.bucket = bucket
        self.part = part  # of the bucket
        self.groups = groups
        self.heard_s = heard_s
        self.failures = 0


class Table:
    """The contacts of one node. `is_lan`: contacts without a public address are as good as any."""

    def __init__(self, own_id: bytes, settings: KademliaSettings, *, is_lan: bool) -> None:
        self.own_node_id = node_id(own_id)
        self.crowding = Crowding(settings, is_lan=is_lan)
        self.spares = Spares(settings.spares_per_bucket_max, settings.spares_max)
        self._settings = settings
        self._contacts: dict[bytes, Contact] = {}
        self._buckets: dict[int, dict[bytes, Contact]] = {}  # by distance; each in the order of hearing
        self._siblings: list[tuple[int, bytes]] = []  # (distance, endpoint id), ascending

    def __len__(self) -> int:
        return len(self._contacts)

    def get(self, endpoint_id: bytes) -> Contact | None:
        return self._contacts.get(endpoint_id)

    def contacts(self) -> Iterator[Contact]:
        """All of them, bucket by bucket, the nearest bucket first."""
        for index in sorted(self._buckets):
            yield from self._buckets[index].values()

    def bucket_sizes(self) -> dict[int, int]:
        """How many contacts in each bucket that has any, the nearest first."""
        return {index: len(self._buckets[index]) for index in sorted(self._buckets)}

    def bucket_of(self, endpoint_id: bytes) -> int:
        """The bucket where a peer is or would be; -1 for ourselves."""
        return (node_id(endpoint_id) ^ self.own_node_id).bit_length() - 1

    def bucket_size(self, index: int) -> int:
        return len(self._buckets.get(index, ()))

    def sibling_distances(self) -> list[int]:
        """From our own id, ascending."""
        return [distance for distance, _ in self._siblings]

    def nodes_estimated(self) -> float:
        """How many nodes the network has, from how close the closest ones are."""
        k = self._settings.bucket_contacts_max
        return nodes_estimated(self.sibling_distances()[:k], is_all=len(self) < k)

    def heard(self, endpoint_id: bytes, now_s: float) -> bool:
        """A contact of ours said something. False when it is none.

        What it failed to answer is not forgiven by that: only its answer to a request does (`add`).
        """
        contact = self._contacts.get(endpoint_id)
        if contact is None:
            return False
        contact.heard_s = now_s
        bucket = self._buckets[contact.bucket]
        del bucket[endpoint_id]
        bucket[endpoint_id] = contact
        return True

    def place_for(self, address: PeerAddress) -> Place:
        """Whether a peer would get in once it has proven to be alive."""
        if address.endpoint_id in self._contacts:
            return "known"
        return self._place(node_id(address.endpoint_id) ^ self.own_node_id, groups_of_all(address.addresses))

    def offer(self, address: PeerAddress) -> Place:
        """A stranger was heard: what it finds; where its bucket is full it becomes a spare."""
        place = self.place_for(address)
        if place == "full":
            self.spares.add(self.bucket_of(address.endpoint_id), address)
        return place

    def add(self, address: PeerAddress, now_s: float) -> Place:
        """A peer has answered a request of ours: it is in the table afterwards if the answer is "free" or "known"."""
        endpoint_id = address.endpoint_id
        known = self._contacts.get(endpoint_id)
        if known is not None:
            self.heard(endpoint_id, now_s)
            known.failures = 0
            self._readdress(known, address)
            return "known"
        number = node_id(endpoint_id)
        distance = number ^ self.own_node_id
        groups = groups_of_all(address.addresses)
        place = self._place(distance, groups)
        index = distance.bit_length() - 1
        if place == "full":
            self.spares.add(index, address)
        if place != "free":
            return place
        self.spares.forget(index, endpoint_id)
        contact = Contact(address, number, index, self._part(distance), groups, now_s)
        self._contacts[endpoint_id] = contact
        self._buckets.setdefault(index, {})[endpoint_id] = contact
        self.crowding.joined(groups)
        self._join_siblings(distance, endpoint_id)
        if len(self._contacts) > self._settings.contacts_max:
            self._trim()
        return "free"

    def remove(self, endpoint_id: bytes) -> PeerAddress | None:
        """Put a contact out. A spare that could take its place, if there is one: it has to prove to be alive first."""
        contact = self._contacts.get(endpoint_id)
        if contact is None:
            return None
        self._drop(contact)
        return self.spares.take(contact.bucket)

    def stalest(self) -> Contact | None:
        """The contact heard least recently of all."""
        heads = (next(iter(bucket.values())) for bucket in self._buckets.values())
        return min(heads, key=lambda contact: contact.heard_s, default=None)

    def stalest_beside(self, endpoint_id: bytes) -> Contact | None:
        """The contact heard least recently in the bucket where this peer would be."""
        bucket = self._buckets.get(self.bucket_of(endpoint_id))
        return next(iter(bucket.values())) if bucket else None

    def closest(self, target: int, count: int) -> list[Contact]:
        """The `count` closest contacts to `target`, the closest first.

        Let d be the target's distance from ourselves. In bucket j distances from us begin with bit j; from the target
        they are d with bit j turned and lower bits at will. So the closest are those of the buckets of d's ones, the
        highest first, then of its zeros, the lowest first; and bucket after bucket is sorted until there are enough.
        """
        from_us = target ^ self.own_node_id
        nearest_first = sorted(self._buckets)
        ones = [index for index in reversed(nearest_first) if from_us >> index & 1]
        found: list[Contact] = []
        for index in ones + [index for index in nearest_first if not from_us >> index & 1]:
            found += sorted(self._buckets[index].values(), key=lambda contact: contact.node_id ^ target)
            if len(found) >= count:
                break
        del found[count:]
        return found

    def _place(self, distance: int, groups: Groups) -> Place:
        if distance == 0:
            return "refused"
        bucket = self._buckets.get(distance.bit_length() - 1)
        if not self.crowding.admits(groups, bucket.values() if bucket else ()):
            return "refused"  # not even a spare: a network that fills a bucket would fill its spares as well
        if bucket is None or self._would_be_sibling(distance):
            return "free"
        if len(bucket) >= self._settings.bucket_contacts_max:
            return "full"
        return "refused" if self._is_part_full(bucket.values(), distance) else "free"

    def _is_part_full(self, contacts: Iterable[Contact], distance: int) -> bool:
        """Whether as many of these contacts as may be are in the same part of a bucket as `distance`."""
        same = [contact.part for contact in contacts].count(self._part(distance))
        return same >= self._settings.same_part_per_bucket_max

    def _part(self, distance: int) -> int:
        """The first bits of a distance: in which part of its bucket it is."""
        return distance >> max(distance.bit_length() - 1 - self._settings.part_bits, 0)

    def _would_be_sibling(self, distance: int) -> bool:
        siblings = self._siblings
        return len(siblings) < self._settings.siblings_max or distance < siblings[-1][0]

    def _join_siblings(self, distance: int, endpoint_id: bytes) -> None:
        if not self._would_be_sibling(distance):
            return
        insort(self._siblings, (distance, endpoint_id))
        if len(self._siblings) > self._settings.siblings_max:
            distance, fallen_id = self._siblings.pop()
            fallen = self._contacts[fallen_id]
            others = [contact for contact in self._strangers(fallen.bucket) if contact is not fallen]
            if len(others) >= self._settings.bucket_contacts_max or self._is_part_full(others, distance):
                self._drop(fallen)

    def _strangers(self, index: int) -> list[Contact]:
        """The contacts of a bucket that are not siblings, heard least recently first."""
        bucket = self._buckets[index]
        reach = self._siblings[-1][0] if self._siblings else -1
        return [contact for contact in bucket.values() if contact.node_id ^ self.own_node_id > reach]

    def _drop(self, contact: Contact) -> None:
        endpoint_id = contact.address.endpoint_id
        del self._contacts[endpoint_id]
        bucket = self._buckets[contact.bucket]
        del bucket[endpoint_id]
        if not bucket:
            del self._buckets[contact.bucket]
        self.crowding.left(contact.groups)
        distance = contact.node_id ^ self.own_node_id
        if self._siblings and distance <= self._siblings[-1][0]:
            self._siblings.remove((distance, endpoint_id))
            self._refill_siblings()

    def _refill_siblings(self) -> None:
        """A sibling has gone: the closest of the others becomes one."""
        for index in sorted(self._buckets):
            beyond = self._strangers(index)
            if beyond:
                closest = min(beyond, key=lambda contact: contact.node_id ^ self.own_node_id)
                self._siblings.append((closest.node_id ^ self.own_node_id, closest.address.endpoint_id))
                return

    def _readdress(self, contact: Contact, address: PeerAddress) -> None:
        """It says where it is now. If that place is crowded, the old one stands until it fails."""
        if address is contact.address or address == contact.address or not (address.addresses or address.relay_url):
            return
        groups = groups_of_all(address.addresses)
        if groups != contact.groups:
            bucket = self._buckets[contact.bucket].values()
            self.crowding.left(contact.groups)
            if not self.crowding.admits(groups, [other for other in bucket if other is not contact]):
                self.crowding.joined(contact.groups)
                return
            self.crowding.joined(groups)
            contact.groups = groups
        contact.address = address

    def _trim(self) -> None:
        """Too many in all (a crowd around our own id): of the fullest bucket the one heard least recently goes."""
        strangers = [self._strangers(index) for index in sorted(self._buckets)]
        self._drop(max(strangers, key=len)[0])
