"""A trial from the wallet's side: approve the deposit, commit, wait, reveal. Each run does what is left to do.

What stands is read from the chain: the allowance, the open commitment, the verdict. Only the salt is this machine's,
and it is on disk before the commitment is sent.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearcast.cli.court_checks import check_case
from nearcast.cli.dry_run import Plan
from nearcast.cli.hexwords import address_text
from nearcast.cli.moments import due_text, duration_text
from nearcast.cli.money import usdc_text
from nearcast.cli.transacting import Sent, resume, tell, transact
from nearcast.errors import ChainError, RevertedError, StoreError, UsageError

if TYPE_CHECKING:
    from nearcast.chain.bindings.court import Docket
    from nearcast.chain.evidence import Evidence
    from nearcast.cli.chain_session import Session
    from nearcast.payments.evidence_files import Kept

SALTS_FOLDER = "challenges"
LOOK_S = 2.0  # a block's time on Base
LATE_S = 5.0  # guess: how far a block's time may be behind this machine's while both go on
_PREFIX_BYTES = 13  # of a commitment, as the contract keeps it


@dataclass(frozen=True)
class _Case:
    """What is shown to the Court, and under which commitment. `commitment`: 32 bytes."""

    operator: bytes
    evidence: "Evidence"
    salt: bytes
    commitment: bytes

    def is_open(self, docket: "Docket", now_s: int) -> bool:
        """Whether it is what the wallet is committed to, and not too late for."""
        is_ours = docket.commitment_prefix == self.commitment[:_PREFIX_BYTES]
        return docket.bond_units > 0 and is_ours and now_s <= docket.reveal_until


async def accuse_by(session: "Session", file: Path) -> None:
    """Until the Court has spoken; with --dry-run the next transaction."""
    from nearcast.payments.evidence_files import load_evidence

    kept = await asyncio.to_thread(load_evidence, file)
    if kept.chain_id != session.chain_id:
        raise UsageError(f"this is evidence of chain {kept.chain_id}, and {session.deployment.name} is another one")
    evidence = await _proof(session, kept)
    verdict = await _finished(session)
    if verdict is None:
        operator = await check_case(session, evidence)
        case = await asyncio.to_thread(_case, session, operator, evidence)
        if not await _committed(session, case):
            return
        await _wait(session)
        verdict = await transact(session, _revealing(case))
    if verdict is not None:
        _tell(session, verdict)


async def withdraw_rewards(session: "Session", to: bytes | None) -> None:
    """All that is free in the wallet's account."""
    receiver = to or session.wallet_address
    sent = await resume(session)
    if sent is None:
        units = (await _docket(session)).free_units
        if not units:
            raise RevertedError("nothing is free in the wallet's account at the Court")
        effects = (f"{usdc_text(units)} move from the Court to {address_text(receiver)}",)
        sent = await transact(session, Plan("Court", "withdraw", (receiver,), effects))
    if sent is None:
        return
    paid = sent.event("Withdrawn") or {"to": receiver, "amount": 0}
    text, where = usdc_text(paid["amount"]), address_text(paid["to"])
    value = {"to": where, "withdrawn_units": paid["amount"]}
    session.output.result(value | sent.value(), lines=[f"withdrew {text} to {where}", *sent.lines()], essential=[text])


async def _proof(session: "Session", kept: "Kept") -> "Evidence":
    """The evidence, with the header that may be missing in the file."""
    from dataclasses import replace

    from nearcast.payments.evidence_files import RaisedPrice

    if isinstance(kept, RaisedPrice) and kept.block is None:
        block = await session.rpc.ask("eth_getBlockByNumber", hex(kept.later_block_number), False)
        if not isinstance(block, dict):
            raise ChainError(f"the endpoint does not have block {kept.later_block_number}, which dates the offer")
        kept = replace(kept, block=block)
    return kept.proof()


async def _finished(session: "Session") -> Sent | None:
    """What earlier runs have sent comes to its end first; the verdict, if it is among it."""
    while (sent := await resume(session)) is not None:
        if _verdict(sent) is not None:
            return sent
        tell(session)
        await session.refresh()
    return None


def _case(session: "Session", operator: bytes, evidence: "Evidence") -> _Case:
    """With the salt of an earlier run, or a new one, which is on disk then. StoreError."""
    from nearcast.chain.durable import write_private
    from nearcast.chain.evidence import SALT_BYTES, commitment
    from nearcast.chain.offers import court_domain

    wallet = session.wallet_address
    digest = evidence.hash(court_domain(session.chain_id, session.address_of("Court")))
    path = session.folder / SALTS_FOLDER / f"{digest.hex()}.salt"
    salt = secrets.token_bytes(SALT_BYTES)
    try:
        if path.exists():
            salt = path.read_bytes()
        elif not session.call.dry_run:
            write_private(path, salt, replace=False)
    except OSError as error:
        raise StoreError(f"the salt of this case, {path}, cannot be kept: {error.strerror}") from error
    if len(salt) != SALT_BYTES:
        raise StoreError(f"{path} is damaged", fix=f"rm {path}, unless a commitment is open")
    return _Case(operator, evidence, salt, commitment(wallet, digest, salt))


async def _committed(session: "Session", case: _Case) -> bool:
    """See that the wallet is committed to this case. False for a dry run that has shown what comes first."""
    docket = await _docket(session)
    if case.is_open(docket, session.now_s):
        return True
    if docket.bond_units and session.now_s <= docket.reveal_until:
        raise RevertedError(
            "the wallet has announced other evidence, which comes first",
            fix=f"run that command again; its time is over {due_text(docket.reveal_until, session.now_s)}",
        )
    bond_units = await session.read("Court", "challengeBond")
    missing_units = max(0, bond_units - docket.free_units)
    await session.check_token_balance(missing_units)
    court = session.address_of("Court")
    if missing_units > await session.read("TestUSDC", "allowance", session.wallet_address, court):
        allowed = (
            f"the Court may take the deposit of {usdc_text(missing_units)}; the evidence is announced after that",
        )
        if not await _step(session, Plan("TestUSDC", "approve", (court, missing_units), allowed)):
            return False
    delay_s = await session.read("Court", "revealDelay")
    effects = (
        f"evidence against {address_text(case.operator)} is announced, and can be shown in {duration_text(delay_s)}",
        f"a deposit of {usdc_text(bond_units)} is held until then, and lost if it is not shown in time",
    )
    announced = case.commitment, [case.evidence.header.number]
    return await _step(session, Plan("Court", "commit", announced, effects))


async def _step(session: "Session", plan: Plan) -> bool:
    """One transaction on the way to the verdict: its end is what the next one builds on, and all there is to tell."""
    if await transact(session, plan) is None:
        return False
    tell(session)  # the next one has the same words, and is another
    await session.refresh()
    return True


async def _wait(session: "Session") -> None:
    """Until the evidence may be shown, by the chain's clock, or by ours where no block is made meanwhile."""
    reveal_from = (await _docket(session)).reveal_from
    left_s = reveal_from - session.now_s
    if left_s <= 0 or session.call.dry_run:
        return
    session.output.note(f"  it can be shown in {duration_text(left_s)}: waiting")
    until_s = time.monotonic() + left_s + LATE_S
    while session.now_s < reveal_from and time.monotonic() < until_s:
        await asyncio.sleep(LOOK_S)  # a chain tells nobody of its new blocks: it is asked
        await session.refresh()


def _revealing(case: _Case) -> Plan:
    from nearcast.chain.evidence import BlacklistedOffer

    function = "revealBlacklisted" if isinstance(case.evidence, BlacklistedOffer) else "revealEquivocation"
    effects = (
        f"the Court judges {address_text(case.operator)}: if it convicts, a part of the node's bond is gone",
        "the deposit is free again, and the wallet's part of what the node loses beside it: nearcast court withdraw",
    )
    return Plan("Court", function, case.evidence.reveal_args(case.salt), effects)


async def _docket(session: "Session") -> "Docket":
    from nearcast.chain.bindings.court import Court

    return await Court(session.rpc, session.address_of("Court")).docket(session.wallet_address)


def _verdict(sent: Sent) -> Any:
    if sent.contract != "Court":
        return None
    return sent.event("Convicted") or sent.event("AlreadyPunished")


def _tell(session: "Session", sent: Sent) -> None:
    verdict = _verdict(sent)
    if verdict is None:
        raise ChainError("the endpoint says that the evidence was shown and shows no verdict")
    slashed_units, reward_units = verdict.get("amount", 0), verdict.get("reward", 0)
    operator = address_text(verdict["operator"])
    line = f"{operator} loses {usdc_text(slashed_units)}; {usdc_text(reward_units)} of it are the wallet's"
    if not slashed_units:
        line = f"{operator} was punished for this already; the deposit is free again"
    value = {
        "operator": operator,
        "convicted": bool(slashed_units),
        "slashed_units": slashed_units,
        "reward_units": reward_units,
    }
    lines = [line, "  nearcast court withdraw gets it", *sent.lines()]
    session.output.result(value | sent.value(), lines=lines, essential=[usdc_text(slashed_units)])
