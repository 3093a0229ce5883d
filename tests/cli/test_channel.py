"""A channel's life, by the commands that people type; and the book that remembers it."""

from pathlib import Path
from time import time

import pytest
from tests.cli.chain_world import SECOND, THIRD, Chain, address_of, balance_units, with_wallet
from tests.cli.conftest import People, Person

from nearcast.chain.channels import ChannelBook, PlannedDeposit
from nearcast.chain.hot_key import load_or_create_hot_key
from nearcast.chain.vouchers import ChannelConfig
from nearcast.errors import StoreError, UsageError
from nearcast.payments.spent import Seen, SpentLedger

DAY_S = 86_400
CONFIG = ChannelConfig(b"\x01" * 20, bytes(20), b"\x02" * 20, b"\x03" * 20, b"\x04" * 20, 900, b"\x05" * 32)
CHANNEL = b"\xaa" * 32


@pytest.fixture
def payer(people: People, chain: Chain) -> Person:
    person = with_wallet(people, "payer", chain.url)
    assert person.run("wallet", "faucet").code == 0
    return person


def test_money_goes_in_and_what_is_left_comes_out(payer: Person, chain: Chain) -> None:
    opened = payer.run("channel", "open", SECOND, "5", "--json").json
    name = opened["channel"][:10]
    assert (opened["receiver"], opened["left_units"]) == (SECOND, 5_000_000)
    assert payer.run("channel", "top-up", name, "1.5", "--json").json["balance_units"] == 6_500_000
    assert balance_units(payer) == 993_500_000
    channel_id, path = bytes.fromhex(opened["channel"][2:]), payer.data_dir / "chain" / "31337" / "spent.sqlite3"
    with SpentLedger.open(path) as ledger:  # as a fetch leaves it that paid from it a moment ago
        ledger.see(channel_id, bytes.fromhex(SECOND[2:]), Seen(6_500_000, int(time())))
    asked = payer.run("channel", "withdraw", name, "2", "--json").json
    with SpentLedger.open(path) as ledger:
        assert ledger.seen(channel_id) == Seen(0, 0), "the next fetch asks the chain, and pays from another one"
    assert (asked["state"], asked["amount_units"]) == ("asked", 2_000_000)
    before = chain.blocks()
    assert payer.run("channel", "withdraw", name, "--json").json["state"] == "waiting"
    assert chain.blocks() == before
    chain.travel(DAY_S + 1)
    paid = payer.run("channel", "withdraw", name, "--json").json
    assert (paid["state"], paid["amount_units"]) == ("paid", 2_000_000)
    assert balance_units(payer) == 995_500_000
    shown = payer.run("channel", "show", name, "--json").json
    assert (shown["left_units"], shown["withdrawable_at"]) == (4_500_000, 0)
    with SpentLedger.open(payer.data_dir / "chain" / "31337" / "spent.sqlite3") as ledger:
        deposits = ledger.deposits()
    assert sorted(deposit.units for deposit in deposits) == [1_500_000, 5_000_000]
    assert {deposit.transaction_hash.hex() for deposit in deposits} >= {opened["transaction"]["hash"][2:]}


def test_vouchers_of_a_channel_are_signed_without_a_password(payer: Person) -> None:
    config = payer.run("channel", "open", SECOND, "5", "--json").json
    shown = payer.run("channel", "show", config["channel"], "--json").json["config"]
    hot = load_or_create_hot_key(payer.data_dir / "hot.key")
    assert shown["payerAuthorizer"] == f"0x{hot.address.hex()}"


def test_a_node_is_paid_by_its_hot_key(people: People, payer: Person, chain: Chain) -> None:
    operator = with_wallet(people, "operator", chain.url)
    assert operator.run("wallet", "faucet").code == 0
    entered = operator.run("node", "register", "--mbps", "10", "--region", "DE", "--price", "0.01", "--json").json
    assert payer.run("channel", "open", address_of(operator), "1").code == 0
    (channel,) = payer.run("channel", "list", "--json").json["channels"]
    assert channel["authorizer"] == entered["hot_key"]


def test_a_lost_book_is_found_again_on_the_chain(people: People, payer: Person, chain: Chain) -> None:
    opened = payer.run("channel", "open", SECOND, "5", "--authorizer", THIRD, "--delay", "30min", "--json").json
    other = with_wallet(people, "other", chain.url)
    assert other.run("wallet", "faucet").code == 0
    assert other.run("channel", "open", SECOND, "1").code == 0
    (payer.data_dir / "chain" / "31337" / "channels.sqlite3").unlink()
    lost = payer.run("channel", "show", opened["channel"])
    assert lost.code == 3
    assert "--recover" in lost.stderr
    (found,) = payer.run("channel", "list", "--recover", "--json").json["channels"]
    assert (found["channel"], found["authorizer"], found["delay_s"]) == (opened["channel"], THIRD, 1800)
    assert payer.run("channel", "top-up", opened["channel"][:8], "1").code == 0


def test_a_dry_run_opens_nothing_and_remembers_nothing(payer: Person, chain: Chain) -> None:
    before = chain.blocks()
    shown = payer.run("channel", "open", SECOND, "5", "--dry-run", "--json").json["transaction"]
    assert (shown["contract"], shown["function"]) == ("BatchSettlement", "deposit")
    assert shown["arguments"]["config"]["receiver"] == SECOND
    assert shown["arguments"]["amount"] == 5_000_000
    assert chain.blocks() == before
    assert payer.run("channel", "list", "--json").json == {"channels": []}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("open", SECOND, "5000"), 13, "the wallet holds 1,000.00 USDC, and this takes 5,000.00 USDC"),
        (("open", SECOND, "0"), 2, "an amount is more than zero"),
        (("open", SECOND, "1.0000001"), 2, "at most 6 decimals"),
        (("open", SECOND, "-1"), 2, "no such option"),
        (("open", SECOND[:-1] + "9", "1"), 2, "has a mistyped letter"),
        (("open", "0x12", "1"), 2, "40 hexadecimal digits"),
        (("open", SECOND, "1", "--delay", "1min"), 2, "withdraw delay is 900 to 2592000 s"),
        (("show", "0x1234"), 3, "the wallet has no channel 0x1234"),
        (("show", "mine"), 2, "a channel is named by its id"),
        (("top-up", "0x1234", "1"), 3, "the wallet has no channel 0x1234"),
        (("withdraw", "0x1234"), 3, "the wallet has no channel 0x1234"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_sent(
    payer: Person, chain: Chain, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = chain.blocks()
    ended = payer.run("channel", *arguments)
    assert ended.code == code
    assert said in ended.line()
    assert chain.blocks() == before


def test_the_book_keeps_what_was_promised(tmp_path: Path) -> None:
    path = tmp_path / "chain" / "channels.sqlite3"
    deposit = PlannedDeposit(CHANNEL, 5, b"\x06" * 32, 1000, opens=True)
    with ChannelBook.open(path) as book:
        book.add(CHANNEL, CONFIG)
        book.sign_up_to(CHANNEL, 70)
        book.sign_up_to(CHANNEL, 30)
        book.add(CHANNEL, CONFIG)
        book.plan_deposit(deposit)
    assert path.stat().st_mode & 0o777 == 0o600
    with ChannelBook.open(path) as book:
        (channel,) = book.of_payer(CONFIG.payer)
        assert (channel.channel_id, channel.config, channel.signed_units) == (CHANNEL, CONFIG, 70)
        assert book.unfinished_deposits(CONFIG.payer) == [deposit]
        book.finish_deposit(deposit)
        assert book.unfinished_deposits(CONFIG.payer) == []
        assert book.of_payer(CONFIG.receiver) == []
        assert book.get(b"\xbb" * 32) is None


def test_the_book_refuses_what_it_could_not_remember(tmp_path: Path) -> None:
    with ChannelBook.open(tmp_path / "book") as book:
        with pytest.raises(UsageError, match="is not in the book"):
            book.sign_up_to(CHANNEL, 1)
        book.add(CHANNEL, CONFIG)
        with pytest.raises(UsageError, match="no amount"):
            book.sign_up_to(CHANNEL, 1 << 63)
    (tmp_path / "damaged").write_bytes(b"not a database, and long enough to be seen as none" * 10)
    with pytest.raises(StoreError, match="cannot be used"), ChannelBook.open(tmp_path / "damaged"):
        pass
