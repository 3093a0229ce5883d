"""A transaction happens once: refused before it costs, found again, sent again, raised, replaced, thrown out."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.chain.endpoint import Endpoint, HangUpError, Honest, RefuseError, run
from tests.chain.senders import PAYEE, PAYER, pay, purse, received_units

from nearcast.chain.devchain.addresses import ALLOWANCE_COLLECTOR, TOKEN
from nearcast.chain.fees import GWEI, FeePolicy
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_wire import RpcError
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import State, TransactionJournal
from nearcast.chain.transaction_signing import Call, Fees, Spend, sign_transaction
from nearcast.errors import ChainError, FundsError, RevertedError, StoreError, UnavailableError


def test_it_is_sent_and_its_receipt_comes_back(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with purse(rpc, tmp_path) as ours:
            sender = ours.sender()
            plan = await sender.plan(pay())
            assert await received_units(rpc) == 0
            sent = await sender.send(pay())
            assert sent.receipt.succeeded
            assert not sent.was_found
            assert sent.receipt.gas_used <= plan.gas <= 1.3 * sent.receipt.gas_used
            assert sent.receipt.fee_wei <= plan.fee_max_wei == plan.cost_max_wei
            assert await received_units(rpc) == 5
            assert sender.unfinished() == []

    run(test)


def test_it_is_on_disk_before_anybody_sees_it(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        path = tmp_path / "transactions.sqlite3"
        found = []

        def look(params: list[str], honest: Honest) -> Any:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as other:
                found.append(other.execute("SELECT raw FROM attempt").fetchall())
            other.close()
            return honest()

        served.twists["eth_sendRawTransaction"] = look
        with purse(rpc, tmp_path) as ours:
            sent = await ours.sender().send(pay())
        assert found == [[(sent.attempt.transaction.raw,)]]
        assert path.stat().st_mode & 0o777 == 0o600

    run(test)


def test_a_refusal_costs_nothing(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with purse(rpc, tmp_path) as ours:
            sender = ours.sender()
            with pytest.raises(RevertedError, match="exceeds balance"):
                await sender.send(pay(10**15))
            with pytest.raises(FundsError, match=r"20,000\.000000 USDC are needed, and 10,000\.000000 USDC are there"):
                await sender.send(pay(spends=(Spend(TOKEN, 20_000 * 10**6),)))
            with pytest.raises(FundsError, match="are allowed") as caught:
                await sender.send(pay(spends=(Spend(TOKEN, 1, ALLOWANCE_COLLECTOR),)))
            assert caught.value.fix == "approve it first"
            with pytest.raises(FundsError, match=r"holds 10000\.000000 ETH, and this takes up to 20000"):
                await sender.send(Call(PAYEE.address, b"", 20_000 * 10**18))
            with pytest.raises(FundsError, match="this takes up to 10000"):  # nothing left for the fee
                await sender.send(Call(PAYEE.address, b"", 10_000 * 10**18))
            assert sender.unfinished() == []
        assert "eth_sendRawTransaction" not in served.asked

    run(test)


def test_the_fee_has_a_ceiling(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with purse(rpc, tmp_path) as ours:
            served.twists["eth_maxPriorityFeePerGas"] = lambda params, honest: hex(10**20)
            plan = await ours.sender().plan(pay())
            assert plan.fees.tip_max_wei == FeePolicy().tip_cap_wei
            served.twists["eth_getBlockByNumber"] = lambda params, honest: {
                **honest(),
                "baseFeePerGas": hex(900 * GWEI),
            }
            with pytest.raises(ChainError, match=r"900\.0 gwei now, and the most we pay is 200"):
                await ours.sender().send(pay())
            del served.twists["eth_getBlockByNumber"]
            served.twists["eth_estimateGas"] = lambda params, honest: hex(10**9)
            with pytest.raises(ChainError, match="a block holds"):
                await ours.sender().send(pay())

    run(test)


def test_the_same_intent_is_not_paid_twice(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with purse(rpc, tmp_path) as ours:
            first = await ours.sender().send(pay(intent="a"), tell=False)
            again = await ours.sender().send(pay(intent="a"))  # nobody was told of the first
            assert (again.hash, again.was_found) == (first.hash, True)
            second = await ours.sender().send(pay(intent="a"))  # but of this one
            assert second.hash != first.hash
            once = await ours.sender().send(pay(intent="b", once=True))
            same = await ours.sender().send(pay(intent="b", once=True))
            assert same.hash == once.hash
            assert await received_units(rpc) == 15

    run(test)


@pytest.mark.parametrize("arrives", [True, False])
def test_the_answer_to_the_handover_is_lost(tmp_path: Path, arrives: bool) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        def once(params: list[str], honest: Honest) -> Any:
            del served.twists["eth_sendRawTransaction"]
            if arrives:
                honest()
            raise HangUpError

        served.twists["eth_sendRawTransaction"] = once
        with purse(rpc, tmp_path) as ours:
            sent = await ours.sender().send(pay(intent="a"))
            assert sent.receipt.succeeded
        assert await received_units(rpc) == 5
        assert await rpc.nonce(PAYER.address) == 1

    run(test)


@pytest.mark.parametrize("words", ["already known", "nonce too low: next nonce 1, tx nonce 0", "AlreadyKnown"])
def test_an_endpoint_that_has_it_already(tmp_path: Path, words: str) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        def has(params: list[str], honest: Honest) -> Any:
            honest()
            raise RefuseError(words)

        served.twists["eth_sendRawTransaction"] = has
        with purse(rpc, tmp_path) as ours:
            assert (await ours.sender().send(pay())).receipt.succeeded
        assert await received_units(rpc) == 5

    run(test)


def test_what_an_endpoint_will_not_take_does_not_stay_in_the_way(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        def refuse(params: list[str], honest: Honest) -> Any:
            raise RefuseError("tx fee (1.00 ether) exceeds the configured cap")

        with purse(rpc, tmp_path) as ours:
            served.twists["eth_sendRawTransaction"] = refuse
            with pytest.raises(RpcError, match="does not take the transaction: tx fee"):
                await ours.sender().send(pay(intent="a"))
            assert ours.sender().unfinished() == []
            served.twists.clear()
            sent = await ours.sender().send(pay(intent="a"))
            assert (sent.attempt.nonce, sent.was_found) == (0, False)

            def poor(params: list[str], honest: Honest) -> Any:
                raise RefuseError("insufficient funds for gas * price + value: balance 1, tx cost 2")

            served.twists["eth_sendRawTransaction"] = poor
            with pytest.raises(FundsError, match=r"holds 9999\.9"):
                await ours.sender().send(pay(intent="c"))
        assert await received_units(rpc) == 5

    run(test)


def test_another_hash_than_the_signed_one_is_a_lie(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        served.twists["eth_sendRawTransaction"] = lambda params, honest: "0x" + "77" * 32
        with purse(rpc, tmp_path) as ours:
            with pytest.raises(ChainError, match="another hash"):
                await ours.sender().send(pay(intent="a"))
            assert len(ours.sender().unfinished()) == 1  # it may still happen
            served.twists.clear()
            assert (await ours.sender().send(pay(intent="a"))).was_found
        assert await received_units(rpc) == 5

    run(test)


def test_it_waits_for_confirmations(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with purse(rpc, tmp_path, lambda sleeps: served.chain.mine()) as ours:
            sent = await ours.sender(confirmations=3).send(pay())
            assert await rpc.head() == sent.receipt.block_number + 2
            assert ours.time.sleeps == 2

    run(test)


def test_a_reorganisation_throws_it_out_and_it_goes_in_again(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        chain = served.chain
        before = chain.snapshot()
        seen: list[State] = []

        def meanwhile(sleeps: int) -> None:
            seen.append(ours.sender().unfinished()[0].state)
            if sleeps == 1:
                chain.revert(before)
                chain.pool = type(chain.pool)()  # and forgotten
                chain.mine()
            else:
                chain.mine()

        with purse(rpc, tmp_path, meanwhile) as ours:
            sent = await ours.sender(confirmations=3).send(pay())
            assert sent.receipt.block_number == 2
            assert seen[:2] == [State.MINED, State.PENDING]
        assert await received_units(rpc) == 5

    run(test)


def test_a_stuck_transaction_is_offered_more(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with purse(rpc, tmp_path) as ours:

            def meanwhile(sleeps: int) -> None:
                if len(ours.journal.of_nonce(PAYER.address, 0)) == 3:
                    served.chain.mine()

            ours.time.meanwhile = meanwhile
            sent = await ours.sender().send(pay(intent="a"))
            newest, middle, first = ours.journal.of_nonce(PAYER.address, 0)
            assert sent.hash == newest.hash
            assert [newest.state, middle.state, first.state] == [State.CONFIRMED, State.REPLACED, State.REPLACED]
            for dearer, cheaper in ((newest, middle), (middle, first)):
                assert dearer.transaction.fees.fee_max_wei >= 1.125 * cheaper.transaction.fees.fee_max_wei
                assert dearer.transaction.fees.tip_max_wei >= 1.125 * cheaper.transaction.fees.tip_max_wei
        assert await received_units(rpc) == 5

    run(test, automine=False)


def test_it_never_offers_more_than_the_cap_and_gives_up_in_time(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with purse(rpc, tmp_path) as ours:
            policy = FeePolicy(fee_cap_wei=4 * GWEI)
            with pytest.raises(UnavailableError, match="not confirmed yet") as caught:
                await ours.sender(policy=policy).send(pay(intent="a"))
            assert "same command again" in str(caught.value.fix)
            offered = [each.transaction.fees.fee_max_wei for each in ours.journal.of_nonce(PAYER.address, 0)]
            assert len(offered) > 1
            assert max(offered) <= 4 * GWEI
            served.chain.mine()
            assert (await ours.sender().send(pay(intent="a"))).was_found
        assert await received_units(rpc) == 5

    run(test, automine=False)


def test_a_gap_below_what_waits_is_filled_after_a_restart(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with purse(rpc, tmp_path) as ours:
            for intent in ("a", "b"):
                with pytest.raises(UnavailableError):
                    await ours.sender(patience_s=0.0).send(pay(intent=intent))
            lost, kept = ours.sender().unfinished()
            assert (lost.nonce, kept.nonce) == (0, 1)
            served.chain.pool.remove(lost.hash)
            served.chain.mine()
            assert await received_units(rpc) == 0
            ours.time.meanwhile = lambda sleeps: served.chain.mine()
            outcomes = await ours.sender().resume()
            assert [type(each).__name__ for each in outcomes] == ["Sent", "Sent"]
            assert ours.sender().unfinished() == []
            assert (await ours.sender().send(pay(intent="a"))).was_found  # not told yet
        assert await received_units(rpc) == 10

    run(test, automine=False)


def test_whoever_waits_above_a_gap_fills_it(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with purse(rpc, tmp_path) as ours:
            with pytest.raises(UnavailableError):
                await ours.sender(patience_s=0.0).send(pay(intent="a"))
            served.chain.pool.remove(ours.sender().unfinished()[0].hash)
            ours.time.meanwhile = lambda sleeps: served.chain.mine()
            sent = await ours.sender().send(pay(intent="b"))
            assert (sent.attempt.nonce, sent.was_found) == (1, False)
        assert await received_units(rpc) == 10

    run(test, automine=False)


def test_a_transaction_that_failed_in_its_block_says_why(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        with purse(rpc, tmp_path) as ours:
            # What the trial saw is not what the block sees.
            served.twists["eth_estimateGas"] = lambda params, honest: hex(200_000)
            served.twists["eth_call"] = lambda params, honest: "0x" if params[1] == "latest" else honest()
            with pytest.raises(RevertedError, match=r"was refused and cost 0\.\d+ ETH: .*exceeds balance"):
                await ours.sender().send(pay(10**15, intent="a"))
            assert ours.journal.of_intent(PAYER.address, "a")[0].state is State.REVERTED
            assert ours.sender().unfinished() == []

    run(test)


def test_a_receipt_in_a_block_that_is_not_on_the_chain(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        other = "0x" + "77" * 32
        served.twists["eth_getTransactionReceipt"] = lambda params, honest: _elsewhere(honest(), other)
        with purse(rpc, tmp_path) as ours, pytest.raises(ChainError, match="receipt in a block that is not"):
            await ours.sender().send(pay())

    run(test)


def _elsewhere(receipt: dict[str, Any] | None, block_hash: str) -> dict[str, Any] | None:
    if receipt is None:
        return None
    logs = [{**log, "blockHash": block_hash} for log in receipt["logs"]]
    return {**receipt, "blockHash": block_hash, "logs": logs}


def test_nobody_answers_after_the_handover(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        def down(params: list[str], honest: Honest) -> Any:
            raise HangUpError

        with purse(rpc, tmp_path) as ours:
            served.twists["eth_blockNumber"] = down
            with pytest.raises(UnavailableError, match="it is written down"):
                await ours.sender().send(pay(intent="a"))
            served.twists.clear()
            assert (await ours.sender().send(pay(intent="a"))).was_found
        assert await received_units(rpc) == 5

    run(test)


def test_two_processes_choose_two_nonces(tmp_path: Path) -> None:
    signer = Signer(PAYER.secret)
    path = tmp_path / "transactions.sqlite3"

    def sign(nonce: int) -> Any:
        return sign_transaction(signer, 31337, nonce, pay(), gas=50_000, fees=Fees(1, 1))

    with TransactionJournal.open(path) as one, TransactionJournal.open(path) as other:
        first, _ = one.begin(signer.address, pay(intent="a"), 3, sign)
        second, _ = other.begin(signer.address, pay(intent="b"), 3, sign)
        same, is_new = other.begin(signer.address, pay(intent="a"), 3, sign)
        assert (first.nonce, second.nonce) == (3, 4)
        assert (same.hash, is_new) == (first.hash, False)


def test_a_damaged_journal_is_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "transactions.sqlite3"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="journal of transactions") as caught, TransactionJournal.open(path):
        pass
    assert "do not delete" in str(caught.value.fix)
    assert path.read_bytes().startswith(b"not a database")
