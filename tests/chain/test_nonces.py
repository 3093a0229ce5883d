"""Another program signs with the same key: a nonce is taken before the handover, or in its middle."""

from pathlib import Path
from typing import Any

import pytest
from tests.chain.devchains import signed
from tests.chain.endpoint import Endpoint, Honest, run
from tests.chain.senders import PAYEE, pay, purse, received_units

from nearcast.chain.rpc import JsonRpc
from nearcast.errors import ChainError


def test_another_program_takes_the_nonce(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        chain = served.chain
        with purse(rpc, tmp_path) as ours:

            def meanwhile(sleeps: int) -> None:
                if sleeps == 1:
                    chain.pool = type(chain.pool)()
                    chain.send(signed(1, 0, PAYEE.address, value=1))
                    chain.mine()

            ours.time.meanwhile = meanwhile
            with pytest.raises(ChainError, match="another transaction of this account took nonce 0"):
                await ours.sender().send(pay(intent="a"))
            assert ours.sender().unfinished() == []
            ours.time.meanwhile = lambda sleeps: chain.mine()
            sent = await ours.sender().send(pay(intent="a"))
            assert (sent.attempt.nonce, sent.was_found) == (1, False)
        assert await received_units(rpc) == 5

    run(test, automine=False)


def test_a_race_for_the_nonce_at_the_handover(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        def lose(params: list[str], honest: Honest) -> Any:
            del served.twists["eth_sendRawTransaction"]
            served.chain.send(signed(1, 0, PAYEE.address, value=1))
            return honest()

        served.twists["eth_sendRawTransaction"] = lose
        with purse(rpc, tmp_path) as ours:
            sent = await ours.sender().send(pay())
            assert sent.attempt.nonce == 1
        assert await received_units(rpc) == 5

    run(test)
