"""Channel ids, vouchers, claims, refunds, deposits: bit by bit those of x402's package and of the contract."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.parties import AUTHORIZER, CHAIN_ID, CONFIG, PAYER, RECEIVER, TOKEN, typed_digest
from tests.contracts.world import World, shared
from x402.mechanisms.evm.batch_settlement import constants as x402
from x402.mechanisms.evm.batch_settlement.encoding import build_erc3009_collector_data, build_erc3009_deposit_nonce
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig as TheirConfig
from x402.mechanisms.evm.batch_settlement.types import VoucherFields
from x402.mechanisms.evm.batch_settlement.utils import compute_channel_id, get_batch_settlement_eip712_domain

from nearcast.chain.deposits import DepositAuthorization, usdc_domain
from nearcast.chain.eip712 import ZERO_ADDRESS, keccak
from nearcast.chain.vouchers import (
    BATCH_SETTLEMENT,
    ERC3009_DEPOSIT_COLLECTOR,
    WITHDRAW_DELAY_MAX_S,
    WITHDRAW_DELAY_MIN_S,
    ChannelConfig,
    Voucher,
    channel_id,
    claim_batch_digest,
    parse_channel_config,
    parse_voucher,
    refund_digest,
    settlement_domain,
    sign_voucher,
    verify_voucher,
    voucher_as_json,
)
from nearcast.errors import RemoteError, UsageError

DOMAIN = settlement_domain(CHAIN_ID)
CHANNEL = channel_id(DOMAIN, CONFIG)
UINT128_MAX = 2**128 - 1

addresses = st.binary(min_size=20, max_size=20).filter(any)
words = st.binary(min_size=32, max_size=32)
amounts = st.integers(0, UINT128_MAX)
configs = st.builds(
    ChannelConfig,
    payer=addresses,
    payer_authorizer=st.one_of(addresses, st.just(ZERO_ADDRESS)),
    receiver=addresses,
    receiver_authorizer=addresses,
    token=addresses,
    withdraw_delay_s=st.integers(WITHDRAW_DELAY_MIN_S, WITHDRAW_DELAY_MAX_S),
    salt=words,
)


@pytest.fixture
def world() -> Iterator[World]:
    with shared().fork() as fork:
        yield fork


def as_theirs(types: dict[str, Any], message: dict[str, Any], chain_id: int = CHAIN_ID) -> bytes:
    return typed_digest(get_batch_settlement_eip712_domain(chain_id), types, message)


@given(configs, st.integers(1, 2**32))
def test_channel_ids_are_those_of_the_package(config: ChannelConfig, chain_id: int) -> None:
    theirs = TheirConfig.from_dict(config.as_json())
    assert compute_channel_id(theirs, chain_id) == f"0x{channel_id(settlement_domain(chain_id), config).hex()}"


@given(words, amounts, amounts, st.integers(0, 2**256 - 1))
def test_voucher_and_refund_digests_are_those_of_the_package(
    channel: bytes, most: int, amount: int, nonce: int
) -> None:
    voucher = {"channelId": channel, "maxClaimableAmount": most}
    assert Voucher(channel, most).digest(DOMAIN) == as_theirs(x402.VOUCHER_TYPES, voucher)
    refund = {"channelId": channel, "nonce": nonce, "amount": amount}
    assert refund_digest(DOMAIN, channel, nonce, amount) == as_theirs(x402.REFUND_TYPES, refund)


claims = st.lists(st.tuples(st.builds(Voucher, words, amounts), amounts), max_size=4)


@given(claims)
def test_claim_batch_digests_are_those_of_the_package(claims: list[tuple[Voucher, int]]) -> None:
    entries = [
        {"channelId": each.channel_id, "maxClaimableAmount": each.max_claimable_units, "totalClaimed": total}
        for each, total in claims
    ]
    assert claim_batch_digest(DOMAIN, claims) == as_theirs(x402.CLAIM_BATCH_TYPES, {"claims": entries})


def test_all_digests_are_those_of_the_contract(world: World) -> None:
    other = replace(CONFIG, salt=keccak(b"other"), payer_authorizer=ZERO_ADDRESS)
    rows = []
    for config, most, total in ((CONFIG, 5, 4), (other, UINT128_MAX, 0)):
        channel = channel_id(DOMAIN, config)
        assert world.settlement.call("getChannelId", config.as_tuple()) == channel
        assert world.settlement.call("getVoucherDigest", channel, most) == Voucher(channel, most).digest(DOMAIN)
        for nonce in (0, 2**256 - 1):
            ours = refund_digest(DOMAIN, channel, nonce, most)
            assert world.settlement.call("getRefundDigest", channel, nonce, most) == ours
        rows.append((((config.as_tuple(), most), b"", total), (Voucher(channel, most), total)))
    theirs = world.settlement.call("getClaimBatchDigest", [row for row, _ in rows])
    assert theirs == claim_batch_digest(DOMAIN, [claim for _, claim in rows])


def test_the_contract_has_the_same_bounds(world: World) -> None:
    said = world.settlement.call("MIN_WITHDRAW_DELAY"), world.settlement.call("MAX_WITHDRAW_DELAY")
    assert said == (WITHDRAW_DELAY_MIN_S, WITHDRAW_DELAY_MAX_S)


def test_the_addresses_are_the_canonical_ones() -> None:
    assert f"0x{BATCH_SETTLEMENT.hex()}" == x402.BATCH_SETTLEMENT_ADDRESS.lower()
    assert f"0x{ERC3009_DEPOSIT_COLLECTOR.hex()}" == x402.ERC3009_DEPOSIT_COLLECTOR_ADDRESS.lower()


@given(words, amounts, st.integers(0, 2**256 - 1))
def test_deposits_by_signature_are_those_of_the_package(channel: bytes, amount: int, salt: int) -> None:
    deposit = DepositAuthorization(PAYER.address, channel, amount, 0, 2_000_000_000, salt)
    assert build_erc3009_deposit_nonce(f"0x{channel.hex()}", hex(salt)) == f"0x{deposit.nonce.hex()}"
    signature = deposit.sign(usdc_domain(CHAIN_ID, TOKEN, "USDC"), PAYER)
    domain = {"name": "USDC", "version": "2", "chainId": CHAIN_ID, "verifyingContract": f"0x{TOKEN.hex()}"}
    message = {
        "from": f"0x{PAYER.address.hex()}",
        "to": f"0x{ERC3009_DEPOSIT_COLLECTOR.hex()}",
        "value": amount,
        "validAfter": 0,
        "validBefore": 2_000_000_000,
        "nonce": deposit.nonce,
    }
    theirs = typed_digest(domain, x402.RECEIVE_AUTHORIZATION_TYPES, message)
    assert deposit.digest(usdc_domain(CHAIN_ID, TOKEN, "USDC")) == theirs
    theirs_data = build_erc3009_collector_data("0", "2000000000", hex(salt), f"0x{signature.hex()}")
    assert deposit.collector_data(signature) == theirs_data


@given(amounts)
def test_a_voucher_is_its_signer_s_and_of_one_chain_contract_and_channel(amount: int) -> None:
    voucher = Voucher(CHANNEL, amount)
    signature = sign_voucher(DOMAIN, voucher, AUTHORIZER)
    assert verify_voucher(DOMAIN, voucher, signature, CONFIG.voucher_signer)
    assert not verify_voucher(DOMAIN, voucher, signature, PAYER.address)
    assert not verify_voucher(DOMAIN, voucher, signature, ZERO_ADDRESS)
    assert not verify_voucher(settlement_domain(CHAIN_ID + 1), voucher, signature, AUTHORIZER.address)
    assert not verify_voucher(settlement_domain(CHAIN_ID, TOKEN), voucher, signature, AUTHORIZER.address)
    other = channel_id(DOMAIN, replace(CONFIG, salt=bytes(32)))
    assert not verify_voucher(DOMAIN, Voucher(other, amount), signature, AUTHORIZER.address)
    assert not verify_voucher(DOMAIN, Voucher(CHANNEL, amount ^ 1), signature, AUTHORIZER.address)


def test_a_voucher_is_no_refund_and_a_refund_no_voucher() -> None:
    """The same three words signed as one kind of statement are worth nothing as another."""
    signature = RECEIVER.sign(refund_digest(DOMAIN, CHANNEL, 0, 7))
    assert not verify_voucher(DOMAIN, Voucher(CHANNEL, 7), signature, RECEIVER.address)


def test_without_an_authorizer_the_payer_signs() -> None:
    assert replace(CONFIG, payer_authorizer=ZERO_ADDRESS).voucher_signer == PAYER.address
    assert CONFIG.voucher_signer == AUTHORIZER.address


@pytest.mark.parametrize(
    "change",
    [
        {"payer": ZERO_ADDRESS},
        {"receiver": ZERO_ADDRESS},
        {"receiver_authorizer": ZERO_ADDRESS},
        {"token": ZERO_ADDRESS},
        {"payer": bytes(19)},
        {"salt": bytes(31)},
        {"withdraw_delay_s": WITHDRAW_DELAY_MIN_S - 1},
        {"withdraw_delay_s": WITHDRAW_DELAY_MAX_S + 1},
    ],
    ids=str,
)
def test_no_channel_that_the_contract_would_refuse(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(CONFIG, **change)


def test_vouchers_that_do_not_fit_the_contract_s_types() -> None:
    for channel, amount in ((bytes(31), 1), (CHANNEL, -1), (CHANNEL, UINT128_MAX + 1)):
        with pytest.raises(UsageError):
            Voucher(channel, amount)
    with pytest.raises(UsageError, match="128 bits"):
        claim_batch_digest(DOMAIN, [(Voucher(CHANNEL, 1), UINT128_MAX + 1)])


@given(configs, amounts)
def test_the_wire_forms_go_there_and_back(config: ChannelConfig, amount: int) -> None:
    assert parse_channel_config(config.as_json()) == config
    assert parse_channel_config(TheirConfig.from_dict(config.as_json()).to_dict()) == config
    voucher = Voucher(CHANNEL, amount)
    signature = sign_voucher(DOMAIN, voucher, AUTHORIZER)
    wire = voucher_as_json(voucher, signature)
    assert parse_voucher(wire) == (voucher, signature)
    assert VoucherFields.from_dict(wire).to_dict() == wire


GOOD_CONFIG = CONFIG.as_json()
GOOD_VOUCHER: dict[str, object] = {
    **voucher_as_json(Voucher(CHANNEL, 5), sign_voucher(DOMAIN, Voucher(CHANNEL, 5), AUTHORIZER))
}
BAD_VALUES: list[object] = [
    None,
    True,
    -1,
    2**300,
    1.5,
    "",
    "0x",
    "0x" + "g" * 40,
    "0x" + "0 " * 20,
    "0x" + "00" * 31 + " 0",
    "0X" + "00" * 32,
    "-1",
    "+1",
    "01",
    "1e3",
    " 1",
    "१",
    "9" * 100_000,
    b"\0" * 20,
    [],
    {},
    "0x" + "00" * 33,
]


@pytest.mark.parametrize("bad", BAD_VALUES, ids=lambda value: repr(value)[:20])
def test_hostile_fields_are_refused(bad: object) -> None:
    for name in GOOD_CONFIG:
        with pytest.raises(RemoteError):
            parse_channel_config({**GOOD_CONFIG, name: bad})
    for name in GOOD_VOUCHER:
        with pytest.raises(RemoteError):
            parse_voucher({**GOOD_VOUCHER, name: bad})


def test_missing_fields_and_other_shapes_are_refused() -> None:
    for name in GOOD_CONFIG:
        with pytest.raises(RemoteError, match=name):
            parse_channel_config({key: value for key, value in GOOD_CONFIG.items() if key != name})
    for other in (None, [], "x", b"", 5, [GOOD_CONFIG]):
        with pytest.raises(RemoteError, match="object"):
            parse_channel_config(other)
        with pytest.raises(RemoteError, match="object"):
            parse_voucher(other)
    with pytest.raises(RemoteError, match="withdraw delay"):
        parse_channel_config({**GOOD_CONFIG, "withdrawDelay": WITHDRAW_DELAY_MIN_S - 1})
    assert parse_channel_config({**GOOD_CONFIG, "unknown": 1}) == CONFIG
    assert parse_channel_config({**GOOD_CONFIG, "withdrawDelay": "86400"}) == CONFIG
