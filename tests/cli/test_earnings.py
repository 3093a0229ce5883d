"""What a node earned and a client spent, by the commands that people type; and the watchtower's."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cli.chain_world import Chain, address_of, balance_units, with_wallet
from tests.cli.conftest import People, Person

from nearcast.chain.address_text import address_text
from nearcast.chain.hot_key import load_or_create_hot_key
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher, channel_id, parse_channel_config, settlement_domain, sign_voucher
from nearcast.payments.credit import PART_BITS
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.earned_rows import EarnedChannel, Sale, SaleKey
from nearcast.payments.messages import Promise
from nearcast.payments.spent import Line, Signing, SpentLedger

USDC = 10**6
DAY_S = 86_400
DOMAIN = settlement_domain(31337)
ROOT = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
DAY = "2026-11-21"
START_UNITS = 1_000 * USDC  # of the faucet


@dataclass
class Payee:
    """A node's operator, who is paid on one channel; no node runs."""

    person: Person
    payer: Person
    hot: Signer
    config: dict[str, object]

    @property
    def folder(self) -> Path:
        return self.person.data_dir / "chain" / "31337"

    @property
    def channel(self) -> str:
        return f"0x{channel_id(DOMAIN, parse_channel_config(self.config)).hex()}"

    def promise(self, units: int) -> None:
        """A voucher comes, over so much in all, for content."""
        config = parse_channel_config(self.config)
        signer = load_or_create_hot_key(self.payer.data_dir / "hot.key")
        voucher = Voucher(channel_id(DOMAIN, config), units)
        promise = Promise(units, sign_voucher(DOMAIN, voucher, signer))
        channel = EarnedChannel(voucher.channel_id, config, promise, 1_800_000_000, 5 * USDC, 1_800_000_000)
        with EarnedLedger.open(self.folder / "earned.sqlite3") as ledger:
            paid = units - sum(sale.paid_parts for sale in ledger.sales()) // (1 << PART_BITS)
            key = SaleKey(DAY, config.payer, ROOT, "origin")
            sale = Sale(key, paid * 1_000, paid << PART_BITS, paid << PART_BITS)
            ledger.record_vouchers([channel], [sale])


@pytest.fixture
def payee(people: People, chain: Chain) -> Payee:
    operator = with_wallet(people, "operator", chain.url)
    payer = with_wallet(people, "payer", chain.url)
    for person in (operator, payer):
        assert person.run("wallet", "faucet").code == 0
    hot = load_or_create_hot_key(operator.data_dir / "hot.key")
    address = address_of(operator)
    opened = payer.run("channel", "open", address, "5", "--authorizer", f"0x{hot.address.hex()}", "--json").json
    config = payer.run("channel", "show", opened["channel"], "--json").json["config"]
    return Payee(operator, payer, hot, config)


def test_what_was_earned_is_shown_and_claimed(payee: Payee) -> None:
    payee.promise(2_500_001)
    before = payee.person.run("earnings", "--json").json
    assert before["rows"] == [
        {
            "day": DAY,
            "delivered_bytes": 2_500_001_000,
            "earned_units": 2_500_001,
            "paid_parts": 2_500_001 << PART_BITS,
            "delivered_parts": 2_500_001 << PART_BITS,
            "pending_units": None,
            "claimed_units": None,
            "settled_units": None,
            "fee_wei": None,
        }
    ]
    assert (before["total"]["pending_units"], before["channels_pending"]) == (2_500_001, 1)
    shown = payee.person.run("earnings", "claim", "--dry-run", "--json").json
    assert (shown["dry_run"], shown["claimable_units"], shown["from"]) == (True, 2_500_001, address_of(payee.person))
    done = payee.person.run("earnings", "claim", "--json").json
    assert (done["claimed_units"], done["settled_units"], done["channels"], done["skipped"]) == (
        2_500_001,
        2_500_001,
        1,
        [],
    )
    assert balance_units(payee.person) == START_UNITS + 2_500_001
    after = payee.person.run("earnings", "--by", "peer", "--json").json
    total = after["total"]
    assert (total["earned_units"], total["pending_units"], total["claimed_units"], total["settled_units"]) == (
        2_500_001,
        0,
        2_500_001,
        2_500_001,
    )
    assert total["fee_wei"] == done["fee_wei"] > 0
    assert total["fee_units"] == -(-done["fee_wei"] * 3_000_000_000 // 10**18)
    assert after["rows"][0]["payer"] == address_of(payee.payer)
    again = payee.person.run("earnings", "claim")
    assert (again.code, again.text) == (0, "nothing to claim\n")


def test_people_see_a_table_and_spreadsheets_the_same_numbers(payee: Payee) -> None:
    payee.promise(1_234_567)
    lines = payee.person.run("earnings", "--by", "object").text.splitlines()
    assert lines[0].split() == ["Object", "Delivered", "Earned", "USDC"]
    assert lines[1].split() == [ROOT, "1.23", "GB", "1.234567"]
    assert lines[2].split() == ["total", "1.23", "GB", "1.234567"]
    assert "  Pending  1.234567 USDC in 1 channel, promised by vouchers and not claimed yet" in lines
    table = payee.person.run("earnings", "--by", "object", "--csv").text
    (row,) = csv.DictReader(io.StringIO(table))
    assert (row["cid"], row["earned_units"], row["delivered_bytes"], row["fee_wei"]) == (
        ROOT,
        "1234567",
        "1234567000",
        "",
    )
    assert payee.person.run("earnings", "--since", "2026-11-22", "--json").json["rows"] == []
    assert payee.person.run("earnings", "--quiet").text == "1.234567 USDC\n"


def test_a_node_without_a_wallet_claims_with_its_hot_key(payee: Payee, people: People, chain: Chain) -> None:
    payee.promise(USDC)
    wallet = payee.person.data_dir / "wallet.json"
    wallet.rename(payee.person.home / "elsewhere.json")
    poor = payee.person.run("earnings", "claim")
    assert poor.code == 13
    assert f"{address_text(payee.hot.address)} holds 0.000000 ETH" in poor.line()
    moved = payee.person.run("earnings", "claim", "--wallet", "elsewhere.json", "--json").json
    assert moved["settled_units"] == USDC


def test_a_payer_leaves_while_the_node_is_off(payee: Payee, people: People, chain: Chain) -> None:
    payee.promise(3 * USDC)
    exported = payee.person.run("watchtower", "export", "claims.jsonl", "--json").json
    assert (exported["channels"], exported["units"], exported["left_out"]) == (1, 3 * USDC, 0)
    file = payee.person.home / "claims.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    friend = with_wallet(people, "friend", chain.url)
    assert friend.run("wallet", "faucet").code == 0
    started = friend.start("watchtower", "run", str(file), "--poll", "1", "--json")
    assert started.next_json()["channels"] == 1
    assert payee.payer.run("channel", "withdraw", payee.channel).code == 0
    begun, claimed = started.next_json(), started.next_json()
    assert (begun["event"], begun["channel"], begun["claimable_units"]) == (
        "withdrawal_begun",
        payee.channel,
        3 * USDC,
    )
    assert (claimed["event"], claimed["units"]) == ("claimed", 3 * USDC)
    ended = started.end()
    assert (ended.code, json.loads(ended.text)) == (0, {"event": "stopped"})
    chain.travel(DAY_S + 1)
    assert payee.payer.run("channel", "withdraw", payee.channel, "--json").json["amount_units"] == 2 * USDC
    done = payee.person.run("earnings", "claim", "--json").json  # what was claimed for it is paid out
    assert (done["claimed_units"], done["settled_units"]) == (0, 3 * USDC)
    assert balance_units(payee.person) == START_UNITS + 3 * USDC
    total = payee.person.run("earnings", "--json").json["total"]
    assert (total["pending_units"], total["claimed_units"], total["settled_units"]) == (0, 3 * USDC, 3 * USDC)


def test_a_friend_claims_now(payee: Payee, people: People, chain: Chain) -> None:
    payee.promise(USDC)
    assert payee.person.run("watchtower", "export", "claims.jsonl").code == 0
    friend = with_wallet(people, "friend", chain.url)
    assert friend.run("wallet", "faucet").code == 0
    claims = payee.person.home / "claims.jsonl"
    nowhere = ("--rpc", "http://127.0.0.1:9")
    down = friend.run("watchtower", "run", str(claims), "--now", *nowhere)
    assert (down.code, "goes on" in down.stderr, down.stderr.count("nobody answers")) == (4, False, 1)
    dry = friend.run("watchtower", "run", str(claims), "--now", *nowhere, "--also-rpc", nowhere[1])
    assert (dry.code, "goes on" in dry.stderr, dry.stderr.count("nobody answers")) == (4, False, 3)
    done = friend.run("watchtower", "run", str(claims), "--now", "--json").json
    assert (done["claimed_units"], len(done["transactions"])) == (USDC, 1)
    assert balance_units(payee.person) == START_UNITS + USDC
    assert balance_units(friend) == START_UNITS
    claims.write_text("nonsense\n")
    none = friend.run("watchtower", "run", str(claims), "--now")
    assert (none.code, "no claim in these files" in none.line()) == (3, True)
    assert "claims.jsonl, line 1: it is not JSON" in none.stderr


def test_what_was_spent_is_shown(payee: Payee) -> None:
    operator = bytes.fromhex(address_of(payee.person)[2:])
    with SpentLedger.open(payee.payer.data_dir / "chain" / "31337" / "spent.sqlite3") as ledger:
        lines = [Line(ROOT, 1_000, 3 << PART_BITS), Line("", 0, 2 << PART_BITS)]
        ledger.sign(Signing(b"c" * 32, operator, 5, lines), DAY, 5 * USDC)
    spent = payee.payer.run("spending", "--by", "object", "--json").json
    assert [(row["cid"], row["spent_units"]) for row in spent["rows"]] == [(ROOT, 3), ("unknown", 2)]
    assert (spent["total"]["spent_units"], spent["day_cap_units"]) == (5, 5 * USDC)
    rows = [line.split("  ")[0] for line in payee.payer.run("spending", "--by", "object").text.splitlines()]
    assert rows[1:4] == [ROOT, "earlier fetches", "total"]
    by_peer = payee.payer.run("spending", "--by", "peer").text.splitlines()
    assert by_peer[1].split()[0] == address_of(payee.person)
    deposited = payee.payer.run("spending", "--by", "peer", "--json").json["rows"][0]
    assert (deposited["spent_units"], deposited["deposited_units"]) == (5, 5 * USDC)  # the channel, opened by hand
    table = payee.payer.run("spending", "--by", "object", "--csv").text.splitlines()
    assert table[:2] == ["cid,size_bytes,spent_units,parts,deposited_units,fee_wei", f"{ROOT},1000,3,{3 << 30},,"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("earnings", "--by", "cat"), 2, "--by is peer, object or day, not 'cat'"),
        (("earnings", "--since", "yesterday"), 2, "--since is a day like 2026-11-21"),
        (("earnings", "--since", "2026-02-30"), 2, "--since is a day like 2026-11-21"),
        (("earnings", "--days", "0"), 2, "--days is a number of days"),
        (("earnings", "--days", "1", "--since", "2026-11-21"), 2, "say the same thing"),
        (("spending", "--csv", "--by", "ball"), 2, "--by is peer, object or day"),
        (("earnings", "claim"), 3, "this node has earned nothing yet"),
        (("watchtower", "export", "file"), 3, "this node has earned nothing yet"),
        (("watchtower", "run", "missing", "--now"), 3, "no claim in these files"),
        (("watchtower", "run", "missing", "--poll", "1h"), 2, "a withdrawal could be over unseen"),
    ],
)
def test_what_cannot_be_is_said(people: People, chain: Chain, arguments: tuple[str, ...], code: int, said: str) -> None:
    person = with_wallet(people, "somebody", chain.url)
    ended = person.run(*arguments)
    assert ended.code == code
    assert said in ended.line()


def test_csv_and_json_are_one_too_many(people: People) -> None:
    ended = people("somebody").run("earnings", "--csv", "--json")
    assert (ended.code, ended.json["error"]["type"]) == (2, "UsageError")


@pytest.mark.parametrize("command", ["earnings", "spending"])
def test_a_data_folder_that_is_not_there_is_not_one_without_earnings(people: People, command: str) -> None:
    ended = people("somebody").run(command, "--data-dir", "/mistyped")
    assert (ended.code, ended.line()) == (3, "nearcast: there is no data folder /mistyped")


def test_nothing_yet(people: People) -> None:
    person = people("somebody")
    assert person.run("earnings").text == "nothing earned yet\n"
    assert person.run("spending").text == "nothing spent yet\n"
    assert not person.data_dir.exists()
