"""The contract, `nearcast.chain`, the x402 package and a calculation by hand agree on every digest, bit by bit."""

from typing import Any

from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.accounts import key_of
from tests.contracts.channels import Channel, batch_digest, settlement_domain, token_domain
from tests.contracts.codec import signature_of, type_of
from tests.contracts.world import World
from x402.mechanisms.evm.batch_settlement import abi as x402_abi
from x402.mechanisms.evm.batch_settlement import constants as x402
from x402.mechanisms.evm.batch_settlement.encoding import build_erc3009_collector_data, build_erc3009_deposit_nonce
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig as X402ChannelConfig
from x402.mechanisms.evm.batch_settlement.utils import compute_channel_id, get_batch_settlement_eip712_domain

from nearcast.chain import vouchers
from nearcast.chain.artifacts import artifact
from nearcast.chain.deposits import DepositAuthorization, usdc_domain

UINT128 = st.integers(0, 2**128 - 1)
UINT256 = st.integers(0, 2**256 - 1)
WORDS = st.binary(min_size=32, max_size=32)
# The world is not changed by views, so all examples may share it.
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def channels(draw: st.DrawFn) -> dict[str, Any]:
    """What a channel is made of, without the world."""
    names = st.text("abc", min_size=1, max_size=4).map(key_of)
    return {
        "payer": draw(names),
        "receiver": draw(names),
        "signer": draw(st.none() | names),
        "authorizer": draw(st.none() | names),
        "token": draw(names),
        "delay_s": draw(st.integers(900, 30 * 86_400)),
        "salt": draw(WORDS),
    }


def text_of(address: bytes) -> str:
    return f"0x{address.hex()}"


def x402_config(channel: Channel) -> X402ChannelConfig:
    payer, signer, receiver, authorizer, token, delay_s, salt = channel.config
    return X402ChannelConfig(
        text_of(payer), text_of(signer), text_of(receiver), text_of(authorizer), text_of(token), delay_s, text_of(salt)
    )


def x402_digest(world: World, types: dict[str, Any], message: dict[str, Any]) -> bytes:
    """As x402's own signers compute it."""
    domain = get_batch_settlement_eip712_domain(world.engine.chain_id)
    signable = encode_typed_data(domain_data=domain, message_types=types, message_data=message)
    return bytes(keccak(b"\x19" + signable.version + signable.header + signable.body))


@EXAMPLES
@given(parts=channels())
def test_channel_ids_agree(world: World, parts: dict[str, Any]) -> None:
    channel = Channel(world, **parts)
    ours = vouchers.settlement_domain(world.engine.chain_id)
    ids = {
        world.settlement.call("getChannelId", channel.config),
        vouchers.channel_id(ours, vouchers.ChannelConfig(*channel.config)),
        bytes.fromhex(compute_channel_id(x402_config(channel), world.engine.chain_id)[2:]),
    }
    assert ids == {channel.id}


@EXAMPLES
@given(parts=channels(), ceiling=UINT128)
def test_voucher_digests_agree(world: World, parts: dict[str, Any], ceiling: int) -> None:
    channel = Channel(world, **parts)
    message = {"channelId": channel.id, "maxClaimableAmount": ceiling}
    digests = {
        world.settlement.call("getVoucherDigest", channel.id, ceiling),
        vouchers.Voucher(channel.id, ceiling).digest(vouchers.settlement_domain(world.engine.chain_id)),
        x402_digest(world, x402.VOUCHER_TYPES, message),
    }
    assert digests == {channel.voucher_digest(ceiling)}


@EXAMPLES
@given(parts=channels(), nonce=UINT256, amount=UINT128)
def test_refund_digests_agree(world: World, parts: dict[str, Any], nonce: int, amount: int) -> None:
    channel = Channel(world, **parts)
    message = {"channelId": channel.id, "nonce": nonce, "amount": amount}
    digests = {
        world.settlement.call("getRefundDigest", channel.id, nonce, amount),
        vouchers.refund_digest(vouchers.settlement_domain(world.engine.chain_id), channel.id, nonce, amount),
        x402_digest(world, x402.REFUND_TYPES, message),
    }
    assert digests == {channel.refund_digest(nonce, amount)}


@EXAMPLES
@given(rows=st.lists(st.tuples(channels(), UINT128, UINT128), max_size=3))
def test_batch_digests_agree(world: World, rows: list[tuple[dict[str, Any], int, int]]) -> None:
    batch = [
        (channel := Channel(world, **parts), channel.row(claimed, ceiling, b"")) for parts, claimed, ceiling in rows
    ]
    entries = [
        {"channelId": channel.id, "maxClaimableAmount": ceiling, "totalClaimed": claimed}
        for channel, ((_, ceiling), _, claimed) in batch
    ]
    claims = [(vouchers.Voucher(channel.id, row[0][1]), row[2]) for channel, row in batch]
    digests = {
        world.settlement.call("getClaimBatchDigest", [row for _, row in batch]),
        vouchers.claim_batch_digest(vouchers.settlement_domain(world.engine.chain_id), claims),
        x402_digest(world, x402.CLAIM_BATCH_TYPES, {"claims": entries}),
    }
    assert digests == {batch_digest(world, batch)}


@EXAMPLES
@given(amount=UINT128, salt=UINT256, valid_before=UINT256)
def test_deposit_authorizations_agree(world: World, amount: int, salt: int, valid_before: int) -> None:
    channel = Channel(world, payer=world.accounts[1], receiver=world.accounts[2])
    data = channel.authorization(amount, salt, valid_before)
    collector = world.erc3009_collector.address
    ours = DepositAuthorization(channel.payer.address, channel.id, amount, 0, valid_before, salt, collector)
    domain = usdc_domain(world.engine.chain_id, world.token.address, "USDC")
    signature = channel.payer.sign(ours.digest(domain))
    assert ours.collector_data(signature) == data
    nonce = build_erc3009_deposit_nonce(text_of(channel.id), f"0x{salt:064x}")
    assert ours.nonce == bytes.fromhex(nonce[2:])
    assert build_erc3009_collector_data("0", str(valid_before), f"0x{salt:064x}", text_of(signature)) == data


def test_the_domains_are_what_the_contracts_say(world: World) -> None:
    for contract, domain in ((world.settlement, settlement_domain(world)), (world.token, token_domain(world))):
        said = contract.call("eip712Domain")
        assert said[1:5] == (domain.name, domain.version, domain.chain_id, domain.contract)
    assert world.token.call("DOMAIN_SEPARATOR") == token_domain(world).separator
    assert text_of(world.settlement.address) == x402.BATCH_SETTLEMENT_ADDRESS.lower()
    assert text_of(world.erc3009_collector.address) == x402.ERC3009_DEPOSIT_COLLECTOR_ADDRESS.lower()


def test_whatever_x402_calls_is_there() -> None:
    """Same names, same types, same results, same indexed members."""
    ours = {(entry["type"], signature_of(entry)): entry for entry in artifact("BatchSettlement").abi if "name" in entry}
    for entry in x402_abi.BATCH_SETTLEMENT_ABI:
        found = ours[entry["type"], signature_of(entry)]
        assert [type_of(part) for part in found.get("outputs", ())] == [type_of(p) for p in entry.get("outputs", ())]
        assert [part.get("indexed") for part in found["inputs"]] == [part.get("indexed") for part in entry["inputs"]]
        assert [part["name"] for part in found.get("outputs", ())] == [p["name"] for p in entry.get("outputs", ())]
