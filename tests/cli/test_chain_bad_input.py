"""What goes wrong between a wallet and its chain: each is one line and an exit code, and no money moves twice."""

import signal
import socket
from collections.abc import Iterator

import pytest
from tests.chain.devchains import Rpc
from tests.cli.chain_proxy import Proxy, running_proxy
from tests.cli.chain_world import SECOND, THIRD, TOKEN, Chain, address_of, balance_units, with_wallet
from tests.cli.conftest import People, Person

from nearcast.chain.abi import contract

START_UNITS = 1_000_000_000  # what the faucet gives
REGISTER = ("node", "register", "--mbps", "10", "--region", "DE", "--price", "0.01")


@pytest.fixture
def payer(people: People, chain: Chain) -> Person:
    person = with_wallet(people, "payer", chain.url)
    assert person.run("wallet", "faucet").code == 0
    return person


@pytest.fixture
def proxy(chain: Chain) -> Iterator[Proxy]:
    with running_proxy(chain.url) as proxy:
        yield proxy


def killed_while_sending(person: Person, proxy: Proxy, *arguments: str) -> None:
    """Run a command over the proxy and kill it once its transaction has left."""
    proxy.sent.clear()
    started = person.start(*arguments, "--rpc", proxy.url)
    assert proxy.sent.wait(60), "it never sent"
    started.process.send_signal(signal.SIGKILL)
    started.process.wait(60)


def test_another_chain_than_the_configured_one(payer: Person, chain: Chain) -> None:
    before = chain.blocks()
    ended = payer.run("channel", "open", SECOND, "1", "--chain", "base", "--rpc", chain.url)
    assert ended.code == 11
    assert "serves the chain 31337, and the one configured is 8453" in ended.line()
    assert "fix: " in ended.stderr
    assert chain.blocks() == before
    unknown = payer.run("wallet", "balance", "--chain", "bse")
    assert unknown.code == 2
    assert "no chain is called 'bse'" in unknown.line()


def test_a_chain_without_a_registry_keeps_nobody_from_what_is_free(payer: Person) -> None:
    payer.home.joinpath("film").write_bytes(b"free")
    cid = payer.run("add", "film", "--json").json["cid"]
    ended = payer.run("get", cid, "copy", "--chain", "base", "--no-lan")
    assert ended.code == 0, ended.stderr
    assert payer.home.joinpath("copy").read_bytes() == b"free"


def test_nobody_at_the_endpoint(payer: Person) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    ended = payer.run("wallet", "balance", "--rpc", url)
    assert ended.code == 4
    assert "nobody answers at 127.0.0.1" in ended.line()
    assert "fix: " in ended.stderr
    assert payer.run("wallet", "balance", "--rpc", "localhost:8545").code == 2


@pytest.mark.parametrize("garbage", [b"<html>welcome</html>", b"", b"[]", b'{"jsonrpc": "2.0"}', b'"x"', b"[" * 9000])
def test_an_endpoint_that_talks_nonsense(payer: Person, proxy: Proxy, garbage: bytes) -> None:
    proxy.garbage = garbage
    ended = payer.run("wallet", "balance", "--rpc", proxy.url)
    assert ended.code in (4, 11)
    assert "unexpected" not in ended.line()


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("eth_call", "0x"),
        ("eth_call", "0x12"),
        ("eth_call", "0x" + "ff" * 64),
        ("eth_call", None),
        ("eth_getBlockByNumber", None),
        ("eth_getBlockByNumber", {"number": "0x1"}),
        ("eth_getBalance", "lots"),
        ("eth_getBalance", -1),
    ],
)
def test_an_endpoint_that_cannot_be_right(payer: Person, proxy: Proxy, method: str, answer: object) -> None:
    proxy.twists[method] = lambda request, honest: answer
    ended = payer.run("wallet", "balance", "--rpc", proxy.url)
    assert ended.code == 11
    assert "unexpected" not in ended.line()


def test_an_endpoint_that_tells_of_another_transaction(payer: Person, proxy: Proxy) -> None:
    proxy.twists["eth_getTransactionReceipt"] = lambda request, honest: (
        (honest or {}) | {"transactionHash": "0x" + "11" * 32}
    )
    ended = payer.run("channel", "open", SECOND, "1", "--rpc", proxy.url)
    assert ended.code == 11
    honest = payer.run("channel", "open", SECOND, "1", "--json").json
    assert honest["deposited_units"] == 1_000_000
    assert balance_units(payer) == START_UNITS - 1_000_000


def test_a_blacklist_with_an_entry_left_out_is_noticed(people: People, chain: Chain, proxy: Proxy) -> None:
    from tests.cli.chain_world import FIRST_SECRET

    guardian = with_wallet(people, "guardian", chain.url, FIRST_SECRET)
    for digest in ("11" * 32, "22" * 32):
        assert guardian.run("blacklist", "add", digest, "--reason", "malware").code == 0
    assert len(guardian.run("blacklist", "list", "--json").json["entries"]) == 2
    abi = contract("Blacklist")
    selector = "0x" + abi.function("entries").selector.hex()

    def changed(request: dict[str, list[dict[str, str]]], honest: str) -> str:
        asked = request["params"][0].get("data") or request["params"][0]["input"]
        return honest.replace("22" * 32, "33" * 32) if asked.startswith(selector) else honest

    proxy.twists["eth_call"] = changed
    ended = guardian.run("blacklist", "list", "--rpc", proxy.url)
    assert ended.code == 11
    assert "does not meet the contract's root" in ended.line()


def test_too_little_of_the_token_and_too_little_for_the_fee(people: People, payer: Person, chain: Chain) -> None:
    before = chain.blocks()
    poor = payer.run("channel", "open", SECOND, "1000.000001")
    assert poor.code == 13
    assert "the wallet holds 1,000.00 USDC, and this takes 1,000.000001 USDC" in poor.line()
    penniless = with_wallet(people, "penniless", chain.url)
    ended = penniless.run("origin", "propose", "films", SECOND)
    assert ended.code == 13
    assert "ETH" in ended.line()
    assert "fix: " in ended.stderr
    assert chain.blocks() == before


def test_an_address_that_the_token_has_frozen(payer: Person, chain: Chain) -> None:
    frozen = contract("TestUSDC").encode_call("blacklist", [bytes.fromhex(address_of(payer)[2:])])
    Rpc(chain.url).do(0, bytes.fromhex(TOKEN[2:]), frozen)
    assert payer.run("wallet", "balance", "--json").json["frozen"] is True
    for arguments in (["channel", "open", SECOND, "1"], REGISTER):
        ended = payer.run(*arguments)
        assert ended.code == 13
        assert "the token has frozen the wallet" in ended.line()


def test_a_wrong_password_sends_nothing(people: People, chain: Chain) -> None:
    person = people("owner")
    person.environment |= {"NEARCAST_CHAIN_RPC": chain.url, "NEARCAST_WALLET_PASSWORD": "correct horse"}
    assert person.run("wallet", "create").code == 0
    assert person.run("wallet", "faucet").code == 0
    before = chain.blocks()
    person.environment["NEARCAST_WALLET_PASSWORD"] = "wrong horse"
    ended = person.run("channel", "open", SECOND, "1")
    assert ended.code == 14
    assert "this is not the password" in ended.line()
    assert chain.blocks() == before
    person.environment["NEARCAST_WALLET_PASSWORD"] = "correct horse"
    assert person.run("channel", "open", SECOND, "1").code == 0
    assert balance_units(person) == START_UNITS - 1_000_000


@pytest.mark.parametrize("arrives", [True, False], ids=["the chain has it", "it never arrived"])
def test_a_killed_payment_is_found_when_it_is_repeated(
    payer: Person, chain: Chain, proxy: Proxy, arrives: bool
) -> None:
    proxy.holds_transactions, proxy.swallows_transactions = arrives, not arrives
    wallet = address_of(payer)
    before = chain.sent_by(wallet)
    killed_while_sending(payer, proxy, "channel", "open", SECOND, "5")
    assert chain.sent_by(wallet) == before + arrives
    repeated = payer.run("channel", "open", SECOND, "5", "--json").json
    assert repeated["transaction"]["found"] is True
    assert (balance_units(payer), chain.sent_by(wallet)) == (START_UNITS - 5_000_000, before + 1)
    name = repeated["channel"]
    killed_while_sending(payer, proxy, "channel", "top-up", name, "2")
    assert payer.run("channel", "top-up", name, "2", "--json").json["balance_units"] == 7_000_000
    assert balance_units(payer) == START_UNITS - 7_000_000
    again = payer.run("channel", "top-up", name, "2", "--json").json
    assert (again["balance_units"], again["transaction"]["found"]) == (9_000_000, False)


def test_a_killed_registration_and_a_killed_bond_are_found(payer: Person, chain: Chain, proxy: Proxy) -> None:
    proxy.holds_transactions = True
    killed_while_sending(payer, proxy, *REGISTER)
    entered = payer.run(*REGISTER, "--json").json
    assert (entered["active"], entered["transaction"]["found"]) == (True, True)
    killed_while_sending(payer, proxy, "node", "bond", "5")
    added = payer.run("node", "bond", "5", "--json").json
    assert added["bonded_units"] == entered["bonded_units"] + 5_000_000
    assert balance_units(payer) == START_UNITS - added["bonded_units"]


def test_what_was_done_but_never_told_is_not_done_again(payer: Person, chain: Chain, proxy: Proxy) -> None:
    entered = payer.run(*REGISTER, "--json").json
    proxy.holds_after_receipt = True
    killed_while_sending(payer, proxy, "node", "bond", "5")
    added = payer.run("node", "bond", "5", "--json").json
    assert added["bonded_units"] == entered["bonded_units"] + 5_000_000
    assert added["transaction"]["found"] is True
    assert payer.run("node", "bond", "5", "--json").json["bonded_units"] == added["bonded_units"] + 5_000_000


def test_a_lost_transaction_leaves_no_gap_for_the_next(payer: Person, chain: Chain, proxy: Proxy) -> None:
    proxy.swallows_transactions = True
    wallet = address_of(payer)
    before = chain.sent_by(wallet)
    killed_while_sending(payer, proxy, "channel", "open", SECOND, "5")
    assert chain.sent_by(wallet) == before
    other = payer.run("channel", "open", THIRD, "3")
    assert other.code == 0, other.stderr
    assert chain.sent_by(wallet) == before + 2
    assert balance_units(payer) == START_UNITS - 8_000_000
    assert payer.run("channel", "open", SECOND, "5").code == 0
    assert balance_units(payer) == START_UNITS - 8_000_000


def test_without_its_journal_a_deposit_is_still_not_paid_twice(payer: Person, proxy: Proxy) -> None:
    proxy.holds_transactions = True
    killed_while_sending(payer, proxy, "channel", "open", SECOND, "5")
    (payer.data_dir / "chain" / "31337" / "transactions.sqlite3").unlink()
    repeated = payer.run("channel", "open", SECOND, "5", "--json").json
    assert (repeated["transaction"], repeated["balance_units"]) == (None, 5_000_000)
    assert balance_units(payer) == START_UNITS - 5_000_000
