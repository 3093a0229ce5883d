"""A watchtower on a real chain: it claims for a payee that is off, with its own ether, and can take nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.chain.endpoint import HangUpError, endpoint, no_sleep
from tests.payments.claim_stage import (
    DAY_S,
    DOMAIN,
    HOT,
    PAYER,
    TERMS,
    USDC,
    WATCHER,
    Heard,
    Stage,
    config_of,
    freeze,
    held,
    id_of,
    on_stage,
)

from nearcast.chain.devchain.protocol import answer
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher
from nearcast.errors import UnavailableError
from nearcast.payments.claim_export import ClaimExport
from nearcast.payments.claim_files import authorize, claim_line
from nearcast.payments.claim_sending import Tools
from nearcast.payments.watched_files import WatchedFiles
from nearcast.payments.watchtower import Watchtower
from nearcast.telemetry import Telemetry

FIRST, SECOND, THIRD = config_of(1), config_of(2), config_of(3)


def tower(stage: Stage, *places: Path, stations: list[Tools] | None = None) -> Watchtower:
    files = WatchedFiles(
        places,
        TERMS.chain_id,
        TERMS.settlement,
        tell=lambda path, line, why: stage.telemetry.event("fault", path=path, line=line, why=why),
    )
    stations = stations or [stage.tools(account=WATCHER)]
    return Watchtower(stations, files, poll_s=0.02, telemetry=stage.telemetry)


def export(stage: Stage, path: Path) -> None:
    """What the payee's node writes."""
    ClaimExport(path, TERMS, Signer(HOT.secret)).update(stage.ledger.channels())


@asynccontextmanager
async def watching(telemetry: Telemetry, watchtower: Watchtower) -> AsyncIterator[Heard]:
    heard = Heard(telemetry)
    task = asyncio.create_task(watchtower.run())
    try:
        yield heard
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended


def test_a_withdrawal_is_answered_for_a_payee_that_is_off(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST, SECOND)
        stage.promise(FIRST, 3 * USDC)
        stage.promise(SECOND, 4 * USDC)
        export(stage, tmp_path / "claims")
        async with watching(stage.telemetry, tower(stage, tmp_path / "claims")) as heard:
            await stage.withdraw(FIRST, 10 * USDC)
            assert (await heard.until("withdrawal_begun"))["channel"] == id_of(FIRST).hex()
            said = await heard.until("claimed")
        assert (said["units"], said["settled_units"], said["channels"]) == (3 * USDC, 0, 1)
        assert (await stage.sent_by(WATCHER), await stage.sent_by(HOT)) == (1, 0)
        stage.later(DAY_S)
        await stage.do(PAYER, stage.settlement.finalize_withdraw(FIRST))
        assert await stage.claimed_units(FIRST) == 3 * USDC
        assert await stage.claimed_units(SECOND) == 0

    on_stage(tmp_path, test)


def test_claiming_now_pays_the_payee_and_nobody_else(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST, SECOND, THIRD)
        for config, units in ((FIRST, 3), (SECOND, 4), (THIRD, 11 * USDC)):
            stage.promise(config, units)
        export(stage, tmp_path / "claims")
        watchtower = tower(stage, tmp_path / "claims")
        (receipt,) = await watchtower.claim_now()
        assert {each.channel_id for each in receipt.claimed} == {id_of(FIRST), id_of(SECOND)}  # the third is overdrawn
        assert (receipt.settled_units, await stage.received_units()) == (7, 7)
        assert await watchtower.claim_now() == []
        assert await stage.sent_by(WATCHER) == 1

    on_stage(tmp_path, test)


def test_a_newer_file_is_claimed_by(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, 5)
        export(stage, tmp_path / "claims")
        async with watching(stage.telemetry, tower(stage, tmp_path / "claims")) as heard:
            await stage.withdraw(FIRST, 10 * USDC)
            assert (await heard.until("claimed"))["units"] == 5
            stage.promise(FIRST, 9)
            export(stage, tmp_path / "claims")
            stage.later(DAY_S // 2 + 1)  # half of the delay is over: it is answered again
            assert (await heard.until("claimed", 2))["units"] == 4

    on_stage(tmp_path, test)


def test_hostile_lines_are_told_of_and_harm_nobody(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, 5)
        export(stage, tmp_path / "good")
        mine = Signer(WATCHER.secret)
        own = config_of(9, receiver=WATCHER.address, receiver_authorizer=WATCHER.address)
        nobody_opened = held(own, 77)
        line = claim_line(
            TERMS.chain_id,
            TERMS.settlement,
            authorize(DOMAIN, own, Voucher(id_of(own), 77), nobody_opened.promise.signature, mine),
        )
        (tmp_path / "bad").write_bytes(line + b"{}\n" + line[:-100] + b"\n")
        heard = Heard(stage.telemetry)
        (receipt,) = await tower(stage, tmp_path / "bad", tmp_path / "good").claim_now()
        assert [each.channel_id for each in receipt.claimed] == [id_of(FIRST)]
        assert [fault["line"] for fault in heard.of("fault")] == [2, 3]

    on_stage(tmp_path, test)


def test_a_payee_that_the_token_has_frozen_still_gets_its_claims_booked(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, 5)
        export(stage, tmp_path / "claims")
        await freeze(stage, TERMS.receiver)
        (receipt,) = await tower(stage, tmp_path / "claims").claim_now()
        assert (receipt.claimed_units, receipt.settled_units) == (5, 0)

    on_stage(tmp_path, test)


def test_another_endpoint_is_asked_when_one_fails(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, 5)
        export(stage, tmp_path / "claims")
        async with endpoint() as broken, JsonRpc(broken.url, TERMS.chain_id, timeout_s=5, sleep=no_sleep) as deaf:

            def hang_up(*_: object) -> object:
                raise HangUpError

            broken.twists["eth_call"] = hang_up
            stations = [stage.tools(account=WATCHER, rpc=deaf), stage.tools(account=WATCHER)]
            async with watching(stage.telemetry, tower(stage, tmp_path / "claims", stations=stations)) as heard:
                await stage.withdraw(FIRST, 10 * USDC)
                assert (await heard.until("claimed"))["units"] == 5
                assert heard.of("watching_failed")[0]["where"] == deaf.place
            stage.served.twists["eth_call"] = hang_up
            with pytest.raises(UnavailableError):
                await tower(stage, tmp_path / "claims", stations=stations).claim_now()

    on_stage(tmp_path, test)


def test_an_endpoint_that_says_once_that_nothing_is_there_does_not_make_it_forget(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, 5)
        export(stage, tmp_path / "claims")

        def behind(params: list[object], honest: object) -> object:
            """Answers for a block in which nobody had opened anything."""
            del stage.served.twists["eth_call"]
            request = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [params[0], "0x0"]}
            return json.loads(answer(stage.served.chain, json.dumps(request).encode()))["result"]

        stage.served.twists["eth_call"] = behind
        watchtower = tower(stage, tmp_path / "claims")
        assert await watchtower.claim_now() == []
        async with watching(stage.telemetry, watchtower) as heard:
            await stage.withdraw(FIRST, 10 * USDC)
            assert (await heard.until("claimed"))["units"] == 5

    on_stage(tmp_path, test)
