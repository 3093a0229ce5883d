"""A node's life in the registry, by the commands that people type."""

import json

import pytest
from tests.cli.chain_world import SECOND, Chain, address_of, balance_units, with_wallet
from tests.cli.conftest import People, Person

DAY_S = 86_400
BOND_100_UNITS = 62_797_160  # bond_units(100)
REGISTER = ("node", "register", "--mbps", "100", "--region", "de", "--price", "0.01", "--url", "https://node.example")


@pytest.fixture
def operator(people: People, chain: Chain) -> Person:
    person = with_wallet(people, "operator", chain.url)
    assert person.run("wallet", "faucet").code == 0
    return person


def test_a_node_enters_changes_and_leaves_with_its_bond(operator: Person, chain: Chain) -> None:
    entered = operator.run(*REGISTER, "--json").json
    endpoint = operator.run("id", "--quiet").text.strip()
    assert (entered["endpoint_id"], entered["bonded_units"], entered["active"]) == (endpoint, BOND_100_UNITS, True)
    assert (operator.data_dir / "hot.key").stat().st_mode & 0o777 == 0o600
    listed = operator.run("node", "list", "--json").json["nodes"]
    assert [(each["operator"], each["region"]) for each in listed] == [(address_of(operator), "DE")]

    again = operator.run(*REGISTER)
    assert again.code == 12
    assert "registered already" in again.line()

    cheaper = operator.run("node", "update", "--price", "0.005", "--no-urls", "--json").json
    assert (cheaper["price_units_per_gib"], cheaper["urls"], cheaper["mbps"]) == (5_000, [], 100)
    assert cheaper["bonded_units"] == BOND_100_UNITS
    larger = operator.run("node", "update", "--mbps", "200", "--json").json
    assert larger["bonded_units"] > 2 * BOND_100_UNITS
    assert balance_units(operator) == 1_000_000_000 - larger["bonded_units"]

    left = operator.run("node", "unbond", "--all", "--json").json
    assert (left["registered"], left["unbonding_units"]) == (False, larger["bonded_units"])
    early = operator.run("node", "withdraw")
    assert early.code == 12
    assert "due" in early.line()
    chain.travel(14 * DAY_S + 1)
    assert operator.run("node", "withdraw", "--json").json["withdrawn_units"] == larger["bonded_units"]
    assert balance_units(operator) == 1_000_000_000
    assert operator.run("node", "status", "--quiet").text == "not registered\n"


def test_more_and_less_bond(operator: Person) -> None:
    assert operator.run(*REGISTER).code == 0
    assert operator.run("node", "bond", "5", "--json").json["bonded_units"] == BOND_100_UNITS + 5_000_000
    needed = operator.run("node", "unbond", "10")
    assert needed.code == 12
    assert "refused" in needed.line()
    assert operator.run("node", "unbond", "5", "--json").json["bonded_units"] == BOND_100_UNITS
    status = operator.run("node", "status", "--json").json
    assert [each["units"] for each in status["unbonding"]] == [5_000_000]


def test_a_dry_run_shows_every_argument_and_sends_nothing(operator: Person, chain: Chain) -> None:
    before = chain.blocks()
    ended = operator.run(*REGISTER, "--dry-run", "--json")
    permit, register = ended.json["transaction"]["calls"]
    assert (permit["function"], permit["arguments"]["amount"]) == ("permit", BOND_100_UNITS)
    assert register["arguments"]["registration"] == {
        "operator": address_of(operator),
        "hotKey": register["arguments"]["registration"]["hotKey"],
        "endpointId": "0x" + operator.run("id", "--quiet").text.strip(),
        "mbps": 100,
        "region": "0x4445",
        "pricePerGib": 10_000,
        "urls": ["https://node.example"],
    }
    assert ended.json["transaction"]["fee_wei"] > 0
    words = operator.run(*REGISTER, "--dry-run").text
    assert "registration.mbps = 100" in words
    assert "62.79716 USDC move from the wallet to the bond" in words
    assert chain.blocks() == before
    assert not (operator.data_dir / "hot.key").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--mbps", "0", "--region", "DE", "--price", "0"), 2, "a capacity is 1 to 100000 Mbps"),
        (("--mbps", "100", "--region", "Germany", "--price", "0"), 2, "a region is two capital letters"),
        (("--mbps", "100", "--region", "DE", "--price", "cheap"), 2, "--price is a number of USDC"),
        (("--mbps", "100", "--region", "DE", "--price", "0", "--url", "x" * 129), 2, "URLs of 1 to 128 bytes"),
        (("--mbps", "10000", "--region", "DE", "--price", "0"), 13, "the wallet holds 1,000.00 USDC"),
    ],
)
def test_what_the_registry_would_refuse_costs_nothing(
    operator: Person, chain: Chain, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = chain.blocks()
    ended = operator.run("node", "register", *arguments)
    assert ended.code == code
    assert said in ended.line()
    assert chain.blocks() == before


def test_who_is_not_there_is_told_how_to_get_there(operator: Person) -> None:
    for arguments in (["update", "--price", "1"], ["bond", "5"], ["unbond", "--all"]):
        ended = operator.run("node", *arguments)
        assert ended.code == 3
        assert "fix: nearcast node register enters it" in ended.stderr
    assert operator.run("node", "unbond").code == 2
    assert operator.run("node", "unbond", "5", "--all").code == 2
    assert operator.run("node", "withdraw").code == 12
    assert operator.run("node", "status", SECOND, "--quiet").text == "not registered\n"


def test_a_hot_key_file_that_is_none_is_not_overwritten(operator: Person) -> None:
    path = operator.data_dir / "hot.key"
    path.write_text("nonsense")
    path.chmod(0o600)
    damaged = operator.run(*REGISTER)
    assert damaged.code == 14
    assert "does not hold a hot key" in damaged.line()
    path.chmod(0o644)
    assert "can be read by others" in operator.run(*REGISTER).line()
    assert path.read_text() == "nonsense"


def test_a_strangers_url_cannot_steer_the_terminal(operator: Person) -> None:
    ended = operator.run(*REGISTER[:-1], "https://x/\x1b[2J")
    assert ended.code == 0
    shown = operator.run("node", "status")
    assert "\x1b" not in ended.text + shown.text
    assert json.loads(operator.run("node", "status", "--json").text)["urls"] == ["https://x/\x1b[2J"]
