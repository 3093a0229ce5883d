"""Claims when something is wrong: rows, accounts, receivers, endpoints; the others are claimed, and nothing twice."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.chain.endpoint import HangUpError, RefuseError, no_sleep
from tests.payments.claim_stage import (
    HOT,
    RECEIVER,
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

from nearcast.chain.bindings.settlement import Claim
from nearcast.chain.devchain.addresses import TestAccount
from nearcast.chain.eip712 import keccak
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher
from nearcast.errors import FundsError, StoreError
from nearcast.payments.earned import EarnedLedger

FIRST, SECOND = config_of(1), config_of(2)


def test_what_was_not_signed_by_the_payer_is_never_sent(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST, SECOND)
        stage.ledger.record_vouchers([held(FIRST, USDC, signer=Signer(WATCHER.secret)), held(SECOND, USDC)])
        (receipt,) = await stage.settler().claim_now()
        assert [each.channel_id for each in receipt.claimed] == [id_of(SECOND)]
        assert receipt.skipped == {}

    on_stage(tmp_path, test)


def test_a_row_that_the_contract_skips_is_told_of_and_not_sent_again(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST, SECOND)
        stage.promise(FIRST, USDC)
        stage.promise(SECOND, USDC)
        settler = stage.settler()
        view_of, overtaken = settler.look, False

        async def look_and_be_overtaken() -> object:
            """Between the look and the claim somebody claims the first row."""
            nonlocal overtaken
            view = await view_of()
            if not overtaken:
                overtaken = True
                (row,) = [each for each in view.rows if each.channel_id == id_of(FIRST)]
                claim = Claim(row.config, Voucher(row.channel_id, row.units), row.signature, row.units)
                await stage.do(RECEIVER, stage.settlement.claim([claim]))
            return view

        settler.look = look_and_be_overtaken  # type: ignore[method-assign, assignment]
        (receipt,) = await settler.claim_now()
        assert list(receipt.skipped) == [id_of(FIRST)]
        assert [each.channel_id for each in receipt.claimed] == [id_of(SECOND)]
        assert receipt.settled_units == 2 * USDC  # the one that overtook had not settled
        assert stage.telemetry.counters["claim_rows_skipped"] == 1
        assert await settler.claim_now() == []
        assert sum(units for _, units in stage.ledger.claims()[-1].claims) == USDC
        assert stage.ledger.pending() == []

    on_stage(tmp_path, test)


def test_a_receiver_that_the_token_has_frozen_still_gets_its_claims_booked(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, USDC)
        await stage.withdraw(FIRST, 10 * USDC)
        await freeze(stage, RECEIVER.address)
        (receipt,) = await stage.settler().claim_now()
        assert (receipt.claimed_units, receipt.settled_units) == (USDC, 0)

    on_stage(tmp_path, test)


def test_where_one_bad_row_reverts_its_batch_the_others_are_claimed(tmp_path: Path) -> None:
    """As x402's own contract does on public chains."""

    async def test(stage: Stage) -> None:
        configs = [config_of(number) for number in range(5)]
        await stage.open(*configs)
        for config in configs:
            stage.promise(config, USDC)
        bad = config_of(3).salt.hex()

        def refuse(params: list[Any], honest: Callable[[], object]) -> object:
            if "from" in params[0] and bad in params[0]["data"]:
                raise RefuseError("execution reverted", 3)
            return honest()

        stage.served.twists |= {"eth_call": refuse, "eth_estimateGas": refuse}
        heard = Heard(stage.telemetry)
        settler = stage.settler()
        receipts = await settler.claim_now()
        claimed = {each.channel_id for receipt in receipts for each in receipt.claimed}
        assert claimed == {id_of(config) for config in configs} - {id_of(config_of(3))}
        assert await stage.received_units() == 4 * USDC
        assert [said["channel"] for said in heard.of("claim_skipped")] == [id_of(config_of(3)).hex()]
        assert await settler.claim_now() == []
        assert await stage.sent_by(HOT) == len(receipts) <= 3

    on_stage(tmp_path, test)


def test_an_endpoint_that_fails_delays_and_loses_nothing(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, USDC)
        answers = stage.served.twists

        def hang_up(*_: object) -> object:
            raise HangUpError

        for method in ("eth_call", "eth_getBlockByNumber", "eth_sendRawTransaction", "eth_getTransactionReceipt"):
            answers[method] = hang_up
        async with stage.running(stage.settler()) as heard:
            await heard.until("settling_failed")
            for method in list(answers):  # one thing after the other works again
                del answers[method]
                failures = len(heard.of("settling_failed"))
                if answers:
                    await heard.until("settling_failed", failures + 2)
            assert (await heard.until("claimed"))["settled_units"] == USDC
        assert await stage.sent_by(HOT) == 1

    on_stage(tmp_path, test)


@pytest.mark.parametrize("where", ["channels", "record_claims"])
def test_a_disk_that_fails_for_a_while_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, USDC)
        works, failures = getattr(EarnedLedger, where), iter(range(2))

        def fails_at_first(*args: Any) -> object:
            if next(failures, None) is not None:
                raise StoreError("database is locked")
            return works(*args)

        monkeypatch.setattr(EarnedLedger, where, fails_at_first)
        async with stage.running(stage.settler()) as heard:
            await heard.until("settling_failed", 2)
            await heard.until("claimed")
        assert await stage.sent_by(HOT) == 1
        assert stage.ledger.pending() == []

    on_stage(tmp_path, test)


def test_an_account_without_ether_is_told_of_with_its_fix(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        secret = keccak(b"poor")
        poor = TestAccount(0, Signer(secret).address, secret)
        config = config_of(1, receiver_authorizer=poor.address)
        await stage.open(config)
        stage.promise(config, USDC)
        with pytest.raises(FundsError):
            await stage.settler(tools=stage.tools(account=poor)).claim_now()
        async with stage.running(stage.settler(tools=stage.tools(account=poor))) as heard:
            said = await heard.until("settling_failed", 2)
        assert "send it some ETH" in said["fix"]

    on_stage(tmp_path, test)


def test_what_another_must_claim_is_left_to_it(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        by_wallet = config_of(1, receiver_authorizer=RECEIVER.address)
        await stage.open(by_wallet, SECOND)
        stage.promise(by_wallet, USDC)
        stage.promise(SECOND, USDC)
        (receipt,) = await stage.settler().claim_now()
        assert [each.channel_id for each in receipt.claimed] == [id_of(SECOND)]
        (receipt,) = await stage.settler(tools=stage.tools(account=RECEIVER)).claim_now()
        assert [each.channel_id for each in receipt.claimed] == [id_of(by_wallet)]

    on_stage(tmp_path, test)


def test_a_channel_of_the_operator_before_is_paid_to_that_one(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        before = config_of(1, receiver=WATCHER.address)
        await stage.open(before, SECOND)
        stage.promise(before, 3)
        stage.promise(SECOND, 4)
        (receipt,) = await stage.settler().claim_now()
        assert receipt.settled_units == 7
        assert await stage.received_units() == 4
        assert sum(each.settled_units for each in stage.ledger.claims()) == 7

    on_stage(tmp_path, test)


def test_a_lying_endpoint_that_answers_other_questions_is_not_believed(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, USDC)
        stage.served.twists["eth_call"] = lambda params, honest: "0x" + "00" * 31 + "20" + "00" * 32
        async with stage.running(stage.settler()) as heard:
            said = await heard.until("settling_failed")
        assert "the endpoint answers 0 of 2 questions" in said["reason"]

    on_stage(tmp_path, test)


def test_a_command_and_a_node_do_not_claim_the_same_twice(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST, SECOND)
        stage.promise(FIRST, USDC)
        async with JsonRpc(stage.served.url, stage.rpc.expected_chain_id, sleep=no_sleep) as another:
            both = (
                stage.settler(),
                stage.settler(tools=stage.tools(account=RECEIVER, rpc=another)),
            )
            receipts = await asyncio.gather(*(settler.claim_now() for settler in both))
        assert sorted(len(each) for each in receipts) == [0, 1]
        assert await stage.sent_by(HOT) + await stage.sent_by(RECEIVER) == 1

    on_stage(tmp_path, test)
