"""kill -9 at every request that a payment makes: it is paid once, whenever the process died."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests import forks
from tests.chain.endpoint import Endpoint, run
from tests.chain.senders import PAYER, received_units

from nearcast.chain.devchain.protocol import answer
from nearcast.chain.rpc import JsonRpc

SCRIPT = Path(__file__).with_name("killed_sender.py")
REQUESTS = 13  # of one undisturbed payment; the test below says when that changes
HANDOVER = 9  # the one that hands the signed transaction over; before it nothing is signed


def _pay(url: str, folder: Path) -> forks.Process:
    command = [sys.executable, str(SCRIPT), url, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(forks.ROOT)}
    return forks.Process(command, stdout=forks.PIPE, stderr=forks.PIPE, env=environment)


async def _undisturbed(url: str, folder: Path) -> str:
    process = _pay(url, folder)
    out, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, err.decode()
    return out.decode().strip()


def test_how_many_requests_a_payment_takes(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        await _undisturbed(served.url, tmp_path)
        assert len(served.asked) == REQUESTS
        assert served.asked[HANDOVER - 1] == "eth_sendRawTransaction"

    run(test)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before it is answered", "after it was done"])
@pytest.mark.parametrize("request_number", [1, *range(HANDOVER - 1, REQUESTS + 1)])
def test_killed_at_a_request_it_still_pays_once(tmp_path: Path, request_number: int, after: bool) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        process = _pay(served.url, tmp_path)
        requests = 0

        def kill(body: Any) -> web.Response | None:
            nonlocal requests
            requests += 1
            if requests != request_number:
                return None
            done = answer(served.chain, json.dumps(body).encode()) if after else b""
            process.kill()
            return web.Response(body=done)

        served.whole = kill
        await asyncio.to_thread(process.communicate)
        assert process.returncode == -signal.SIGKILL
        served.whole = lambda body: None
        assert len(await _undisturbed(served.url, tmp_path)) == 64
        assert await received_units(rpc) == 5
        assert await rpc.nonce(PAYER.address) == 1

    run(test)


@pytest.mark.slow
def test_killed_again_and_again(tmp_path: Path) -> None:
    """Each start is killed two requests later than the one before, until one gets through."""

    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        for allowed in range(HANDOVER - 2, 3 * REQUESTS, 2):
            process = _pay(served.url, tmp_path)
            left = allowed

            def kill(body: Any, pid: int = process.pid) -> web.Response | None:
                nonlocal left
                left -= 1
                if left <= 0:
                    os.kill(pid, signal.SIGKILL)
                return None

            served.whole = kill
            out, _ = await asyncio.to_thread(process.communicate)
            if out:
                break
        assert await received_units(rpc) == 5
        assert await rpc.nonce(PAYER.address) == 1

    run(test)
