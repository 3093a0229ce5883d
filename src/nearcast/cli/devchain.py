"""`nearcast devchain`: an Ethereum of one's own on this machine, with every contract and ten accounts with money."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearcast.cli.chain_options import PANEL
from nearcast.cli.options import Call, command

if TYPE_CHECKING:
    from nearcast.chain.devchain.blocks import Block
    from nearcast.chain.devchain.node import DevChain

DEFAULT_PORT = 8545  # where tools of Ethereum look for a node
FOLDER_NAME = "devchain"

Port = Annotated[int, typer.Option("--port", min=0, max=65535, metavar="PORT", help="Where it listens; 0: any.")]
State = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="Where it is kept; else in the data folder.")
]
Reset = Annotated[bool, typer.Option("--reset", help="Forget the chain that is kept there and begin a new one.")]
BlockTime = Annotated[
    float | None,
    typer.Option("--block-time", min=0.1, max=3600, metavar="S", help="A block every S seconds, not per transaction."),
]


def register(app: typer.Typer) -> None:
    @command(app, "devchain", panel=PANEL)
    def devchain(
        call: Call, port: Port = DEFAULT_PORT, state: State = None, reset: Reset = False, block_time: BlockTime = None
    ) -> None:
        """Run a blockchain on this machine to try payments and nodes without real money, until Ctrl-C.

        It has the contracts of the network and ten accounts with test money, and is kept from one run to the next.
        """
        import uvloop

        folder = state or call.config().data_dir / FOLDER_NAME
        uvloop.run(_run(call, folder, port, reset, block_time))


async def _run(call: Call, folder: Path, port: int, reset: bool, block_time_s: float | None) -> None:
    from nearcast.chain.devchain import genesis
    from nearcast.chain.devchain.engine import Engine
    from nearcast.chain.devchain.node import open_chain
    from nearcast.chain.devchain.server import serving
    from nearcast.cli.serving import stop_signals
    from nearcast.clock import SystemClock

    engine = Engine(genesis.make_alloc())
    chain = open_chain(engine, folder, SystemClock().unix_s, automine=block_time_s is None, reset=reset)
    try:
        async with serving(chain, "127.0.0.1", port, block_time_s=block_time_s) as server:
            with stop_signals() as stopped:
                _print(call, chain, server.url, folder)
                log = _BlockLog(call)
                chain.on_block = log.block
                await stopped.wait()
        log.close()
    finally:
        chain.close()


def _print(call: Call, chain: "DevChain", url: str, folder: Path) -> None:
    from nearcast.chain.address_text import address_text
    from nearcast.chain.devchain.addresses import ACCOUNTS, CONTRACTS
    from nearcast.cli.amounts import count_text

    contracts = {name: address_text(address) for name, address in CONTRACTS.items()}
    accounts = [(address_text(account.address), "0x" + account.secret.hex()) for account in ACCOUNTS]
    number, width = chain.engine.head.number, max(map(len, contracts))
    lines = ["", f"  RPC        {url}", f"  Chain id   {chain.engine.chain_id}"]
    lines += [f"  Kept in    {folder}   {count_text(number, 'block')}", "", "  Contracts"]
    lines += [f"    {name:<{width}}  {address}" for name, address in contracts.items()]
    lines += ["", "  Accounts, each with 10,000 ETH and 10,000 test USDC at the start"]
    lines += ["  Everybody knows these keys: what is sent to them on a real chain is lost."]
    lines += [part for at, row in enumerate(accounts) for part in (f"    {at}  {row[0]}", f"       {row[1]}")]
    ready: dict[str, Any] = {"event": "ready", "url": url, "chain_id": chain.engine.chain_id, "block": number}
    ready |= {"state": str(folder), "contracts": contracts}
    ready["accounts"] = [{"address": address, "secret": secret} for address, secret in accounts]
    call.output.result(ready, lines=[*lines, "", "  Ctrl-C stops.", ""], essential=[url])


class _BlockLog:
    """A line for each transaction, from whichever thread mines."""

    def __init__(self, call: Call) -> None:
        from nearcast.cli.livelines import LiveLines

        self._output = call.output
        self._lines = LiveLines()

    def block(self, block: "Block") -> None:
        """Say what is in it."""
        from datetime import datetime

        from nearcast.chain.devchain.telling import function_of, refusal_of
        from nearcast.cli.output import printable

        now = datetime.now().astimezone()
        for receipt in block.receipts:
            refusal, what = refusal_of(receipt), function_of(receipt)
            end = printable(refusal) if refusal else "ok"
            line = f"  {now:%H:%M:%S}  block {block.number}  {what}  {end}  {receipt.gas_used:,} gas"
            fields: dict[str, Any] = {"event": "transaction", "time": now.isoformat(timespec="milliseconds")}
            fields |= {"block": block.number, "hash": "0x" + receipt.transaction.hash.hex(), "what": what}
            fields |= {"status": receipt.status, "refusal": refusal, "gas": receipt.gas_used}
            self._say(fields, line)

    def _say(self, fields: dict[str, Any], line: str) -> None:
        self._lines.put(lambda: self._output.live(fields, line=line))

    def close(self) -> None:
        """Wait until all is said."""
        self._lines.close()
