"""What happens in a world while it lives: things are published and fetched, nodes come and go, links and disks fail.

Each kind of act comes at random moments of its own, so many per node and minute as the wishes say.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nearcast.chain.bindings.blacklist import EVERYWHERE, Blacklist
from nearcast.chain.deployment import DEV
from nearcast.errors import NearcastError
from nearcast.naming.link import Link
from nearcast.node.running import Node
from nearcast.sim.whole.invariants import BrokenError
from nearcast.sim.whole.member import START_S_MAX, Member
from nearcast.sim.whole.taker import ROLE as TAKER
from nearcast.sim.whole.things import Thing, make_file
from nearcast.sim.whole.watching import WHO

if TYPE_CHECKING:
    from nearcast.sim.whole.world import World

GET_S_MAX: Final = (
    240.0  # after that a fetch hangs: every wait in it is shorter; BRING_S + TURN_S + what stands in line
)
MALWARE: Final = 1  # a reason of the blacklist
STARTED_AT_ONCE: Final = 10
OPERATIONS_MAX: Final = 60  # on a disk, until the power goes; guess: an import takes about so many
PIECE_BYTES: Final = 1 << 20
FIRST_THINGS_PER_NODE: Final = 0.25
TRIES_OF_TAKER: Final = 3  # of one thing, each over a new connection


@dataclass(frozen=True, slots=True)
class Want:
    """Somebody wants to read a thing, from these nodes."""

    reader: str
    thing: Thing
    sources: tuple[str, ...]


class Acting:
    """`unfinished`: reads that did not end well, to be tried again once the world is healed."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._ground = world.ground
        self._rng = world.rng("acts")
        self._things: list[Thing] = []
        self._large: list[Thing] = []
        self._running: set[asyncio.Task[None]] = set()
        self.unfinished: list[Want] = []
        self.is_healing = False

    @property
    def things(self) -> list[Thing]:
        """All that was ever published but what is large, the oldest first."""
        return self._things

    async def begin(self) -> None:
        """Everybody starts, and there is something to read."""
        members = list(self._world.members.values())
        for at in range(0, len(members), STARTED_AT_ONCE):
            some = members[at : at + STARTED_AT_ONCE]
            for member in some:
                member.start()
            async with asyncio.timeout(START_S_MAX):
                for member in some:
                    await self._up(member)
        for _ in range(self._world.wishes.large):
            await self._publish_large()
        for _ in range(max(4, round(FIRST_THINGS_PER_NODE * len(members)))):
            await self.publish()

    async def live(self) -> None:
        """For as long as the wishes say; ends when every act has."""
        acts: dict[str, Callable[[], Awaitable[object]]] = {
            "publish": self.publish,
            "get": self._get,
            "take": self._take,
            "crash": self._crash,
            "crash_at_disk": self._crash_at_disk,
            "stop": self._stop,
            "partition": self._partition,
            "reset": self._reset,
            "bad_disk": self._bad_disk,
            "no_chain": self._no_chain,
            "blacklist": self._blacklist,
        }
        until_s = self._ground.loop.time() + self._world.wishes.duration_s
        async with asyncio.TaskGroup() as group:
            if (taker := self._one(TAKER)) is not None and self._large:
                group.create_task(self._take_large(taker))  # at least one, in every world
            for name, act in acts.items():
                per_minute = getattr(self._world.wishes.acts, name) * self._world.wishes.nodes
                if per_minute > 0:
                    group.create_task(self._again(group, name, act, 60 / per_minute, until_s))

    async def _again(
        self, group: asyncio.TaskGroup, name: str, act: Callable[[], Awaitable[object]], mean_s: float, until_s: float
    ) -> None:
        rng, loop = self._world.rng(f"when {name}"), self._ground.loop
        while True:
            wait_s = rng.expovariate(1 / mean_s)
            if loop.time() + wait_s >= until_s:
                return
            await asyncio.sleep(wait_s)
            self._world.counts[f"act {name}"] += 1
            group.create_task(_run(act))

    # Starting and ending nodes.

    async def _up(self, member: Member) -> None:
        await member.up.wait()
        node = member.node
        if node is None:
            return
        if member.role != "liar" and member.lives > 1:
            self._world.invariants.restarted(member.name, node)

    async def restart(self, member: Member) -> None:
        """Begin its next life, and wait until it is up, if it ever is: a disk that refuses ends it again."""
        if member.life is not None:
            return
        life = member.start()
        assert life.task is not None
        up = self._ground.group.create_task(member.up.wait())
        await asyncio.wait([up, life.task], return_when=asyncio.FIRST_COMPLETED, timeout=START_S_MAX)
        up.cancel()
        if member.node is not None:
            await self._up(member)

    async def _away(self, member: Member) -> None:
        await asyncio.sleep(self._rng.expovariate(1 / self._world.wishes.away_s))
        await self.restart(member)

    def _one(self, *roles: str) -> Member | None:
        """A node that is up, of one of these roles."""
        ready = [
            each for each in self._world.members.values() if each.node is not None and (not roles or each.role in roles)
        ]
        return self._rng.choice(ready) if ready else None

    async def _crash(self) -> None:
        if (member := self._one()) is not None:
            member.crash()
            await self._away(member)

    async def _crash_at_disk(self) -> None:
        """The power goes in the middle of a series of writes."""
        member = self._one()
        if member is None or member.life is None:
            return
        life = member.life
        life.volume.crash_at = life.volume.operations + self._rng.randint(1, OPERATIONS_MAX)
        assert life.task is not None
        if member.role in ("origin", "friend", "liar"):
            await self.publish(member)
        elif member.role == TAKER and self._large:
            await self._take_large(member)
        elif member.role != TAKER:
            await self._get(member)
        await asyncio.wait([life.task], timeout=self._world.wishes.away_s)
        if life.is_dead:
            self._world.counts["crashes at a disk's operation"] += 1
            await self._away(member)
        else:
            life.volume.crash_at = None

    async def _stop(self) -> None:
        if (member := self._one()) is not None:
            await member.stop()
            await self._away(member)

    # Links, disks, the chain.

    async def _partition(self) -> None:
        """Some cannot reach the others, or only in one direction."""
        names = list(self._world.members)
        some = set(self._rng.sample(names, self._rng.randint(1, max(1, len(names) // 2))))
        both = self._rng.random() < 0.5
        pairs = [(one, other) for one in names for other in names if one in some and other not in some]
        pairs += [(other, one) for one, other in pairs] if both else []
        self._ground.story.tell("world", f"{len(some)} nodes cannot be {'reached' if both else 'heard'}")
        for pair in pairs:
            self._ground.network.block(*pair)
        await asyncio.sleep(self._rng.expovariate(1 / self._world.wishes.away_s))
        for pair in pairs:
            self._ground.network.open(*pair)

    async def _reset(self) -> None:
        if (one := self._one()) is not None and (other := self._one()) is not None:
            self._world.counts["connections reset"] += self._ground.network.reset(one.name, other.name)

    async def _bad_disk(self) -> None:
        member = self._one()
        if member is None or member.life is None:
            return
        volume = member.life.volume
        volume.failing = self._rng.choice((errno.ENOSPC, errno.EIO))
        volume.failing_share = self._rng.choice((0.05, 0.5, 1.0))
        self._ground.story.tell(member.name, f"has a disk that fails: {errno.errorcode[volume.failing]}")
        await asyncio.sleep(self._rng.expovariate(1 / self._world.wishes.away_s))
        volume.failing = 0
        self._world.counts["failed writes"] += volume.failures
        volume.failures = 0
        await self.restart(member)  # if that has ended it

    async def _no_chain(self) -> None:
        member = self._one()
        if member is None:
            return
        member.is_cut_from_chain = True
        await asyncio.sleep(self._rng.expovariate(1 / self._world.wishes.away_s))
        member.is_cut_from_chain = False
        member.informed_since_s = self._ground.loop.time()

    # Content.

    async def publish(self, member: Member | None = None, size_bytes: int | None = None) -> Thing | None:
        """A file comes into being at a node, which keeps it."""
        member = member or self._one("origin", "liar", "friend")
        if member is None or member.node is None:
            return None
        wishes, number = self._world.wishes, len(self._things)
        path = self._ground.root / f"file-{number}-{self._rng.getrandbits(32)}"
        least, most = (size_bytes, size_bytes) if size_bytes else (wishes.size_bytes_min, wishes.size_bytes_max)
        data = make_file(self._rng, path, least, most)
        in_place, life = self._rng.random() < 0.3, member.life
        try:
            added = await member.node.add(path, in_place=in_place, hidden=True, wrap=False)
        except NearcastError as error:
            self._ground.story.tell(member.name, f"cannot publish: {error.message}")
            return None
        if member.life is not life:  # the power went meanwhile: nobody was told that it is kept
            return None
        thing = Thing(number, added.root, data, [member.name], is_free=member.role == "friend")
        self._things.append(thing)
        self._world.invariants.things[str(thing.root)] = thing
        self._ground.story.tell(member.name, f"publishes {thing.root}, {len(data)} bytes")
        return thing

    async def _publish_large(self) -> None:
        wishes = self._world.wishes
        size_bytes = self._rng.randint(min(wishes.large_bytes_min, wishes.large_bytes_max), wishes.large_bytes_max)
        thing = await self.publish(self._one("origin"), size_bytes)
        if thing is not None:
            self._things.remove(thing)
            self._large.append(thing)

    async def _blacklist(self) -> None:
        sold = [thing for thing in self._things if not thing.is_free and thing.listed_s is None and len(thing.data)]
        if len(sold) > 1:
            await self.list_thing(self._rng.choice(sold))

    async def list_thing(self, thing: Thing) -> None:
        """The guardian puts it onto the blacklist."""
        chain = self._ground.chain
        blacklist = Blacklist(chain.rpc(), DEV.contracts["Blacklist"])
        chain.act(chain.treasury[0], blacklist.add_emergency(thing.root.digest, EVERYWHERE, MALWARE))
        thing.listed_s = self._ground.loop.time()
        self._ground.story.tell("world", f"{thing.root} is on the blacklist")

    async def _get(self, reader: Member | None = None) -> None:
        reader = reader or self._one("payer", "cache", "friend")
        wanted = [thing for thing in self._things if reader and (thing.is_free or reader.role != "friend")]
        if reader is None or not wanted:
            return
        thing = self._rng.choice(wanted)
        want = Want(reader.name, thing, self._sources(thing))
        if not await self.read(want):
            self.unfinished.append(want)

    async def _take(self) -> None:
        """Somebody wants something large, for money or not; half of them are takers."""
        reader = self._one(TAKER if self._rng.random() < 0.5 else "payer")
        if reader is not None and self._large:
            await self._take_large(reader)

    async def _take_large(self, reader: Member) -> None:
        """A taker comes back over a new connection when it gets no more."""
        thing = self._rng.choice(self._large)
        want = Want(reader.name, thing, tuple(thing.holders))
        for _ in range(TRIES_OF_TAKER if reader.role == TAKER else 1):
            if await self.read(want):
                return
            for holder in thing.holders if reader.role == TAKER else ():
                self._world.counts["connections reset"] += self._ground.network.reset(reader.name, holder)
        if reader.role != TAKER:
            self.unfinished.append(want)

    def _sources(self, thing: Thing) -> tuple[str, ...]:
        """Its holders; or, for what is sold, a cache that knows one of them; or nobody: the overlay is to find them."""
        if self._world.wishes.overlay and self._rng.random() < 0.5:
            return ()
        if thing.is_free or self._rng.random() < 0.5:
            return tuple(thing.holders)
        holder = self._world.members[thing.holders[0]].identity.endpoint_id.hex()
        relays = [
            each.name
            for each in self._world.members.values()
            if each.role == "cache" and any(holder in peer for peer in each.config.peers.known)
        ]
        return (self._rng.choice(relays),) if relays else tuple(thing.holders)

    async def read(self, want: Want) -> bool:
        """Whether it was read to its end; whatever was handed over is checked. A fetch that hangs fails the run."""
        reader = self._world.members[want.reader]
        node, life, counts = reader.node, reader.life, self._world.counts
        if node is None or life is None or life.ending.is_set():  # nobody asks a node that is being stopped
            return False
        link = Link(want.thing.root, "", "", peers=tuple(self._world.members[each].address for each in want.sources))
        task = self._ground.group.create_task(self._reading(node, reader, link, want.thing))
        life.users[task] = None
        await asyncio.wait([task], timeout=GET_S_MAX)
        if not task.done():
            raise BrokenError(f"liveness: {want.reader} waits for {want.thing.root} since {GET_S_MAX:g} s")
        del life.users[task]
        if task.cancelled():
            counts["read by who went down"] += 1
            return False
        error = task.result()
        if error is None:
            counts["read"] += 1
            counts["found"] += not want.sources
        else:
            counts[f"not read: {type(error).__name__}"] += 1
            self._ground.story.tell(want.reader, f"cannot read {want.thing.root}: {error.message[:150]}")
        return error is None

    async def _reading(self, node: Node, reader: Member, link: Link, thing: Thing) -> NearcastError | None:
        """As the node's own user does: by its own name, so that what it pays is known to be its."""
        WHO.set(reader.name)
        try:
            if self._rng.random() < 0.5:
                node.client.remember(link)
                offset = 0
                async for piece in node.client.read(link.root, 0, len(thing.data), fetch=True):
                    self._world.invariants.handed_over(reader.name, thing, offset, piece)
                    offset += len(piece)
            else:
                await node.client.fetch(link, spend=None if node.money is None else node.money.spend)
                for offset in range(0, len(thing.data), PIECE_BYTES):
                    data = node.store.read_file(link.root, offset, offset + PIECE_BYTES)
                    self._world.invariants.handed_over(reader.name, thing, offset, data)
        except NearcastError as error:
            return error
        return None


async def _run(act: Callable[[], Awaitable[object]]) -> None:
    await act()
