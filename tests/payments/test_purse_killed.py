"""kill -9 of a payer: a deposit happens once, whenever the process died, and no promise is forgotten or made twice."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests import forks
from tests.chain.endpoint import Endpoint, endpoint, no_sleep
from tests.payments.killed_payer import BLOCK_BYTES_MAX
from tests.payments.payees import BUDGET, HOT, PRICE, WALLET

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.bindings.token import Token
from nearcast.chain.channels import ChannelBook
from nearcast.chain.deployment import DEV
from nearcast.chain.devchain.protocol import answer
from nearcast.chain.rpc import JsonRpc
from nearcast.payments.credit import PART_BITS, parts_of, whole_units
from nearcast.payments.spent import SpentLedger

SCRIPT = Path(__file__).with_name("killed_payer.py")
REQUESTS = 18  # of one undisturbed opening; the test below says when that changes
HANDOVER = 13  # the one that hands the signed deposit over; before it no money can move
MIB = 1 << 20


@dataclass
class World:
    """A chain, and the folder of a payer who is killed again and again."""

    served: Endpoint
    rpc: JsonRpc
    folder: Path

    @property
    def books(self) -> Path:
        return self.folder / "chain" / str(DEV.chain_id)

    def start(self, size_bytes: int = 0) -> forks.Process:
        command = [sys.executable, str(SCRIPT), self.served.url, str(self.folder), str(size_bytes)]
        environment = {**os.environ, "PYTHONPATH": str(forks.ROOT)}
        return forks.Process(command, stdout=forks.PIPE, stderr=forks.PIPE, env=environment)

    async def undisturbed(self, size_bytes: int = 0) -> list[list[str]]:
        """What it says, word by word, when nobody kills it."""
        process = self.start(size_bytes)
        out, err = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0, err.decode()
        return [line.split() for line in out.decode().splitlines()]

    async def check_deposited_once(self) -> None:
        """One deposit left the wallet and is in the one channel, and nothing is left to be done."""
        ((_, channel, units),) = await self.undisturbed()
        assert int(units) == BUDGET.deposit_units
        state = await Settlement(self.rpc, DEV.contracts["BatchSettlement"]).channel(bytes.fromhex(channel))
        assert state.balance_units == BUDGET.deposit_units
        token = Token(self.rpc, DEV.contracts["TestUSDC"])
        assert 10_000 * 10**6 - await token.balance(WALLET.address) == BUDGET.deposit_units
        assert await self.rpc.nonce(WALLET.address) == 1
        with ChannelBook.open(self.books / "channels.sqlite3") as book:
            assert book.unfinished_deposits(WALLET.address) == []
            known = [own.channel_id.hex() for own in book.of_authorizer(HOT.address)]
        assert channel in known
        with SpentLedger.open(self.books / "spent.sqlite3") as spent:
            assert [deposit.channel_id.hex() for deposit in spent.deposits()] == [channel]


def _run(test: Callable[[World], Awaitable[None]], folder: Path) -> None:
    async def whole() -> None:
        async with endpoint() as served, JsonRpc(served.url, DEV.chain_id, sleep=no_sleep) as rpc:
            await test(World(served, rpc, folder))

    asyncio.run(whole())


def test_how_many_requests_an_opening_takes(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        bodies: list[str] = []
        world.served.whole = lambda body: bodies.append(json.dumps(body))
        await world.undisturbed()
        assert len(bodies) == REQUESTS
        assert "eth_sendRawTransaction" in bodies[HANDOVER - 1]

    _run(test, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before it is answered", "after it was done"])
@pytest.mark.parametrize("request_number", [1, 8, *range(HANDOVER - 2, REQUESTS + 1)])
def test_killed_at_a_request_it_still_deposits_once(tmp_path: Path, request_number: int, after: bool) -> None:
    async def test(world: World) -> None:
        process = world.start()
        requests = 0

        def kill(body: Any) -> web.Response | None:
            nonlocal requests
            requests += 1
            if requests != request_number:
                return None
            done = answer(world.served.chain, json.dumps(body).encode()) if after else b""
            process.kill()
            return web.Response(body=done)

        world.served.whole = kill
        await asyncio.to_thread(process.communicate)
        assert process.returncode == -signal.SIGKILL
        world.served.whole = lambda body: None
        await world.check_deposited_once()

    _run(test, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_while_it_pays_it_never_promised_more_than_it_verified(tmp_path: Path, seed: int) -> None:
    """Killed again and again; what the payee heard is in the books, and both are no more than what was verified."""
    rng = random.Random(seed)

    async def test(world: World) -> None:
        verified_parts = promised_units = 0
        channel = ""
        for _ in range(3):
            process = world.start(MIB)
            assert process.stdout is not None
            lines_left = rng.randrange(1, 60)
            while line := (await asyncio.to_thread(process.stdout.readline)).decode():
                word, first, *_ = line.split()
                channel = first if word == "channel" else channel
                verified_parts += int(first) if word == "verified" else 0
                promised_units = max(promised_units, int(first)) if word == "promised" else promised_units
                lines_left -= 1
                if lines_left == 0:
                    process.kill()
            await asyncio.to_thread(process.communicate)
            with SpentLedger.open(world.books / "spent.sqlite3") as spent:
                signed_units = spent.signed_units(bytes.fromhex(channel)) if channel else 0
                paid_parts = sum(line.parts for line in spent.spendings())
            assert promised_units <= signed_units <= whole_units(verified_parts)
            assert paid_parts == signed_units << PART_BITS
            with ChannelBook.open(world.books / "channels.sqlite3") as book:
                assert all(promised_units <= own.signed_units <= signed_units for own in book.of_payer(WALLET.address))
        said = await world.undisturbed(MIB)
        verified_parts += sum(int(first) for word, first, *_ in said if word == "verified")
        uncounted_parts = 3 * parts_of(BLOCK_BYTES_MAX, PRICE)  # blocks told of and not counted before a kill
        assert int(said[-1][1]) >= whole_units(verified_parts - uncounted_parts), "what was verified is paid in the end"
        assert await world.rpc.nonce(WALLET.address) == 1

    _run(test, tmp_path)
