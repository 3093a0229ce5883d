"""SIGKILL at random instants of paid fetches through a cache miss, again and again, and what must hold after each.

    python -m tests.payments.kills --runs 300 --seed 1

One chain, an origin, a cache that has to buy from it, and a client that buys from the cache. In each run the client
gets a new object; the client, the cache, the origin or the chain is killed at a random instant of that, started again,
and the fetch is finished. Then:

- the copy is what was shared;
- nobody promised a unit more than the bytes that it verified cost;
- no payee is short of more than one window for the kill;
- the books add up, each by itself and all of them with the chain.

After EPOCH_RUNS runs the client takes back what is left of its channel, which makes the cache claim: no channel is ever
stuck. A new client goes on, so that channels are opened under fire, too. The seed says which process dies and when, as
exactly as a machine repeats itself.
"""

import argparse
import filecmp
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.payments.books import audit, earned_book, losses, on_chain, spent_book, units
from tests.payments.world import Member, PaidNode, World, WorldError, paid_world, together

from nearcast.payments.credit import parts_of

EPOCH_RUNS = 25
FINISH_S = 90.0  # gets are repeated so long until one succeeds; one that waits for a dead relay does so for 34 s
PAUSE_S = 0.5  # between them
SIZE_BYTES_MIN, SIZE_BYTES_MAX = 4 << 20, 24 << 20
PRICE_USDC = {"origin": "0.5", "cache": "1"}  # a relay pays less than it asks
PRICE_UNITS = {"origin": 500_000, "cache": 1_000_000}  # the same per GiB
BLOCK_BYTES = 1 << 20  # one leaf: the last one may pass the window
VICTIMS = ("client", "cache", "origin", "chain")
DAY_S = 86_400
SETTLE_TIMEOUT_S = 20.0
POLL_S = 0.002


class BrokenError(AssertionError):
    """Something that must hold did not."""


@dataclass(frozen=True)
class Object:
    """What one run gets. `cost_parts`: of all of its blocks."""

    cid: str
    path: Path
    size_bytes: int


@dataclass(frozen=True)
class Done:
    """One run."""

    number: int
    victim: str
    after_s: float
    tries: int
    seconds: float

    def line(self) -> str:
        return (
            f"{self.number:4}  {self.victim:<7} after {self.after_s:5.2f} s  {self.tries} tries  {self.seconds:5.1f} s"
        )


class Kills:
    """The world, and where it stands."""

    def __init__(self, world: World, rng: random.Random, *, is_telling: bool = False) -> None:
        self.world = world
        self.rng = rng
        self.runs = 0
        self.get_s = 1.5  # how long an undisturbed get takes; learned
        self.victim = "nobody"
        self.shared: list[str] = []
        self.failures: list[str] = []  # what the gets of this run said that did not succeed
        self.is_telling = is_telling
        poll = {"NEARCAST_PAYMENTS_POLL_S": "1"}
        self.origin, self.cache = together(
            lambda: world.operator("origin", price=PRICE_USDC["origin"]),
            lambda: world.operator("cache", price=PRICE_USDC["cache"]),
        )
        for node in (self.origin, self.cache):
            node.environment |= poll
        self.origin.up()
        self.cache.options += ["--peer", self.origin.peer, "--quota", "200MB"]
        self.cache.up()
        self.client = self._new_client()

    def run(self, victim: str | None = None) -> Done:
        """One fetch with one kill, and all checks. Raises BrokenError, WorldError."""
        self.runs += 1
        thing = self._new_object()
        name = self.victim = victim or self.rng.choice(VICTIMS)
        started_s = time.monotonic()
        self._start_get(thing)
        after_s = self._wait_for_the_instant(started_s, thing)
        self._member(name).kill()
        if name != "client":
            time.sleep(self.rng.uniform(0, 0.3))
            self._revive(name)
        tries, verified_bytes = self._finish(thing)
        if self.is_telling:
            for failure in self.failures:
                print(f"        {failure}")
        if tries == 1:
            self.get_s = 0.8 * self.get_s + 0.2 * (time.monotonic() - started_s)
        self._check(thing, was_client_killed=name == "client", verified_bytes=verified_bytes)
        thing.path.unlink()
        return Done(self.runs, name, after_s, tries, time.monotonic() - started_s)

    def clean_run(self) -> None:
        """One fetch that nobody disturbs: what was promised before reaches its payee now.

        It may take a few tries still: who was killed last may have been killed after its fetch was done.
        """
        self.victim = "nobody"
        thing = self._new_object()
        self._start_get(thing)
        _, verified_bytes = self._finish(thing)
        self._check(thing, was_client_killed=False, verified_bytes=verified_bytes)

    def close_epoch(self) -> None:
        """The client takes back what is left; the cache has claimed what it was promised. Then a new client."""
        self.clean_run()
        self._take_back(self.client)
        self.origin.run("rm", *self.shared)
        self.shared.clear()
        self.client = self._new_client()

    def finish(self) -> None:
        """Every channel is emptied and everybody is paid: all that was ever deposited is accounted for."""
        self.clean_run()
        self._take_back(self.client)
        self.cache.stop()
        self._take_back(self.cache)
        found = audit(self.world, is_settled=True)
        figures = on_chain(self.world)
        if found or figures.refundable_units or figures.held_units:
            raise BrokenError(f"at the end {figures.held_units} units are left in the contract: {found}")

    def _new_client(self) -> Member:
        client = self.world.client(f"client-{self.runs}")
        client.environment |= {"NEARCAST_STORE_QUOTA_BYTES": "200MB"}
        return client

    def _new_object(self) -> Object:
        path = self.world.folder / f"object-{self.runs}-{self.rng.getrandbits(32):08x}"
        path.write_bytes(self.rng.randbytes(self.rng.randint(SIZE_BYTES_MIN, SIZE_BYTES_MAX)))
        cid = self.origin.add(path)
        self.shared.append(cid)
        return Object(cid, path, path.stat().st_size)

    def _member(self, name: str) -> Member:
        members: dict[str, Member] = {"cache": self.cache, "origin": self.origin, "chain": self.world.chain}
        return members.get(name, self.client)

    def _revive(self, name: str) -> None:
        if name == "chain":
            self.world.chain.up()
        else:
            node = self._member(name)
            assert isinstance(node, PaidNode)
            node.up()

    def _start_get(self, thing: Object) -> None:
        self.client.start("get", self.cache.holds_of(thing.cid), self._copy(thing), "--overwrite", "--json")

    def _copy(self, thing: Object) -> Path:
        return self.client.home / f"copy-{thing.path.name}"

    def _wait_for_the_instant(self, started_s: float, thing: Object) -> float:
        """Half of the instants are anywhere in the command's life, half while bytes arrive: that is a short part."""
        if self.rng.random() < 0.5:
            until_s = self.rng.uniform(0, 1.1 * self.get_s)
            while time.monotonic() - started_s < until_s and self.client.is_running:
                time.sleep(POLL_S)
        else:
            begun_bytes = _disk_bytes(self.client.data_dir)
            share = self.rng.uniform(0, 1)
            while self.client.is_running:
                if _disk_bytes(self.client.data_dir) - begun_bytes > share * thing.size_bytes:
                    break
                time.sleep(POLL_S)
        return time.monotonic() - started_s

    def _finish(self, thing: Object) -> tuple[int, int]:
        """How many gets it took until one succeeded, and how many bytes those that ended said to have verified."""
        verified_bytes, tries, deadline_s = 0, 0, time.monotonic() + FINISH_S
        self.failures.clear()
        while True:
            code = self.client.ended()
            report = _report(self.client)
            verified_bytes += report.get("verified", 0)
            tries += 1
            if code == 0:
                return tries, verified_bytes
            if time.monotonic() > deadline_s:
                said = f"{report} {self.client.errors.read_text()[-2000:]}"
                raise BrokenError(f"{tries} gets failed in {FINISH_S} s; the last one said: {said}")
            self.failures.append(f"{time.monotonic() - deadline_s + FINISH_S:5.1f} s  {code}  {_message(report)}")
            time.sleep(PAUSE_S)
            self._start_get(thing)

    def _check(self, thing: Object, *, was_client_killed: bool, verified_bytes: int) -> None:
        copy = self._copy(thing)
        if not filecmp.cmp(thing.path, copy, shallow=False):
            raise BrokenError("the copy is not what was shared")
        copy.unlink()
        if found := audit(self.world):
            raise BrokenError("; ".join(found))
        for payer, payee in ((self.client, self.cache), (self.cache, self.origin)):
            self._check_sale(thing, payer, payee)
        for node in (self.cache, self.origin):
            price = PRICE_UNITS[node.name]
            for loss in losses(node, price):
                if loss.unpaid_parts > loss.window_parts + parts_of(BLOCK_BYTES, price):
                    raise BrokenError(f"{loss.node} is short of {units(loss.unpaid_parts)} units, more than its window")

    def _check_sale(self, thing: Object, payer: Member, payee: PaidNode) -> None:
        """One object, from one payee to one payer: what was paid is no more than the bytes cost, and nearly as much."""
        price = PRICE_UNITS[payee.name]
        paid = [row for row in spent_book(payer).rows if row.root == thing.cid]
        sold = [row for row in earned_book(payee).rows if row.root == thing.cid]
        paid_parts, paid_bytes = sum(row.parts for row in paid), sum(row.size_bytes for row in paid)
        if paid_parts > parts_of(paid_bytes, price):
            raise BrokenError(f"{payer.name} promised {paid_parts} parts for {paid_bytes} bytes")
        delivered_parts = parts_of(sum(row.size_bytes for row in sold), price)
        window_parts = max([loss.window_parts for loss in losses(payee, price)], default=0)
        if delivered_parts - paid_parts > window_parts + parts_of(BLOCK_BYTES, price):
            raise BrokenError(
                f"{payee.name} delivered {units(delivered_parts)} units' worth and got {units(paid_parts)}"
            )

    def _take_back(self, payer: Member) -> None:
        """Withdraw all that is left of somebody's channels; who is paid from them claims first."""
        names = [each["channel"] for each in payer.json("channel", "list")["channels"]]
        for name in names:
            payer.run("channel", "withdraw", name)
        self._wait_for_claims(payer)
        self.world.chain.travel(DAY_S + 60)
        for name in names:
            payer.run("channel", "withdraw", name)

    def _wait_for_claims(self, payer: Member) -> None:
        """Until the chain has counted every unit that somebody promised."""
        promised = spent_book(payer).units
        deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            channels = on_chain(self.world).channels
            open_units = {name: units for name, units in promised.items() if channels[name].claimed_units < units}
            if not open_units:
                return
            if time.monotonic() > deadline_s:
                raise BrokenError(
                    f"{payer.name} withdraws and {sum(open_units.values())} promised units are not claimed"
                )
            time.sleep(0.1)


def _report(member: Member) -> dict[str, Any]:
    """What its newest command said at its end; empty for one that was killed."""
    lines = member.log.read_text().splitlines()
    try:
        return dict(json.loads(lines[-1])) if lines else {}
    except ValueError:
        return {}


def _message(report: dict[str, Any]) -> str:
    """Why a get failed."""
    return str(report.get("error", {}).get("message", "it was killed"))


def _disk_bytes(folder: Path) -> int:
    """What is in a data folder, in blocks that were written."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def run_all(runs: int, seed: int, folder: Path, *, is_telling: bool = False) -> None:
    """Raises BrokenError or WorldError, with the number of the run in its text."""
    rng = random.Random(seed)
    with paid_world(folder) as world:
        kills = Kills(world, rng, is_telling=is_telling)
        try:
            kills.clean_run()
            for number in range(1, runs + 1):
                print(kills.run().line(), flush=True)
                if number % EPOCH_RUNS == 0 and number < runs:
                    kills.close_epoch()
            kills.finish()
        except (BrokenError, WorldError) as error:
            raise type(error)(f"run {kills.runs} with seed {seed}, {kills.victim} killed: {error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where the world stands; it is left there")
    parser.add_argument("--tell", action="store_true", help="say of each get that failed why")
    arguments = parser.parse_args()
    started_s = time.monotonic()
    if arguments.keep:
        run_all(arguments.runs, arguments.seed, arguments.keep, is_telling=arguments.tell)
    else:
        with tempfile.TemporaryDirectory(prefix="nearcast-kills-") as folder:
            run_all(arguments.runs, arguments.seed, Path(folder), is_telling=arguments.tell)
    seconds = time.monotonic() - started_s
    print(f"{arguments.runs} kills in {seconds:.0f} s, {seconds / max(1, arguments.runs):.1f} s each: nothing was lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
