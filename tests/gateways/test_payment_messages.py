"""The three headers of x402: what a hostile payer may write there is refused with one kind of error."""

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.chain.deposits import DepositAuthorization, usdc_domain
from nearcast.chain.eip712 import keccak
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import (
    ChannelConfig,
    Voucher,
    channel_id,
    settlement_domain,
    sign_voucher,
    voucher_as_json,
)
from nearcast.errors import RemoteError
from nearcast.gateways.http.payment_messages import (
    Asking,
    ChannelFacts,
    encoded,
    parse_payment,
    receipt,
    required,
)
from nearcast.payments.messages import Promise

PAYER = Signer(keccak(b"payer"))
TOKEN = usdc_domain(31337, b"\x0c" * 20, "USDC")
DOMAIN = settlement_domain(31337)
COLLECTOR = b"\x0d" * 20
CONFIG = ChannelConfig(PAYER.address, PAYER.address, b"\x01" * 20, b"\x02" * 20, TOKEN.contract, 86_400, bytes(32))
ASKING = Asking(b"\x01" * 20, b"\x02" * 20, TOKEN, 86_400, deposit_min_units=50_000)
VOUCHER = Voucher(channel_id(DOMAIN, CONFIG), 7)
SIGNATURE = sign_voucher(DOMAIN, VOUCHER, PAYER)
AUTHORIZATION = DepositAuthorization(PAYER.address, VOUCHER.channel_id, 60_000, 0, 2_000_000_000, 77, COLLECTOR)


def payment(kind: str = "voucher") -> dict[str, Any]:
    """As a client sends it."""
    payload: dict[str, Any] = {
        "type": kind,
        "channelConfig": CONFIG.as_json(),
        "voucher": voucher_as_json(VOUCHER, SIGNATURE),
    }
    if kind == "deposit":
        fields = {"validAfter": "0", "validBefore": "2000000000", "salt": f"0x{77:064x}"}
        signed = {**fields, "signature": f"0x{AUTHORIZATION.sign(TOKEN, PAYER).hex()}"}
        payload["deposit"] = {"amount": "60000", "authorization": {"erc3009Authorization": signed}}
    return {"x402Version": 2, "accepted": {"scheme": "batch-settlement", "network": "eip155:31337"}, "payload": payload}


def parsed(value: object) -> Any:
    return parse_payment(encoded(value), ASKING.network, COLLECTOR)


def test_a_voucher_and_a_deposit_are_read() -> None:
    read = parsed(payment())
    assert (read.config, read.voucher, read.signature, read.deposit) == (CONFIG, VOUCHER, SIGNATURE, None)
    assert read.promise == Promise(7, SIGNATURE)
    with_deposit = parsed(payment("deposit")).deposit
    assert with_deposit.authorization == AUTHORIZATION
    assert with_deposit.signature == AUTHORIZATION.sign(TOKEN, PAYER)


def places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    found = [before] if before else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in pairs:
        found += places(part, (*before, name))
    return found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


@given(kind=st.sampled_from(["voucher", "deposit"]), data=st.data())
def test_whatever_stands_in_a_field_it_is_read_or_refused(kind: str, data: st.DataObject) -> None:
    changed = copy.deepcopy(payment(kind))
    *folders, name = data.draw(st.sampled_from(places(changed)))
    part: Any = changed
    for folder in folders:
        part = part[folder]
    if data.draw(st.booleans()):
        del part[name]
    else:
        part[name] = data.draw(JSON)
    try:
        parsed(changed)
    except RemoteError as error:
        assert "\n" not in error.message  # noqa: PT017


@given(
    st.text(max_size=100) | st.binary(max_size=100).map(lambda raw: base64.b64encode(raw).decode()) | JSON.map(encoded)
)
def test_any_other_header_is_refused(header: str) -> None:
    with pytest.raises(RemoteError):
        parse_payment(header, ASKING.network, COLLECTOR)


@pytest.mark.parametrize("header", ["é", "A" * 16_385, base64.b64encode(b"[" * 9_000).decode(), "", "="])
def test_a_header_that_is_no_json_is_refused(header: str) -> None:
    with pytest.raises(RemoteError):
        parse_payment(header, ASKING.network, COLLECTOR)


def test_a_refund_is_told_how_to_get_its_money() -> None:
    with pytest.raises(RemoteError, match="withdraw from the channel"):
        parsed(payment("refund"))


def test_the_channels_state_is_told_only_where_it_is_known() -> None:
    [plain] = required(ASKING, 7, "http://a/b", "why", None)["accepts"]
    assert not {"channelState", "voucherState"} & plain["extra"].keys()
    assert plain["extra"]["minDeposit"] == "50000"
    facts = ChannelFacts(VOUCHER.channel_id, 100, 7, Promise(7, SIGNATURE))
    told = required(ASKING, 20_000, "http://a/b", "why", facts)
    [known] = told["accepts"]
    assert known["extra"]["minDeposit"] == "100000"
    assert known["extra"]["channelState"]["chargedCumulativeAmount"] == "7"
    assert known["extra"]["voucherState"] == {"signedMaxClaimable": "7", "signature": f"0x{SIGNATURE.hex()}"}
    [lost] = required(ASKING, 7, "", "", ChannelFacts(VOUCHER.channel_id, 100, 9, Promise(0, b"")))["accepts"]
    assert "voucherState" not in lost["extra"]
    assert lost["extra"]["channelState"]["chargedCumulativeAmount"] == "9"


def test_a_receipt_is_read_by_x402() -> None:
    from x402.http.utils import decode_payment_required_header, decode_payment_response_header

    facts = ChannelFacts(VOUCHER.channel_id, 100, 9, Promise(9, SIGNATURE))
    read = decode_payment_response_header(receipt(ASKING, facts, PAYER.address, 2, b"\x05" * 32))
    assert read.success
    assert read.transaction == "0x" + "05" * 32
    assert read.extra is not None
    assert read.extra["chargedAmount"] == "2"
    asked = decode_payment_required_header(encoded(required(ASKING, 7, "http://a/b", "why", facts)))
    assert asked.accepts[0].scheme == "batch-settlement"
    assert json.loads(base64.b64decode(encoded({"a": 1}))) == {"a": 1}
