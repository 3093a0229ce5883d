"""What must hold in a simulated world at every step, whatever fails; the first thing that does not ends the run.

1   a reader gets the bytes that were published, and no others
2   nobody earns, or is promised, more than what arrived at its payer costs
3   what a payee delivered and was not paid for is within one window, and what it forgives within what it can bear
8   nobody sells what is on the blacklist, once it was there long enough to be read
10  what was acknowledged as kept is there after every crash
11  every table, queue, cache and credit is within its bound

Money is checked at the instant it moves (watching.py); bounds (bounds.py) by looking at whoever something has reached,
and at one node after the other. Bytes are those that the network carried, so that a node's own books are not asked
whether they are right.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from nearcast.errors import NearcastError
from nearcast.node.running import Node
from nearcast.overlay.link import QUEUE_BYTES_MAX
from nearcast.payments.credit import FORGIVEN_SHARE, PART_BITS, RESTS_UNITS, forgivable_parts, parts_of, window_bytes
from nearcast.payments.credit_line import CreditLine
from nearcast.payments.customer import Customer
from nearcast.sim.whole.bounds import Bound, glance, store_bounds
from nearcast.sim.whole.things import Thing

if TYPE_CHECKING:
    from nearcast.sim.whole.member import Member
    from nearcast.sim.whole.network import WorldNetwork

BLOCK_BYTES: Final = 1 << 20  # whoever owes nothing gets a block, whatever its window; unixfs-v1-2025's largest
LISTED_GRACE_S: Final = 60.0  # to read the list (a poll of 2 s, retries of an endpoint) and to end an answer; guess
LIAR_NODE_BYTES: Final = 4_096  # of a request to a liar: inner nodes, which it sends as they are; largest thing's
STEPS_PER_LOOK: Final = (
    16  # between looks at the bounds of one node and the next: asking a store costs more than a step
)


class BrokenError(NearcastError):
    """Something that must hold in every world does not: a bug. The seed brings it back."""


class Invariants:
    """`broken` has a sentence for each that does not hold. Members are told to `attend`."""

    def __init__(self, network: "WorldNetwork", size_bytes_max: int) -> None:
        self.broken: list[str] = []
        self.checks: Counter[str] = Counter()
        self.things: dict[str, Thing] = {}
        self._network = network
        self._members: dict[str, Member] = {}
        self._turns: list[Member] = []
        self._turn = 0
        self._reached = ""
        self._size_bytes_max = size_bytes_max
        self._by_wallet: dict[bytes, str] = {}
        self._requests: Counter[str] = Counter()  # answered, by node
        self._pairs: defaultdict[tuple[str, str], dict[bytes, int]] = defaultdict(
            dict
        )  # payee, payer: units by channel

    def attend(self, members: Mapping[str, "Member"]) -> None:
        """These are all."""
        self._members = dict(members)
        self._turns = list(self._members.values())
        wallets = {each.name: each.wallet for each in self._turns}
        self._by_wallet = {wallet.address: name for name, wallet in wallets.items() if wallet is not None}

    def check(self) -> None:
        """Raises BrokenError for the first thing that does not hold; looks at whoever has got something, and at the
        next node."""
        self._turn += 1
        self._look_at_who_was_reached()
        if self._turns and self._turn % STEPS_PER_LOOK == 0:
            member = self._turns[self._turn // STEPS_PER_LOOK % len(self._turns)]
            self._look_at(member, glance)
            self._look_at(member, lambda node: store_bounds(member, node, self._size_bytes_max))
        if self.broken:
            raise BrokenError(self.broken[0])

    def _break(self, number: int, told: str) -> None:
        self.broken.append(f"invariant {number}: {told}")

    # What the world reports.

    def handed_over(self, reader: str, thing: Thing, offset: int, data: bytes) -> None:
        """A reader got these bytes."""
        self.checks["handed over"] += 1
        if data != thing.data[offset : offset + len(data)]:
            self._break(1, f"{reader} was handed wrong bytes of {thing.root} at {offset}")

    def restarted(self, name: str, node: Node) -> None:
        """A node is up again: what it had acknowledged is there."""
        for thing in self.things.values():
            if name in thing.holders:
                self.checks["kept over a restart"] += 1
                try:
                    is_kept = node.store.read_file(thing.root, 0, len(thing.data)) == thing.data
                except NearcastError:
                    is_kept = False
                if not is_kept:
                    self._break(10, f"{name} has lost {thing.root}, which it had acknowledged")

    def answered(self, name: str) -> None:
        """A node has answered a request."""
        self._requests[name] += 1

    # What nodes do.

    def delivered(self, who: str, line: CreditLine, root: str, size_bytes: int, parts: int) -> None:
        """Of watching.Watcher."""
        self.checks["delivered"] += 1
        account, price = line.account, parts // max(1, size_bytes)
        window = window_bytes(account.paid_units, price, account.forgiven_parts)
        bound_parts = parts_of(max(window, BLOCK_BYTES), price) + (1 << PART_BITS)  # a rest below a unit does not count
        if account.unpaid_parts > bound_parts:
            over = (account.unpaid_parts - bound_parts) >> PART_BITS
            self._break(3, f"{who} delivered on credit {over} units more than its window")
        rests_parts = (RESTS_UNITS << PART_BITS) + (account.paid_units << PART_BITS) // FORGIVEN_SHARE
        if account.forgiven_parts > max(forgivable_parts(account.paid_units, price), rests_parts):
            self._break(3, f"{who} has forgiven {account.forgiven_parts >> PART_BITS} units, more than it can bear")
        if account.delivered_parts > account.capacity_units + 1 << PART_BITS:
            self._break(3, f"{who} delivered more than its payer's channel holds")
        self._check_listing(who, root)

    def _check_listing(self, who: str, root: str) -> None:
        thing, member = self.things.get(root), self._members[who]
        if thing is None or thing.listed_s is None:
            return
        now_s = member.ground.loop.time()
        if now_s - max(thing.listed_s, member.informed_since_s) > LISTED_GRACE_S:
            self._break(8, f"{who} sold {root}, which is on the blacklist for {now_s - thing.listed_s:.0f} s")

    def earned(self, who: str, customer: Customer) -> None:
        """Of watching.Watcher."""
        payer = self._by_wallet.get(customer.payer)
        if payer is not None:
            self._check_paid("has earned", who, payer, customer.channel_id, customer.account.paid_units)

    def promised(self, who: str, receiver: bytes, channel_id: bytes, units: int) -> None:
        """Of watching.Watcher."""
        payee = self._by_wallet.get(receiver)
        if payee is not None:
            self._check_paid("was promised", payee, who, channel_id, units)

    def _check_paid(self, did: str, payee: str, payer: str, channel_id: bytes, units: int) -> None:
        """Against what the network carried from one to the other, at the payee's price."""
        self.checks["paid"] += 1
        channels = self._pairs[payee, payer]
        channels[channel_id] = max(units, channels.get(channel_id, 0))
        member = self._members[payee]
        good_bytes = self._network.carried_bytes[payee, payer]
        if member.role == "liar":
            good_bytes = min(good_bytes, LIAR_NODE_BYTES * (1 + self._requests[payee]))
        bound_parts = parts_of(good_bytes, member.config.payments.price or 0)
        if sum(channels.values()) << PART_BITS > bound_parts:
            self._break(
                2, f"{payee} {did} {sum(channels.values())} units of {payer} for {good_bytes} bytes that can be right"
            )

    # Bounds.

    def queued(self, who: str, queued_bytes: int) -> None:
        """Of watching.Watcher."""
        if queued_bytes > QUEUE_BYTES_MAX:
            self._break(
                11, f"{who} lets {queued_bytes} bytes wait on an overlay link, and the bound is {QUEUE_BYTES_MAX}"
            )

    def _look_at_who_was_reached(self) -> None:
        """A stream's reader takes what has arrived in the step after, so it is looked at when that is over."""
        name, self._reached = self._reached, self._network.newest_receiver
        self._network.newest_receiver = ""
        if name:
            self._look_at(self._members[name], glance)

    def _look_at(self, member: "Member", look: Callable[[Node], Iterable[Bound]]) -> None:
        if member.node is None:
            return
        self.checks["bounds"] += 1
        for what, count, bound in look(member.node):
            if count > bound:
                self._break(11, f"{member.name} has {count} {what}, and the bound is {bound}")
