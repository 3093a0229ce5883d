"""kill -9 of whoever settles: at its requests, between its own steps, at any time. It claims once, and books it."""

import asyncio
import json
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests import forks
from tests.payments.claim_stage import HOT, USDC, Stage, config_of, on_stage

from nearcast.chain.devchain.addresses import ACCOUNT_BALANCE_WEI
from nearcast.chain.devchain.protocol import answer

SCRIPT = Path(__file__).with_name("killed_settler.py")
CONFIGS = tuple(config_of(number) for number in range(3))
REQUESTS = 17  # of one undisturbed claim; the test below says when that changes
HANDOVER = 13  # the one that hands the signed transaction over
SEED = 20_261_121
RUNS = 12  # at random moments


def start(stage: Stage, where: str = "") -> forks.Process:
    command = [sys.executable, str(SCRIPT), stage.served.url, str(stage.folder), where]
    return forks.Process(command, stdout=forks.PIPE, stderr=forks.PIPE)


async def undisturbed(stage: Stage) -> int:
    """A settling that gets through; how many units it says that it claimed."""
    process = start(stage)
    out, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, err.decode()
    return int(out)


async def with_vouchers(stage: Stage, units: int = USDC) -> None:
    await stage.open(*CONFIGS)
    for config in CONFIGS:
        stage.promise(config, units)
    stage.served.asked.clear()


async def check(stage: Stage, units: int, *, transactions: int | None = None) -> None:
    """Chain, wallet and ledger agree to the unit, and the fees to the wei."""
    claims = stage.ledger.claims()
    assert await stage.received_units() == units
    assert stage.ledger.pending() == []
    assert sum(each.settled_units for each in claims) == units
    spent_wei = ACCOUNT_BALANCE_WEI - await stage.rpc.balance(HOT.address)
    assert sum(each.fee_wei for each in claims) == spent_wei
    if transactions is not None:
        assert await stage.sent_by(HOT) == transactions


def test_how_many_requests_a_claim_takes(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await with_vouchers(stage)
        assert await undisturbed(stage) == 3 * USDC
        asked = stage.served.asked
        assert (len(asked), asked.index("eth_sendRawTransaction") + 1) == (REQUESTS, HANDOVER), asked
        await check(stage, 3 * USDC, transactions=1)

    on_stage(tmp_path, test)


@pytest.mark.parametrize("where", ["booking", "telling"])
def test_killed_between_the_chain_and_the_books(tmp_path: Path, where: str) -> None:
    async def test(stage: Stage) -> None:
        await with_vouchers(stage)
        process = start(stage, where)
        await asyncio.to_thread(process.communicate)
        assert process.returncode == -signal.SIGKILL
        assert len(stage.ledger.claims()) == (0 if where == "booking" else 1)
        assert await undisturbed(stage) == 3 * USDC
        await check(stage, 3 * USDC, transactions=1)
        assert await undisturbed(stage) == 0

    on_stage(tmp_path, test)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before it is answered", "after it was done"])
@pytest.mark.parametrize("request_number", [1, *range(HANDOVER - 2, REQUESTS + 1)])
def test_killed_at_a_request_it_still_claims_once(tmp_path: Path, request_number: int, after: bool) -> None:
    async def test(stage: Stage) -> None:
        await with_vouchers(stage)
        process = start(stage)
        methods = 0

        def kill(body: Any) -> web.Response | None:
            nonlocal methods
            methods += len(body) if isinstance(body, list) else 1
            if methods < request_number or process.returncode is not None:
                return None
            done = answer(stage.served.chain, json.dumps(body).encode()) if after else b""
            process.kill()
            return web.Response(body=done)

        stage.served.whole = kill
        await asyncio.to_thread(process.communicate)
        assert process.returncode == -signal.SIGKILL
        stage.served.whole = lambda body: None
        await undisturbed(stage)
        await check(stage, 3 * USDC, transactions=1)

    on_stage(tmp_path, test)


@pytest.mark.slow
def test_killed_at_any_time_while_vouchers_go_on_coming(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        rng = random.Random(SEED)
        await with_vouchers(stage)
        for run in range(RUNS):
            for config in CONFIGS:
                stage.promise(config, USDC + (run + 1) * 1_000)
            stage.served.asked.clear()
            process = start(stage)
            asked = asyncio.Event()
            stage.served.whole = lambda body, asked=asked: asked.set()  # type: ignore[misc]
            await asked.wait()  # it has begun
            await asyncio.sleep(rng.uniform(0, 0.25))
            process.kill()
            await asyncio.to_thread(process.communicate)
            stage.served.whole = lambda body: None
        await undisturbed(stage)
        await check(stage, 3 * (USDC + RUNS * 1_000))
        assert await stage.sent_by(HOT) <= RUNS + 1

    on_stage(tmp_path, test)
