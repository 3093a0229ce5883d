"""`nearcast watchtower run`: what it watches, what it does, and what it says meanwhile."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearcast.cli.amounts import count_text
from nearcast.cli.hexwords import address_text, hash_text
from nearcast.cli.moments import duration_text
from nearcast.cli.money import ether_text, usdc_text
from nearcast.cli.output import Output, printable
from nearcast.cli.serving import stop_signals
from nearcast.errors import NotFoundError, UsageError, one_error

if TYPE_CHECKING:
    from nearcast.cli.chain_options import ChainCall
    from nearcast.payments.claim_sending import ClaimReceipt
    from nearcast.payments.watchtower import Watchtower

LOCK_FILE = "watching.lock"
POLL_S_MAX = 600  # two looks fit into the shortest delay that the contract takes, 15 minutes


async def watch(call: "ChainCall", files: Sequence[Path], *, now: bool, also_rpc: Sequence[str], poll_s: int) -> None:
    """Until it is interrupted; with `now` one claim of everything. NotFoundError when the files hold no claim then.

    No endpoint has to answer when it starts.
    """
    from nearcast.chain.bindings.settlement import Settlement
    from nearcast.chain.deployment import deployment
    from nearcast.chain.rpc import JsonRpc
    from nearcast.chain.transaction_journal import JOURNAL_FILE, TransactionJournal
    from nearcast.chain.transactions import Sender
    from nearcast.cli.keyring import open_wallet
    from nearcast.payments.claim_sending import Tools
    from nearcast.payments.watched_files import WatchedFiles
    from nearcast.payments.watchtower import Watchtower
    from nearcast.telemetry import Telemetry

    _check(call, poll_s)
    settled, telemetry = deployment(call.config.chain.network), Telemetry()
    telemetry.listen(_trouble_teller(call.output, "" if also_rpc else None) if now else _teller(call.output))
    settlement = settled.contracts["BatchSettlement"]
    watched = WatchedFiles(files, settled.chain_id, settlement, tell=_fault_teller(call.output))
    claims = await asyncio.to_thread(watched.read)
    if not claims and now:
        raise NotFoundError("there is no claim in these files", fix="nearcast watchtower export FILE makes one")
    signer = open_wallet(call)
    folder = call.config.chain_folder(settled.chain_id)
    async with AsyncExitStack() as stack:
        journal = stack.enter_context(TransactionJournal.open(folder / JOURNAL_FILE))
        confirmations = call.config.chain.confirmations or settled.confirmations
        stations = []
        for url in (call.config.chain.rpc, *also_rpc):
            rpc = await stack.enter_async_context(JsonRpc(url, settled.chain_id))
            sender = Sender(rpc, signer, journal, confirmations=confirmations)
            stations.append(Tools(rpc, Settlement(rpc, settlement), sender, journal, folder / LOCK_FILE))
        tower = Watchtower(stations, watched, poll_s=poll_s, telemetry=telemetry)
        if now:
            _tell_end(call.output, await tower.claim_now())
            return
        with stop_signals() as stopped:
            _tell_start(call.output, [claim.units for claim in claims.values()], signer.address)
            await _until(stopped, tower)
            call.output.live({"event": "stopped"}, line="stopped")


async def _until(stopped: asyncio.Event, tower: "Watchtower") -> None:
    """A claim that is under way is in the journal: the next run goes on with it."""
    with one_error():
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(tower.run())
            await stopped.wait()
            watching.cancel()


def _check(call: "ChainCall", poll_s: int) -> None:
    if not 1 <= poll_s <= POLL_S_MAX:
        raise UsageError(f"--poll is 1 s to {duration_text(POLL_S_MAX)}, else a withdrawal could be over unseen")
    if call.dry_run:
        raise UsageError("a watchtower has nothing to show beforehand", fix="leave --dry-run out")


def _tell_start(output: Output, units: Sequence[int], account: bytes) -> None:
    who = address_text(account)
    value = {"event": "ready", "channels": len(units), "units": sum(units), "from": who}
    words = f"watching {count_text(len(units), 'channel')} with vouchers over {usdc_text(sum(units))}; gas from {who}"
    output.live(value, line=words)


def _tell_end(output: Output, receipts: "Sequence[ClaimReceipt]") -> None:
    units = sum(receipt.claimed_units for receipt in receipts)
    fee_wei = sum(receipt.fee_wei for receipt in receipts)
    hashes = [hash_text(receipt.transaction_hash) for receipt in receipts]
    value = {"claimed_units": units, "fee_wei": fee_wei, "transactions": hashes}
    line = f"claimed {usdc_text(units)} for others, fee {ether_text(fee_wei)}" if hashes else "nothing to claim"
    output.result(value, lines=[line], essential=[usdc_text(units)])


def _teller(output: Output) -> Callable[[str, dict[str, Any]], None]:
    """What happens, a line for each; trouble goes where notes go."""
    trouble = _trouble_teller(output, "; it goes on")

    def tell(name: str, said: dict[str, Any]) -> None:
        match name:
            case "withdrawal_begun":
                left, units = duration_text(said["left_s"]), usdc_text(said["claimable_units"])
                line = f"channel 0x{said['channel'][:16]}…: its payer withdraws, in {left}; {units} to claim"
                output.live({"event": name, **said, "channel": f"0x{said['channel']}"}, line=line)
            case "claimed":
                units, channels = usdc_text(said["units"]), count_text(said["channels"], "channel")
                line = f"claimed {units} from {channels}, fee {ether_text(said['fee_wei'])}"
                output.live({"event": name, **said, "transaction": f"0x{said['transaction']}"}, line=line)
        trouble(name, said)

    return tell


def _trouble_teller(output: Output, then: str | None) -> Callable[[str, dict[str, Any]], None]:
    """`then`: what follows on an endpoint's failure. None: nothing does, and the command's own error tells of it."""

    def tell(name: str, said: dict[str, Any]) -> None:
        match name:
            case "claim_skipped":
                output.note(f"  the contract would not have channel 0x{said['channel'][:16]}…: {said['reason']}")
            case "watching_failed" if then is not None:
                output.note(f"  {said['where']}: {printable(said['reason'])}{then}")

    return tell


def _fault_teller(output: Output) -> Callable[[Path, int, str], None]:
    def tell(path: Path, line: int, why: str) -> None:
        place = f"{path}, line {line}" if line else str(path)
        output.note(f"  {printable(place)}: {printable(why)}")

    return tell
