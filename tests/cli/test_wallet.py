"""The wallet: made, imported, exported, funded; and all that can be wrong with its file and its password."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.chain_world import FIRST, FIRST_SECRET, Chain, address_of, balance_units, with_wallet
from tests.cli.conftest import People, Person

PASSWORD = "correct horse"
HEAVY = ("eth_account", "eth_abi", "web3", "aiohttp", "asyncio")


@pytest.fixture
def owner(people: People) -> Person:
    person = people("owner")
    person.environment["NEARCAST_WALLET_PASSWORD"] = PASSWORD
    return person


def test_a_wallet_is_made_once_and_kept_from_others(owner: Person) -> None:
    made = owner.run("wallet", "create", "--json").json
    path = Path(made["wallet"])
    assert path == owner.data_dir / "wallet.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert owner.run("wallet", "address", "--quiet").text == made["address"] + "\n"
    again = owner.run("wallet", "create")
    assert again.code == 14
    assert "there is a wallet already" in again.line()
    assert owner.run("wallet", "address", "--quiet").text == made["address"] + "\n"


def test_another_program_can_open_it(owner: Person) -> None:
    from eth_account import Account

    made = owner.run("wallet", "create", "--json").json
    secret = Account.decrypt(json.loads(Path(made["wallet"]).read_text()), PASSWORD)
    assert Account.from_key(secret).address == made["address"]


def test_a_keystore_of_another_program_is_imported_with_its_password(owner: Person) -> None:
    from eth_account import Account

    keystore = Account.encrypt(int(FIRST_SECRET, 16), PASSWORD, kdf="pbkdf2", iterations=1000)
    (owner.home / "theirs.json").write_text(json.dumps(keystore))
    (owner.home / "theirs.json").chmod(0o600)
    assert owner.run("wallet", "import", "theirs.json", "--json").json["address"] == FIRST
    assert owner.run("wallet", "export", "--show-secret", "--quiet").text.strip() == FIRST_SECRET


def test_the_secret_is_shown_only_when_that_is_said(owner: Person) -> None:
    (owner.home / "secret").write_text(f"0x{FIRST_SECRET}\n")
    imported = owner.run("wallet", "import", "secret", "--json")
    refused = owner.run("wallet", "export")
    shown = owner.run("wallet", "export", "--show-secret", "--json")
    assert refused.code == 2
    assert shown.json == {"address": FIRST, "secret": FIRST_SECRET}
    for ended in (imported, refused):
        assert FIRST_SECRET not in ended.text + ended.stderr


@pytest.mark.parametrize("content", ["", "{}", "ab" * 31, "zz" * 32, "00" * 32, '{"version": 3}'])
def test_a_file_that_is_no_key_is_refused(owner: Person, content: str) -> None:
    (owner.home / "secret").write_text(content)
    ended = owner.run("wallet", "import", "secret")
    assert ended.code in (2, 14)
    assert "secret" in ended.line()
    assert not (owner.data_dir / "wallet.json").exists()


def test_a_wrong_password_is_one_line_and_code_14(owner: Person) -> None:
    assert owner.run("wallet", "create").code == 0
    owner.environment["NEARCAST_WALLET_PASSWORD"] = "wrong horse"
    ended = owner.run("wallet", "export", "--show-secret")
    assert ended.code == 14
    assert ended.line() == f"nearcast: this is not the password of the wallet {owner.data_dir / 'wallet.json'}"


def test_the_password_comes_from_a_file_before_the_environment(owner: Person) -> None:
    assert owner.run("wallet", "create").code == 0
    owner.environment["NEARCAST_WALLET_PASSWORD"] = "wrong horse"
    (owner.home / "password").write_text(PASSWORD + "\r\n")
    assert owner.run("wallet", "export", "--show-secret", "--password-file", "password").code == 0
    missing = owner.run("wallet", "export", "--show-secret", "--password-file", "nowhere")
    assert missing.code == 14
    assert "nowhere cannot be read" in missing.line()
    assert "fix: name a file that you can read" in missing.stderr


def test_a_short_password_and_none_without_a_terminal_are_refused(people: People) -> None:
    person = people("owner")
    nobody = person.run("wallet", "create", stdin=subprocess.DEVNULL)
    assert nobody.code == 14
    assert "no terminal to ask at" in nobody.line()
    person.environment["NEARCAST_WALLET_PASSWORD"] = "short"
    assert person.run("wallet", "create").code == 2
    assert not (person.data_dir / "wallet.json").exists()


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"version": 3}', b"\xff" * 100, b'{"version": 3, "address": 7}']
)
def test_a_damaged_wallet_is_said_before_a_password_is_asked_for(owner: Person, damage: bytes) -> None:
    assert owner.run("wallet", "create").code == 0
    (owner.data_dir / "wallet.json").write_bytes(damage)
    for arguments in (["address"], ["export", "--show-secret"]):
        ended = owner.run("wallet", *arguments)
        assert ended.code == 14
        assert "damaged" in ended.line()


def test_a_wallet_that_others_can_read_is_not_used(owner: Person) -> None:
    assert owner.run("wallet", "create").code == 0
    (owner.data_dir / "wallet.json").chmod(0o644)
    ended = owner.run("wallet", "address")
    assert ended.code == 14
    assert "can be read by others" in ended.line()


def test_without_a_wallet_the_way_to_one_is_said(owner: Person) -> None:
    ended = owner.run("wallet", "address")
    assert ended.code == 14
    assert "fix: make one: nearcast wallet create" in ended.stderr


def test_a_wallet_without_a_password_is_for_the_dev_chain_only(people: People, chain: Chain) -> None:
    person = with_wallet(people, "owner", chain.url)
    from nearcast.cli.chain_options import ChainCall
    from nearcast.cli.keyring import open_wallet
    from nearcast.cli.options import Call
    from nearcast.cli.output import Output
    from nearcast.errors import WalletError

    call = Call(Output(), person.data_dir)
    assert open_wallet(ChainCall(call, call.config())).address.hex() in address_of(person).lower()
    with pytest.raises(WalletError, match="has no password"):
        open_wallet(ChainCall(call, call.config({"chain.network": "base"})))


def test_the_faucet_funds_a_wallet_once_a_day(people: People, chain: Chain) -> None:
    person = with_wallet(people, "owner", chain.url)
    assert person.run("wallet", "balance", "--json").json["usdc_units"] == 0
    given = person.run("wallet", "faucet", "--json").json
    assert given["usdc_units"] == 1_000_000_000
    assert given["wei"] > 9 * 10**17
    again = person.run("wallet", "faucet")
    assert again.code == 13
    assert "again in" in again.line()
    chain.travel(86_401)
    assert person.run("wallet", "faucet").code == 0
    assert balance_units(person) == 2_000_000_000


def test_the_address_is_printed_without_anything_heavy(owner: Person) -> None:
    assert owner.run("wallet", "create").code == 0
    code = (
        "import sys; from nearcast.cli.main import run; code = run(['wallet', 'address']);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    environment = {"NEARCAST_DATA_DIR": str(owner.data_dir), "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[1] == "[] 0"
