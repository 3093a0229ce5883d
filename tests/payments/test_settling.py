"""A node's claims on a real chain: when they pay, and at once when a payer withdraws."""

import json
from pathlib import Path

from tests.payments.claim_stage import (
    DAY_S,
    HOT,
    PAYER,
    RECEIVER,
    RULES,
    USDC,
    Stage,
    config_of,
    id_of,
    on_stage,
)

from nearcast.chain.signing import Signer
from nearcast.payments.claim_batches import ClaimRules, expected_gas

FIRST, SECOND, THIRD = config_of(1), config_of(2), config_of(3)
NEVER = ClaimRules(10**15, RULES.usdc_per_eth_units, RULES.poll_s)  # only what is forced


def test_vouchers_become_money_in_one_transaction(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST, SECOND, THIRD)
        stage.promise(FIRST, USDC)
        stage.promise(SECOND, 2 * USDC)
        stage.promise(THIRD, 0)
        async with stage.running(stage.settler()) as heard:
            said = await heard.until("claimed")
        assert (said["units"], said["settled_units"], said["channels"]) == (3 * USDC, 3 * USDC, 2)
        assert await stage.received_units() == 3 * USDC
        assert await stage.sent_by(HOT) == 1
        (booked,) = stage.ledger.claims()
        assert dict(booked.claims) == {id_of(FIRST): USDC, id_of(SECOND): 2 * USDC}
        assert (booked.settled_units, booked.fee_wei) == (3 * USDC, said["fee_wei"])
        assert stage.ledger.pending() == []

    on_stage(tmp_path, test)


def test_it_waits_for_the_threshold_and_then_claims_the_difference(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, USDC - 1)
        settler = stage.settler()
        assert settler.decide(await settler.look()).is_empty
        async with stage.running(settler) as heard:
            stage.promise(FIRST, USDC)
            assert (await heard.until("claimed"))["units"] == USDC
            stage.promise(FIRST, 2 * USDC + 5)
            assert (await heard.until("claimed", 2))["units"] == USDC + 5
        assert await stage.sent_by(HOT) == 2
        assert await stage.received_units() == 2 * USDC + 5

    on_stage(tmp_path, test)


def test_the_operators_own_wallet_may_send_as_well(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, 7)
        (receipt,) = await stage.settler(tools=stage.tools(account=RECEIVER)).claim_now()
        assert (receipt.claimed_units, receipt.settled_units) == (7, 7)
        assert (await stage.sent_by(RECEIVER), await stage.sent_by(HOT)) == (1, 0)

    on_stage(tmp_path, test)


def test_a_withdrawal_is_noticed_and_answered_whatever_the_gas(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        closed: list[bytes] = []
        await stage.open(FIRST, SECOND)
        stage.promise(FIRST, 5)
        stage.promise(SECOND, 6)
        async with stage.running(stage.settler(NEVER, on_withdrawal=closed.append)) as heard:
            await stage.withdraw(FIRST, 10 * USDC)
            begun = await heard.until("withdrawal_begun")
            assert (begun["channel"], begun["claimable_units"], begun["left_s"]) == (id_of(FIRST).hex(), 5, DAY_S)
            assert (await heard.until("claimed"))["units"] == 5
            stage.later(DAY_S)
            await stage.do(PAYER, stage.settlement.finalize_withdraw(FIRST))
        assert closed == [id_of(FIRST)]
        assert await stage.claimed_units(SECOND) == 0  # 6 units do not pay for their gas
        assert await stage.received_units() == 5

    on_stage(tmp_path, test)


def test_a_withdrawal_that_began_while_the_node_was_off_is_answered_at_its_start(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, 3 * USDC)
        await stage.withdraw(FIRST, 10 * USDC)
        stage.later(DAY_S - 60)
        async with stage.running(stage.settler(NEVER)) as heard:
            assert (await heard.until("claimed"))["units"] == 3 * USDC
        stage.later(60)
        receipt = await stage.do(PAYER, stage.settlement.finalize_withdraw(FIRST))
        (paid,) = [event for log in receipt.logs if (event := stage.settlement.event(log)) is not None][:1]
        assert paid.arguments["amount"] == 7 * USDC
        assert await stage.received_units() == 3 * USDC

    on_stage(tmp_path, test)


def test_a_second_withdrawal_is_another_one(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        closed: list[bytes] = []
        await stage.open(FIRST)
        stage.promise(FIRST, 5)
        async with stage.running(stage.settler(NEVER, on_withdrawal=closed.append)) as heard:
            await stage.withdraw(FIRST, USDC)
            await heard.until("claimed")
            stage.later(DAY_S)
            await stage.do(PAYER, stage.settlement.finalize_withdraw(FIRST))
            stage.promise(FIRST, 9)
            await stage.withdraw(FIRST, USDC)
            assert (await heard.until("claimed", 2))["units"] == 4
        assert closed == [id_of(FIRST)] * 2

    on_stage(tmp_path, test)


def test_a_voucher_over_more_than_is_left_brings_what_is_left(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST, units=2 * USDC)
        stage.promise(FIRST, 5 * USDC)
        (receipt,) = await stage.settler().claim_now()
        assert receipt.settled_units == 2 * USDC
        assert await stage.settler().claim_now() == []

    on_stage(tmp_path, test)


def test_what_others_claimed_for_us_is_booked_and_paid_out(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        await stage.open(FIRST)
        stage.promise(FIRST, 2 * USDC)
        row = (await stage.settler().look()).rows[0]
        await stage.do(RECEIVER, stage.settlement.claim([row.claim()]))
        assert (await stage.receiver()).settled_units == 0
        async with stage.running(stage.settler()) as heard:
            assert (await heard.until("claimed"))["settled_units"] == 2 * USDC
        assert stage.ledger.pending() == []
        claims = stage.ledger.claims()
        assert sum(each.settled_units for each in claims) == 2 * USDC
        assert sorted(each.fee_wei > 0 for each in claims) == [False, True]

    on_stage(tmp_path, test)


def test_hundreds_of_channels_go_in_several_transactions(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        configs = [config_of(number) for number in range(25)]
        await stage.open(*configs, units=USDC)
        for config in configs:
            stage.promise(config, USDC // 5)
        rules = ClaimRules(USDC, RULES.usdc_per_eth_units, RULES.poll_s, rows_max=10)
        receipts = await stage.settler(rules).claim_now()
        assert [len(receipt.claimed) for receipt in receipts] == [10, 10, 5]
        assert [receipt.settled_units for receipt in receipts] == [0, 0, 5 * USDC]
        for receipt in receipts:  # the gas that decisions count with is near the truth, and never less
            gas = expected_gas(len(receipt.claimed), rules)
            assert 0.6 * gas < receipt.gas_used < gas
        assert await stage.received_units() == 5 * USDC

    on_stage(tmp_path, test)


def test_the_claim_file_follows_the_vouchers(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        path = tmp_path / "out" / "claims.jsonl"
        await stage.open(FIRST, SECOND)
        stage.promise(FIRST, 5)
        stage.promise(SECOND, 0)
        settler = stage.settler()
        settler.export_to(path, Signer(HOT.secret))
        await settler.look()
        assert [json.loads(line)["voucher"]["maxClaimableAmount"] for line in path.read_bytes().splitlines()] == ["5"]
        assert path.stat().st_mode & 0o777 == 0o600
        written = path.stat().st_ino
        await settler.look()
        assert path.stat().st_ino == written
        stage.promise(FIRST, 6)
        stage.promise(SECOND, 7)
        await settler.look()
        amounts = [json.loads(line)["voucher"]["maxClaimableAmount"] for line in path.read_bytes().splitlines()]
        assert sorted(amounts) == ["6", "7"]

    on_stage(tmp_path, test)
