"""Content delivered for money, the whole of it, in a minute: everybody here is a real process, on loopback only.

    chain       nearcast devchain                          play money, the registry, channels, governance
    origin      nearcast up --price 0.005                  has a website; a vote recognises it as an origin
    cache-1     nearcast up --price 0.01                   has nothing and buys from the origin what it is asked for
    cache-2     nearcast up --price 0.02                   has nothing and buys from cache-1
    liar        nearcast up --price 0.001                  the cheapest; a bit of all that it sends is wrong
    client      nearcast get LINK                          has a wallet, pays for every byte that it has verified

All four nodes are registered and bonded. The client gets a site (asking the liar first, who is the cheapest) and a
larger file through both caches. Then everybody takes what is theirs out of the channels, and the table shows it, to the
unit.

Run it with `make demo`; `--once` ends by itself, and the exit code says whether everything worked and the sums agree.
"""

import argparse
import filecmp
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from demo_site import LARGE_FILE, build_site
from demo_sums import add_up, sentences, table, unclaimed_units
from demo_world import NEARCAST, Chain, DemoError, Party
from rich.console import Console

LARGE_BYTES = 100_000_000
LABEL = "shorelines"
PRICES_USDC = {"origin": "0.005", "cache-1": "0.01", "cache-2": "0.02", "liar": "0.001"}
LIAR = (sys.executable, str(Path(__file__).with_name("demo_liar.py")))
CLAIMED_TIMEOUT_S = 20.0
SETTINGS = {"NEARCAST_PAYMENTS_POLL_S": "1", "NEARCAST_PAYMENTS_DEPOSIT": "0.1"}  # USDC


class Demo:
    """The steps, in order. `stack` ends what was started and removes what was written, in reverse."""

    def __init__(self, console: Console, folder: Path, stack: ExitStack) -> None:
        self.console = console
        self.folder = folder
        self.stack = stack
        self.step_number = 0
        self.parties: dict[str, Party] = {}

    def run(self) -> str:
        """The address for a browser. Raises DemoError."""
        self.step("A website is made from nothing, and a blockchain with play money")
        site = build_site(self.folder / "shorelines", LARGE_BYTES)
        large = self.folder / LARGE_FILE
        shutil.move(site.folder / LARGE_FILE, large)
        self.say(f"{site.files - 1} files: pages, pictures, a script; and {LARGE_FILE}, {LARGE_BYTES / 1e6:.0f} MB")
        self.chain = Chain(self.folder, self.stack)
        self.say(f"nearcast devchain     {self.chain.url}")

        self.step("Four operators register their nodes with a bond; a client gets a wallet")
        self.join()

        self.step("A vote recognises the origin")
        self.recognise()

        self.step("The nodes start: the origin has the content, the liar a copy, the caches nothing")
        page, file = self.start_nodes(site.folder, large)

        self.step("The client gets the site; the cheapest node lies")
        self.get_site(page, site.folder)

        self.step(f"The client gets {LARGE_FILE} from cache-2, which buys from cache-1, which buys from the origin")
        self.get_large(file, large)

        self.step("A browser asks cache-1, on its own machine for free")
        address = f"{self.parties['cache-1'].ready['url']}/ipfs/{page}/"
        self.say(browsed(address, site.folder))

        self.step("The client takes back what it did not spend; the nodes claim first")
        self.settle("client")
        self.step("So do the caches, of what they did not spend on content")
        self.settle("cache-1", "cache-2")

        sums = add_up(self.chain, list(self.parties.values()))
        self.console.print(table(sums))
        self.console.print("\n" + "\n".join(f"   {sentence}" for sentence in sentences(sums)))
        if sums.wrong:
            raise DemoError("the sums do not agree")
        return address

    def step(self, text: str) -> None:
        self.step_number += 1
        self.console.print(f"\n[bold cyan]{self.step_number}[/]  [bold]{text}[/]")

    def say(self, text: str) -> None:
        self.console.print(f"   {text}", markup=False, highlight=False)

    def join(self) -> None:
        """Wallets for everybody; nodes go into the registry. They do not wait for each other."""
        for role in (*PRICES_USDC, "client"):
            settings = SETTINGS | {"NEARCAST_CHAIN_RPC": self.chain.url}
            self.parties[role] = Party(role, self.folder, settings, price_usdc=PRICES_USDC.get(role, ""))
        together([lambda party=party: self.join_as(party) for party in self.parties.values()])

    def join_as(self, party: Party) -> None:
        party.address = party.do("wallet", "create", "--no-password")["address"]
        party.do("wallet", "faucet")
        if not party.price_usdc:
            return
        entered = party.do("node", "register", "--mbps", "100", "--region", "DE", "--price", party.price_usdc)
        bond = entered["bonded_units"] / 1e6
        self.say(f"{party.role:<8} asks {party.price_usdc} USDC per GiB, bonded {bond:.2f} USDC")

    def recognise(self) -> None:
        """From a proposal to its execution. Votes weigh as much as stake is old, so a month passes first."""
        origin = self.parties["origin"]
        self.chain.travel(30)
        origin.do("origin", "propose", LABEL, origin.address)
        proposal = origin.do("origin", "recognise", LABEL, origin.address)["proposal"]
        self.chain.travel(1.1)
        voters = [self.parties[role] for role in ("origin", "cache-1", "cache-2")]
        together([lambda party=party: party.do("govern", "vote", proposal, "for") for party in voters])
        self.chain.travel(8)
        origin.do("govern", "queue", proposal)
        self.chain.travel(2.1)
        origin.do("govern", "execute", proposal)
        status = origin.do("origin", "status", LABEL, origin.address)["status"]
        if status != "recognised":
            raise DemoError(f"the origin is {status}")
        self.say(f"proposed, voted on, waited for, executed: {origin.address} is {status} for {LABEL!r}")

    def start_nodes(self, site: Path, large: Path) -> tuple[str, str]:
        """The CIDs of the site and of the large file."""
        origin, liar = self.parties["origin"], self.parties["liar"]
        page, file = (str(origin.do("add", path)["cid"]) for path in (site, large))
        liar.do("add", site)
        together([lambda: self.up("origin"), lambda: self.up("liar", program=LIAR)])
        self.up("cache-1", "--peer", origin.peer)
        self.up("cache-2", "--peer", self.parties["cache-1"].peer)
        self.say(f"the site        {page}")
        self.say(f"the large file  {file}")
        return page, file

    def up(self, role: str, *options: str, program: tuple[str, ...] = NEARCAST) -> None:
        party = self.parties[role]
        listen = ("--quic", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-lan")
        party.serve(self.stack, "up", *listen, "--price", party.price_usdc, *options, program=program)

    def get_site(self, page: str, original: Path) -> None:
        peers = "+".join(self.parties[role].peer for role in ("liar", "cache-1"))
        report = self.get(f"nearcast://{peers}/{page}", self.folder / "copy")
        liar = self.parties["liar"].peer[:8]
        if not any(liar.startswith(name[:8]) for name in report["liars"]):
            raise DemoError(f"the liar was not caught: {report}")
        self.say(f"liar {liar}: a block was not what its name says; nothing is signed for it, cache-1 is next")
        self.say(f"{compared(original, self.folder / 'copy')} files are the same as the original, none differs")

    def get_large(self, file: str, original: Path) -> None:
        copy = self.folder / "copy.bin"
        self.get(f"nearcast://{self.parties['cache-2'].peer}/{file}", copy)
        if not filecmp.cmp(original, copy, shallow=False):
            raise DemoError(f"{LARGE_FILE} differs from the original")
        self.say(f"{LARGE_FILE} is the same as the original")

    def get(self, link: str, target: Path) -> Any:
        """The client's report."""
        report = self.parties["client"].do("get", link, target, "--max-price", "0.05", "--cap", "0.1")
        rate = report["verified"] / report["seconds"] / 1e6
        self.say(f"{report['verified'] / 1e6:.1f} MB verified in {report['seconds']:.1f} s, {rate:.0f} MB/s")
        return report

    def settle(self, *roles: str) -> None:
        """Withdraw from every channel of these; the payees have a day to claim, and need a moment."""
        parties = [self.parties[role] for role in roles]
        self.withdraw(parties)
        deadline_s = time.monotonic() + CLAIMED_TIMEOUT_S
        while unclaimed_units(self.chain, parties):
            if time.monotonic() > deadline_s:
                raise DemoError("a node has not claimed what it holds vouchers for")
            time.sleep(0.1)
        self.chain.travel(1.1)
        for party, back in self.withdraw(parties):
            self.say(f"{party.role}: {back['amount_units']:,} units back from channel {back['channel'][:10]}…")

    def withdraw(self, parties: list[Party]) -> list[tuple[Party, Any]]:
        """What each command says. It is the same command that asks for the money, and later fetches it."""
        told: list[tuple[Party, Any]] = []

        def withdraw_all(party: Party) -> None:
            names = [channel["channel"] for channel in party.do("channel", "list")["channels"]]
            told.extend((party, party.do("channel", "withdraw", name)) for name in names)

        together([lambda party=party: withdraw_all(party) for party in parties])
        return told


def together(steps: list[Callable[[], None]]) -> None:
    """Do what does not depend on each other at the same time: most of a command's time is its start."""
    with ThreadPoolExecutor(len(steps)) as threads:
        for step in [threads.submit(step) for step in steps]:
            step.result()


def compared(original: Path, copy: Path) -> int:
    """How many files are the same. Raises DemoError when any is not."""
    names = [path.relative_to(original) for path in original.rglob("*") if path.is_file()]
    extra = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()} - set(names)
    different = [name for name in names if not filecmp.cmp(original / name, copy / name, shallow=False)]
    if different or extra:
        raise DemoError(f"different: {different}, not shared: {extra}")
    return len(names)


def browsed(address: str, original: Path) -> str:
    """Requests the page and a picture as a browser would. Raises DemoError when they are not what was shared."""
    for name, path in (("", "index.html"), ("pictures/dusk.png", "pictures/dusk.png")):
        with urllib.request.urlopen(address + name, timeout=10) as answer:
            if answer.status != 200 or answer.read() != (original / path).read_bytes():
                raise DemoError(f"{address}{name} is not what was shared")
            kind = answer.headers["content-type"]
    return f"GET {address[:40]}…/  200, and its picture came as {kind}"


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, so that it cleans up."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def main() -> int:
    """The exit code: 0 when everything worked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--once", action="store_true", help="end when the steps are done instead of staying up")
    once = parser.parse_args().once
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    started_s = time.monotonic()
    try:
        with ended_by_signals(), ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nearcast-demo-")))
            address = Demo(console, folder, stack).run()
            console.print(f"\n[bold green]It worked[/], in {time.monotonic() - started_s:.0f} s.")
            if not once:
                console.print(
                    f"\n   Open this in a browser:\n\n{address}\n\n   Ctrl-C stops everything.", soft_wrap=True
                )
                signal.pause()
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left behind.")
        return 130 if once else 0
    except (DemoError, OSError) as error:
        console.print(f"\n[bold red]It did not work:[/] {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
