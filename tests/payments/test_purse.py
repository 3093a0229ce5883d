"""Channels of a purse on a real chain: opened, found again, filled, avoided; nothing is deposited twice."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.chain.endpoint import HangUpError
from tests.payments.payees import BUDGET, DOMAIN, HOT, PRICE, ROOT, WALLET, Payee, Payers, offer_of, run

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.bindings.token import Token
from nearcast.chain.channels import OwnChannel, PlannedDeposit
from nearcast.chain.deployment import DEV
from nearcast.chain.devchain.addresses import ACCOUNTS
from nearcast.chain.eip712 import keccak
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transactions import Sender
from nearcast.chain.vouchers import ChannelConfig, channel_id
from nearcast.errors import FundsError, RefusedError, UnavailableError, WalletError
from nearcast.payments.budget import Allowance
from nearcast.payments.credit import cost_units
from nearcast.payments.deposit import deposit_call, planned_deposit

NODE = Payee().record
KIB = 1 << 10


async def _balance(world: Payers) -> int:
    return await Token(world.rpc, DEV.contracts["TestUSDC"]).balance(WALLET.address)


async def _transactions(world: Payers) -> int:
    return await world.rpc.nonce(WALLET.address)


async def _send(world: Payers, signer: Signer, call: object) -> None:
    with TransactionJournal.open(world.folder / "other.sqlite3") as journal:
        await Sender(world.rpc, signer, journal).send(call)  # type: ignore[arg-type]


def test_a_channel_is_opened_once_and_found_again(tmp_path: Path) -> None:
    deposited: list[tuple[int, bool]] = []

    def told(units: int, opens: bool) -> None:
        deposited.append((units, opens))

    async def test(world: Payers) -> None:
        before = await _balance(world)
        async with world.purse() as purse:
            assert not purse.has_channel(NODE)
            channel = await purse.channel_for(NODE, 10, told)
            assert deposited == [(BUDGET.deposit_units, True)]
            config = channel.config
            assert (config.payer, config.payer_authorizer) == (WALLET.address, HOT.address)
            assert (config.receiver, config.receiver_authorizer) == (NODE.operator, NODE.hot_key)
            assert channel.left_units() == BUDGET.deposit_units
            assert await purse.channel_for(NODE, BUDGET.deposit_units, told) is channel
            assert purse.has_channel(NODE)
            assert len(deposited) == 1, "it is there"
        async with world.purse(wallet=None) as purse:
            assert purse.has_channel(NODE)
            again = await purse.channel_for(NODE, 10)
            assert again.channel_id == channel.channel_id
            assert again.left_units() == BUDGET.deposit_units
        assert before - await _balance(world) == BUDGET.deposit_units
        with world.ledger() as spent:
            (deposit,) = spent.deposits()
            assert (deposit.channel_id, deposit.units) == (channel.channel_id, BUDGET.deposit_units)
            assert deposit.fee_wei > 0

    run(test, tmp_path)


def test_downloads_that_begin_together_open_one_channel(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        async with world.purse() as purse:
            channels = await asyncio.gather(*(purse.channel_for(NODE, 10) for _ in range(5)))
            assert len({id(channel) for channel in channels}) == 1
            other = await purse.channel_for(Payee(3).record, 10)
            assert other is not channels[0]
        assert await _transactions(world) == 2

    run(test, tmp_path)


def test_more_is_paid_in_when_what_is_left_does_not_do(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        async with world.purse() as purse:
            channel = await purse.channel_for(NODE, 10)
            more: list[tuple[int, bool]] = []
            needed_units = 3 * BUDGET.deposit_units
            filled = await purse.channel_for(NODE, needed_units, lambda units, opens: more.append((units, opens)))
            assert filled is channel
            assert more == [(2 * BUDGET.deposit_units, False)], "and who pays is told"
            assert channel.left_units() == 3 * BUDGET.deposit_units
            state = await Settlement(world.rpc, DEV.contracts["BatchSettlement"]).channel(channel.channel_id)
            assert state.balance_units == channel.account.capacity_units == 3 * BUDGET.deposit_units
        assert await _transactions(world) == 2

    run(test, tmp_path)


def test_what_was_paid_in_by_hand_is_not_paid_in_again(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        async with world.purse() as purse:
            channel = await purse.channel_for(NODE, 10)
            own = OwnChannel(channel.channel_id, channel.config, 0)
            by_hand = planned_deposit(own, BUDGET.deposit_units, 2_000_000_000, opens=False)
            token = Token(world.rpc, DEV.contracts["TestUSDC"])
            settlement = Settlement(world.rpc, DEV.contracts["BatchSettlement"])
            await _send(world, WALLET, await deposit_call(settlement, token, channel.config, by_hand, WALLET))
            assert await purse.channel_for(NODE, 2 * BUDGET.deposit_units) is channel
            assert channel.left_units() == 2 * BUDGET.deposit_units
        assert await _transactions(world) == 2

    run(test, tmp_path)


def test_what_the_wallet_does_not_have_is_not_paid_in(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        all_units = await _balance(world)
        async with world.purse(replace(BUDGET, deposit_units=2 * all_units)) as purse:
            with pytest.raises(FundsError, match="are needed for a channel") as caught:
                await purse.channel_for(NODE, all_units + 1)
            assert caught.value.fix == "nearcast wallet faucet"
            assert await _transactions(world) == 0
            assert (await purse.channel_for(NODE, 5)).left_units() == all_units
            with pytest.raises(FundsError):
                await purse.channel_for(Payee(3).record, 1)

    run(test, tmp_path)


def test_without_a_wallet_it_says_what_opens_a_channel(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        async with world.purse(wallet=None) as purse:
            with pytest.raises(WalletError, match="no channel to 0x") as caught:
                await purse.channel_for(NODE, 10)
            assert caught.value.fix is not None
            assert caught.value.fix.startswith("nearcast channel open 0x3C44")

    run(test, tmp_path)


def test_two_processes_never_sign_for_one_channel(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        async with world.purse() as one, world.purse() as two:
            opened: list[bool] = []
            first = await one.channel_for(NODE, 10)
            second = await two.channel_for(NODE, 10, lambda _, opens: opened.append(opens))
            assert first.channel_id != second.channel_id
            assert opened == [True], "and who pays is told"
        async with world.purse() as one, world.purse() as two, world.purse(wallet=None) as three:
            found = {(await each.channel_for(NODE, 10)).channel_id for each in (one, two)}
            assert found == {first.channel_id, second.channel_id}
            with pytest.raises(WalletError):
                await three.channel_for(NODE, 10)

    run(test, tmp_path)


def test_a_channel_that_is_being_emptied_is_left_alone(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        async with world.purse() as purse:
            channel = await purse.channel_for(NODE, 10)
        settlement = Settlement(world.rpc, DEV.contracts["BatchSettlement"])
        await _send(world, WALLET, settlement.initiate_withdraw(channel.config, 5))
        async with world.purse() as purse:  # it remembers the money, uses it, and looks at the chain meanwhile
            remembered = await purse.channel_for(NODE, 10)
            assert remembered.channel_id == channel.channel_id
            while remembered.retired is None:
                await world.rpc.head()
            assert not remembered.paying(ROOT, PRICE, Allowance(100)).may_ask(1)
            other = await purse.channel_for(NODE, 10)
            assert other.channel_id != channel.channel_id
            await _send(world, WALLET, settlement.initiate_withdraw(other.config, 5))
            third = await purse.channel_for(NODE, 2 * BUDGET.deposit_units)  # it would have to be filled, and is not
            assert third.channel_id not in (channel.channel_id, other.channel_id)
        async with world.purse(wallet=None) as purse:
            assert (await purse.channel_for(NODE, 10)).channel_id == third.channel_id

    run(test, tmp_path)


def test_a_channel_that_others_could_claim_or_sign_is_not_ours_to_pay_from(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        stranger = Signer(keccak(b"stranger")).address
        token = DEV.contracts["TestUSDC"]
        plain = ChannelConfig(WALLET.address, HOT.address, NODE.operator, NODE.hot_key, token, 86_400, keccak(b"salt"))
        with world.book() as book:
            for config in (
                replace(plain, payer_authorizer=stranger),
                replace(plain, receiver_authorizer=stranger),
                replace(plain, withdraw_delay_s=900),
                replace(plain, receiver=stranger),
            ):
                book.add(channel_id(DOMAIN, config), config)
        async with world.purse(wallet=None) as purse:
            assert not purse.has_channel(NODE)
            with pytest.raises(WalletError):
                await purse.channel_for(NODE, 1)

    run(test, tmp_path)


def test_what_either_book_knows_counts_after_a_restart(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        async with world.purse() as purse:
            channel = await purse.channel_for(NODE, 10)
        with world.book() as book:
            book.sign_up_to(channel.channel_id, 77)  # as a purse that was killed between the two books, the wrong way
        async with world.purse() as purse:
            again = await purse.channel_for(NODE, 10)
            assert again.account.signed_units == 77
            assert again.left_units() == BUDGET.deposit_units - 77
        with world.ledger() as spent:
            assert spent.promised() == {channel.channel_id: 77}

    run(test, tmp_path)


def test_a_deposit_that_was_decided_on_is_made_once(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        config = ChannelConfig(
            WALLET.address, HOT.address, NODE.operator, NODE.hot_key, DEV.contracts["TestUSDC"], 86_400, bytes(32)
        )
        planned = PlannedDeposit(channel_id(DOMAIN, config), 500, b"\x05" * 32, 2_000_000_000, opens=True)
        expired = PlannedDeposit(planned.channel_id, 900, b"\x06" * 32, 1, opens=False)
        with world.book() as book:
            book.add(planned.channel_id, config)
            book.plan_deposit(planned)
            book.plan_deposit(expired)
        for _ in range(2):
            async with world.purse() as purse:
                channel = await purse.channel_for(NODE, 10)
                assert channel.channel_id == planned.channel_id
                assert channel.left_units() == 500
        assert await _transactions(world) == 1
        with world.book() as book:
            assert book.unfinished_deposits(WALLET.address) == []

    run(test, tmp_path)


def test_a_chain_that_is_down_opens_nothing_and_stops_nothing(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        async with world.purse() as purse:
            await purse.channel_for(NODE, 10)

        def hang_up(parameters: object, honest: object) -> object:
            raise HangUpError

        for method in ("eth_call", "eth_blockNumber", "eth_getBlockByNumber", "eth_chainId"):
            world.served.twists[method] = hang_up
        async with world.purse() as purse:
            assert (await purse.channel_for(NODE, 10)).left_units() == BUDGET.deposit_units
            with pytest.raises(UnavailableError):
                await purse.channel_for(Payee(3).record, 10)

    run(test, tmp_path)


def test_a_deposit_that_takes_its_time_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        other = Payee(3).record
        unlocked: list[int] = []

        def wallet() -> Signer:
            unlocked.append(1)
            return WALLET

        async with world.purse(wallet=wallet) as purse:
            await purse.channel_for(other, 10)
        async with world.purse(wallet=wallet) as purse, asyncio.TaskGroup() as tasks:
            world.served.chain.automine = False
            opening = tasks.create_task(purse.channel_for(NODE, 10))
            while "eth_getTransactionReceipt" not in world.served.asked[-3:]:
                await world.rpc.head()
            assert (await purse.channel_for(other, 10)).left_units() == BUDGET.deposit_units
            assert not opening.done()
            world.served.chain.automine = True
            world.served.chain.mine()
            assert (await opening).left_units() == BUDGET.deposit_units
        assert unlocked == [1, 1]

    run(test, tmp_path)


def test_a_liar_is_not_paid_by_this_process_again(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        async with world.purse() as purse:
            channel = await purse.channel_for(NODE, 10)
            paying = channel.paying(ROOT, PRICE, Allowance(100))
            paying.check_offer(ROOT.digest, PRICE, *offer_of(Payee()))
            paying.distrust("bytes that were not those")
            with pytest.raises(RefusedError, match="bytes that were not those"):
                await purse.channel_for(NODE, 10)
            assert not purse.has_channel(NODE)
            assert not paying.may_ask(1)

    run(test, tmp_path)


def test_an_account_of_the_devchain_is_another_payee_than_the_wallet() -> None:
    assert NODE.operator == ACCOUNTS[2].address != WALLET.address
    assert cost_units(KIB, PRICE) == 1
