"""Every binding on a development chain, each through its contract's whole business, as people would go about it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.chain.endpoint import Endpoint, no_sleep, run

from nearcast.chain.bindings.blacklist import EVERYWHERE, Blacklist, ListedBy
from nearcast.chain.bindings.court import Court
from nearcast.chain.bindings.governance import Governor, Proposal, ProposalState, Timelock, Vote
from nearcast.chain.bindings.origins import Origins, OriginStatus, namespace_id
from nearcast.chain.bindings.registry import Registry
from nearcast.chain.bindings.settlement import AllowanceCollector, Claim, Settlement
from nearcast.chain.bindings.token import Token
from nearcast.chain.deployment import DEPLOYMENTS, DEV, deployment
from nearcast.chain.deposits import DepositAuthorization
from nearcast.chain.devchain.addresses import ACCOUNTS
from nearcast.chain.eip712 import keccak
from nearcast.chain.evidence import BlacklistedOffer, commitment, header_of
from nearcast.chain.offers import Offer, court_domain, sign_offer
from nearcast.chain.registration import Registration, registry_domain, sign_registration
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_types import Receipt
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transaction_signing import Call
from nearcast.chain.transactions import Sender
from nearcast.chain.vouchers import (
    ChannelConfig,
    Voucher,
    channel_id,
    claim_batch_digest,
    refund_digest,
    settlement_domain,
    sign_voucher,
)
from nearcast.errors import FundsError, RevertedError, UsageError
from nearcast.keys import identity_from_secret

USDC = 10**6
DAY_S = 86_400
AT = DEV.contracts
SETTLEMENT_DOMAIN = settlement_domain(DEV.chain_id)
Do = Callable[[int, Call], Awaitable[Receipt]]


def on_chain(tmp_path: Path, test: Callable[[Endpoint, JsonRpc, Do], Awaitable[None]]) -> None:
    """Run a test with a function that sends for the n-th account."""

    async def whole(served: Endpoint, rpc: JsonRpc) -> None:
        with TransactionJournal.open(tmp_path / "transactions.sqlite3") as journal:

            async def do(index: int, call: Call) -> Receipt:
                sender = Sender(rpc, Signer(ACCOUNTS[index].secret), journal, sleep=no_sleep)
                return (await sender.send(call)).receipt

            await test(served, rpc, do)

    run(whole)


def later(served: Endpoint, seconds: int) -> None:
    served.chain.increase_time(seconds)
    served.chain.mine()


def config(salt: bytes = b"s" * 32) -> ChannelConfig:
    payer, receiver = ACCOUNTS[1].address, ACCOUNTS[2].address
    return ChannelConfig(payer, payer, receiver, receiver, AT["TestUSDC"], DAY_S, salt)


def claim_of(channel: ChannelConfig, units: int) -> Claim:
    voucher = Voucher(channel_id(SETTLEMENT_DOMAIN, channel), units)
    return Claim(channel, voucher, sign_voucher(SETTLEMENT_DOMAIN, voucher, Signer(ACCOUNTS[1].secret)), units)


def test_the_token(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc, do: Do) -> None:
        token = Token(rpc, AT["TestUSDC"])
        me, other = ACCOUNTS[1].address, ACCOUNTS[2].address
        await do(1, token.transfer(other, 5))
        assert await token.balance(me) == 10_000 * USDC - 5
        await do(1, token.approve(other, 7))
        assert await token.allowance(me, other) == 7
        deadline_s = served.chain.now_s() + DAY_S
        signature = await token.sign_permit(Signer(ACCOUNTS[1].secret), other, 9, deadline_s)
        await do(3, token.permit(me, other, 9, deadline_s, signature))
        assert await token.allowance(me, other) == 9
        assert await token.nonce(me) == 1
        assert not await token.is_blacklisted(me)
        assert not await token.is_used(me, bytes(32))
        await do(1, token.faucet())
        assert await token.faucet_available_at(me) > served.chain.now_s()
        with pytest.raises(RevertedError, match="once a day"):
            await do(1, token.faucet())
        with pytest.raises(FundsError, match="are there"):
            await do(1, token.transfer(other, 10**12))

    on_chain(tmp_path, test)


def test_a_channel(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc, do: Do) -> None:
        token, settlement = Token(rpc, AT["TestUSDC"]), Settlement(rpc, AT["BatchSettlement"])
        collector = AllowanceCollector(rpc, AT["AllowanceDepositCollector"])
        channel = channel_id(SETTLEMENT_DOMAIN, config())
        assert (await settlement.channel(channel)).balance_units == 0
        with pytest.raises(FundsError, match="are allowed") as caught:
            await do(1, collector.deposit(config(), 10 * USDC))
        assert caught.value.fix == "approve it first"
        await do(1, token.approve(collector.address, 10 * USDC))
        opened = await do(1, collector.deposit(config(), 10 * USDC, intent="open"))
        names = [event.name for log in opened.logs if (event := settlement.event(log)) is not None]
        assert names == ["ChannelCreated", "Deposited"]
        assert (await do(1, collector.deposit(config(), 10 * USDC, intent="open"))).block_hash == opened.block_hash

        more = DepositAuthorization(ACCOUNTS[1].address, channel, 2 * USDC, 0, served.chain.now_s() + DAY_S, 77)
        signature = more.sign(await token.domain(), Signer(ACCOUNTS[1].secret))
        await do(5, settlement.deposit_by_authorization(config(), more, signature, intent="more"))
        assert await token.is_used(ACCOUNTS[1].address, more.nonce)

        rows = [claim_of(config(), 3 * USDC), claim_of(config(b"no" * 16), USDC)]
        receipt = await do(2, settlement.claim_and_settle(rows, ACCOUNTS[2].address, AT["TestUSDC"]))
        events = [event for log in receipt.logs if (event := settlement.event(log)) is not None]
        assert [event.name for event in events] == ["Claimed", "ClaimSkipped", "Settled"]
        skipped = await settlement.events("ClaimSkipped", 0, receipt.block_number)
        assert [event.arguments["channelId"] for event in skipped] == [rows[1].voucher.channel_id]
        other = await settlement.events("Claimed", 0, receipt.block_number, topics=[[b"?" * 32]])
        assert other == []
        paid = await settlement.receiver(ACCOUNTS[2].address, AT["TestUSDC"])
        assert (paid.claimed_units, paid.settled_units) == (3 * USDC, 3 * USDC)

        batch = [claim_of(config(), 4 * USDC)]
        digest = claim_batch_digest(SETTLEMENT_DOMAIN, [(batch[0].voucher, batch[0].total_units)])
        await do(6, settlement.claim_with_signature(batch, Signer(ACCOUNTS[2].secret).sign(digest)))
        state = await settlement.channel(channel)
        assert (state.balance_units, state.claimed_units, state.available_units) == (12 * USDC, 4 * USDC, 8 * USDC)

        refund = refund_digest(SETTLEMENT_DOMAIN, channel, state.refund_nonce, USDC)
        by_receiver = Signer(ACCOUNTS[2].secret).sign(refund)
        await do(6, settlement.refund_with_signature(config(), USDC, state.refund_nonce, by_receiver))
        await do(2, settlement.refund(config(), USDC))
        await do(1, settlement.initiate_withdraw(config(), 2 * USDC))
        assert (await settlement.channel(channel)).pending_units == 2 * USDC
        with pytest.raises(RevertedError, match="waiting time has not passed"):
            await do(1, settlement.finalize_withdraw(config()))
        later(served, DAY_S)
        await do(1, settlement.finalize_withdraw(config()))
        assert (await settlement.channel(channel)).available_units == 4 * USDC

    on_chain(tmp_path, test)


HOT_KEY = Signer(keccak(b"hot"))
ENDPOINT = identity_from_secret(keccak(b"endpoint"))


async def register(rpc: JsonRpc, do: Do, index: int = 3, mbps: int = 1000) -> Registry:
    registry, token = Registry(rpc, AT["Registry"]), Token(rpc, AT["TestUSDC"])
    operator = ACCOUNTS[index].address
    declared = Registration(operator, HOT_KEY.address, ENDPOINT.endpoint_id, mbps, "DE", 1000, ("https://a.example/",))
    domain = registry_domain(DEV.chain_id, registry.address)
    nonce = await registry.nonce(operator)
    signed = sign_registration(domain, declared, nonce, hot_key=HOT_KEY, endpoint=ENDPOINT)
    await do(index, token.approve(registry.address, 2_000 * USDC))
    await do(index, registry.register(signed))
    return registry


def test_a_node(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc, do: Do) -> None:
        registry = await register(rpc, do)
        operator, bond = ACCOUNTS[3].address, await registry.bond_for(1000)
        node = await registry.node(operator)
        assert node.is_registered
        assert await registry.is_active(operator)
        assert (node.hot_key, node.mbps, node.region) == (HOT_KEY.address, 1000, b"DE")
        assert node.bonded_units == node.required_units == bond
        assert await registry.hot_key_owner(HOT_KEY.address) == operator
        await do(3, registry.top_up(operator, AT["TestUSDC"], 5 * USDC))
        await do(3, registry.unbond(5 * USDC))
        with pytest.raises(RevertedError, match="must have bonded"):
            await do(3, registry.unbond(1))
        [leaving] = await registry.unbondings(operator)
        assert leaving.amount_units == 5 * USDC
        later(served, 15 * DAY_S)
        assert await registry.withdrawable(operator) == 5 * USDC
        await do(3, registry.withdraw(operator))
        [record] = await registry.events("NodeRecord", 0, await rpc.head(), topics=[[operator]])
        assert record.arguments["urls"] == ("https://a.example/",)
        await do(3, registry.deregister())
        assert not (await registry.node(operator)).is_registered

    on_chain(tmp_path, test)


def test_an_origin_by_a_vote(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc, do: Do) -> None:
        registry = await register(rpc, do)
        origins, governor = Origins(rpc, AT["Origins"]), Governor(rpc, AT["NearcastGovernor"])
        publisher, operator = ACCOUNTS[4].address, ACCOUNTS[3].address
        await do(4, origins.propose("films", operator))
        space = namespace_id(publisher, "films")
        [namespace] = await origins.namespaces()
        assert (namespace.namespace_id, namespace.publisher, namespace.label) == (space, publisher, "films")
        assert await origins.status(space, operator) is OriginStatus.PROPOSED

        later(served, 200 * DAY_S)
        assert await registry.votes(operator) > 0
        proposal = Proposal((origins.recognise(space, operator),), "Recognise the films' origin")
        number = await governor.proposal_id(proposal)
        with pytest.raises(RevertedError, match="no such proposal"):
            await governor.state(number)
        await do(3, governor.propose(proposal))
        assert await governor.state(number) is ProposalState.PENDING
        times = await governor.times(number)
        later(served, times.snapshot_at - served.chain.now_s() + 1)
        await do(3, governor.vote(number, Vote.FOR, reason="they are good"))
        assert await governor.has_voted(number, operator)
        assert (await governor.tally(number)).in_favour >= await governor.quorum(times.snapshot_at)
        later(served, (await governor.times(number)).deadline_at - served.chain.now_s() + 1)
        await do(5, governor.queue(proposal))
        assert await governor.state(number) is ProposalState.QUEUED
        later(served, await Timelock(rpc, AT["NearcastTimelock"]).delay() + 1)
        await do(5, governor.execute(proposal))
        assert await governor.state(number) is ProposalState.EXECUTED
        assert await origins.is_recognised(space, operator)
        [origin] = await origins.origins(space)
        assert (origin.status, origin.is_active) == (OriginStatus.RECOGNISED, True)
        await do(4, origins.renounce("films", operator))
        assert not await origins.is_recognised(space, operator)

    on_chain(tmp_path, test)


def test_a_conviction(tmp_path: Path) -> None:
    async def test(served: Endpoint, rpc: JsonRpc, do: Do) -> None:
        registry = await register(rpc, do)
        blacklist, court, token = Blacklist(rpc, AT["Blacklist"]), Court(rpc, AT["Court"]), Token(rpc, AT["TestUSDC"])
        digest, operator, challenger = b"d" * 32, ACCOUNTS[3].address, ACCOUNTS[6].address
        assert await blacklist.guardian() == ACCOUNTS[0].address
        await do(0, blacklist.add_emergency(digest, EVERYWHERE, 3))
        snapshot, entries = await blacklist.sync(await rpc.head())
        assert entries is not None
        assert [(entry.digest, entry.source) for entry in entries] == [(digest, ListedBy.GUARDIAN)]
        assert snapshot.count == 1
        later(served, 3 * 3600)

        header = header_of(await rpc.ask("eth_getBlockByNumber", "latest", False))
        block = await rpc.block()
        assert block is not None
        assert block.header == header.encoded
        domain = court_domain(DEV.chain_id, court.address)
        offer = Offer(digest, challenger, 1000, 5, header.number, header.hash)
        evidence = BlacklistedOffer(offer, sign_offer(domain, offer, HOT_KEY), header)
        promise = commitment(challenger, evidence.hash(domain), b"s" * 32)
        await do(6, token.approve(court.address, await court.challenge_bond()))
        await do(6, court.commit(promise, [header.number]))
        assert await court.anchor_of(header.number) == header.hash
        docket = await court.docket(challenger)
        assert promise.startswith(docket.commitment_prefix)
        with pytest.raises(RevertedError, match="may be revealed from"):
            await do(6, court.reveal(evidence, b"s" * 32))
        later(served, docket.reveal_from - served.chain.now_s() + 1)
        bonded = (await registry.node(operator)).bonded_units
        await do(6, court.reveal(evidence, b"s" * 32))
        assert await court.convictions(operator) == 1
        assert (await registry.node(operator)).bonded_units == bonded - bonded * 5 // 100
        free = (await court.docket(challenger)).free_units
        before = await token.balance(challenger)
        await do(6, court.withdraw(challenger))
        assert await token.balance(challenger) == before + free > before

    on_chain(tmp_path, test)


def test_importing_a_binding_is_light() -> None:
    """eth-abi, eth-account and the machine take half a second and more, and no command needs them for a read."""

    async def loaded() -> str:
        code = "import sys, nearcast.chain.bindings.settlement, nearcast.chain.transactions; print(*sys.modules)"
        process = await asyncio.create_subprocess_exec(
            __import__("sys").executable, "-c", code, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return out.decode()

    modules = set(asyncio.run(loaded()).split())
    assert "nearcast.chain.transactions" in modules
    assert not modules & {"eth_abi", "eth_account", "eth", "rlp", "web3", "pydantic", "eth_tester"}


def test_the_chains_we_know() -> None:
    assert {each.chain_id for each in DEPLOYMENTS.values()} == {31337, 8453, 84532, 42161, 421614}
    for each in DEPLOYMENTS.values():
        assert each.contracts["BatchSettlement"].hex() == "4020074e9df2ce1dee5a9c1b5c3f541d02a10003"
    with pytest.raises(UsageError, match="mainnet") as caught:
        deployment("mainnet")
    assert "base-sepolia" in str(caught.value.fix)


def test_usdc_is_where_x402_pays_with_it() -> None:
    from x402.mechanisms.evm.default_assets import DEFAULT_ASSETS

    listed = repr(DEFAULT_ASSETS).lower()
    for each in DEPLOYMENTS.values():
        if each.name != "dev":
            assert each.contracts["TestUSDC"].hex() in listed, each.name
