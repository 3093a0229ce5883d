"""A world of whole nodes from its seed to its last unit: peopled, alive under faults, healed, settled, and counted.

    people it → everybody starts → life: acts drawn from the seed → heal → every fetch ends well → money settles → audit

Everything in it happens on one loop with virtual time, in a sealed process (sealing.py); the invariants are checked
between any two steps of the loop. `run_world` is the door.
"""

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from nearcast.errors import NearcastError
from nearcast.sim import latency
from nearcast.sim.whole.acts import Acting
from nearcast.sim.whole.auditing import watch_money
from nearcast.sim.whole.chain import WorldChain
from nearcast.sim.whole.disk import Disk
from nearcast.sim.whole.ending import Ending
from nearcast.sim.whole.ground import UNIX_START_S, Ground
from nearcast.sim.whole.invariants import BrokenError, Invariants
from nearcast.sim.whole.loop import VirtualLoop, run_virtually
from nearcast.sim.whole.member import Member, MemberError
from nearcast.sim.whole.network import Conditions, WorldNetwork, narrow
from nearcast.sim.whole.peopling import BYTES_PER_MBIT, Peopling, wallets
from nearcast.sim.whole.remarks import remarks
from nearcast.sim.whole.sealing import Seal, collect, sealed
from nearcast.sim.whole.story import Story
from nearcast.sim.whole.taker import taking
from nearcast.sim.whole.watching import watching
from nearcast.sim.whole.wishes import Wishes

MEMORY_DISK: Final = Path("/dev/shm")  # where there is one, nothing of a simulation wears out a disk
COLLECT_S: Final = 20.0  # of virtual time between two looks for garbage


@dataclass(frozen=True, slots=True)
class Outcome:
    """One world that came to its end. `counts`: what was done and checked, by name; times in virtual seconds."""

    seed: int
    digest: str
    duration_s: float
    healed_s: float
    steps: int
    counts: dict[str, int]


class FailedError(NearcastError):
    """A world did not hold; the message ends with how to see it again. `digest`: the hash of all until then."""

    digest = ""


@dataclass
class World:
    """What its phases share."""

    wishes: Wishes
    seed: int
    ground: Ground
    invariants: Invariants
    members: dict[str, Member] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def rng(self, purpose: str) -> random.Random:
        """Dice for one purpose: what others throw does not change them."""
        return random.Random(f"{self.seed}/{purpose}")

    async def run(self) -> float:
        """All phases; how long it took from the heal to everything settled."""
        owners = wallets(self.rng("wallets"), self.wishes)
        members = Peopling(self.ground, self.wishes, self.rng("people")).members(owners)
        self.members = {member.name: member for member in members}
        self.invariants.attend(self.members)
        chain, network = self.ground.chain, self.ground.network
        endless = (chain.mine_for_ever(), watch_money(chain, members), network.end_idle_connections())
        running = [self.ground.group.create_task(each) for each in endless]
        acting = Acting(self)
        await acting.begin()
        await acting.live()
        healed_at_s = self.ground.loop.time()
        ending = Ending(self, acting)
        await ending.heal()
        await ending.finish_fetches()
        await ending.settle()
        for task in running:
            task.cancel()
        return self.ground.loop.time() - healed_at_s


def run_world(
    wishes: Wishes,
    seed: int,
    *,
    story_file: IO[str] | None = None,
    on_progress: Callable[[float, int], None] | None = None,
) -> Outcome:
    """One world of this seed. `on_progress(now_s, steps)` is called now and then.

    Raises FailedError when something does not hold, with the last lines of its story.
    """
    story = Story(story_file)
    try:
        with _folder() as root, remarks(story), sealed(random.Random(f"{seed}/entropy")) as seal:
            outcome = run_virtually(
                lambda loop: _run(loop, wishes, seed, seal, story, root, on_progress), random.Random(f"{seed}/work")
            )
    except Exception as error:
        raise _failed(error, wishes, seed, story) from error
    assert isinstance(outcome, Outcome)
    return outcome


async def _run(
    loop: VirtualLoop,
    wishes: Wishes,
    seed: int,
    seal: Seal,
    story: Story,
    root: Path,
    on_progress: Callable[[float, int], None] | None,
) -> Outcome:
    seal.now_s = loop.time
    network = WorldNetwork(
        rng=random.Random(f"{seed}/network"),
        latency=latency.generated(wishes.sites, random.Random(f"{seed}/map")),
        conditions=Conditions(wishes.jitter, wishes.loss),
        story=story,
    )
    invariants = Invariants(network, max(wishes.size_bytes_max, wishes.large_bytes_max if wishes.large else 0))
    counts: Counter[str] = Counter()

    def heard(name: str, event: str, fields: dict[str, Any]) -> None:
        counts[f"told {event}"] += 1
        if event == "served":
            invariants.answered(name)
        elif event.endswith("failed"):
            story.tell(name, f"{event} {fields}")

    disk = Disk(root)
    owners = wallets(random.Random(f"{seed}/wallets"), wishes)
    chain = WorldChain(lambda: UNIX_START_S + loop.time(), owners.values(), story)
    collected_s = 0.0

    def step(now_s: float) -> None:
        nonlocal collected_s
        story.now_s = now_s
        seal.check()
        invariants.check()
        if now_s - collected_s >= COLLECT_S:
            collected_s = now_s
            collect()
            if on_progress is not None:
                on_progress(now_s, loop.steps)

    loop.on_step = step
    line_bytes_per_s = min(wishes.up_mbps, wishes.down_mbps) * BYTES_PER_MBIT
    with disk.watched(), narrow(line_bytes_per_s), taking(), watching(invariants):
        async with asyncio.TaskGroup() as group:
            rng = random.Random(f"{seed}/disks")
            ground = Ground(loop, network, chain, disk, root, story, rng, group, heard)
            world = World(wishes, seed, ground, invariants, counts=counts)
            healed_s = await world.run()
    counts.update({f"checked {name}": count for name, count in invariants.checks.items()})
    counts["chain requests"] = chain.requests
    return Outcome(seed, story.digest, loop.time(), healed_s, loop.steps, dict(counts))


@contextmanager
def _folder() -> Iterator[Path]:
    """Everybody's folders, in memory where there is such a place; removed at the end."""
    where = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    root = Path(tempfile.mkdtemp(prefix="nearcast-sim-", dir=where))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _failed(error: BaseException, wishes: Wishes, seed: int, story: Story) -> FailedError:
    if isinstance(error, BaseExceptionGroup):
        error = min(_leaves(error), key=_weight)
    told = error.message if isinstance(error, NearcastError) else f"{type(error).__name__}: {error}"
    lines = "\n".join(story.newest)
    failed = FailedError(
        f"{told}\n{lines}\nseed {seed}, {wishes.nodes} nodes", fix=f"replay it with the same --seed {seed}"
    )
    failed.digest = story.digest
    return failed


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _weight(error: BaseException) -> int:
    """What broke first weighs least; tasks that could not be started in a group that ends say nothing."""
    return 0 if isinstance(error, BrokenError | MemberError) else 2 if isinstance(error, RuntimeError) else 1
