"""Governance from a proposal to its execution, and its bounds, by the commands that people type."""

import pytest
from tests.cli.chain_world import SECOND, THIRD, Chain, address_of, with_wallet
from tests.cli.conftest import People, Person

DAY_S = 86_400


@pytest.fixture
def voter(people: People, chain: Chain) -> Person:
    """An operator whose bond is thirty days old."""
    person = with_wallet(people, "voter", chain.url)
    assert person.run("wallet", "faucet").code == 0
    assert person.run("node", "register", "--mbps", "100", "--region", "DE", "--price", "0.01").code == 0
    chain.travel(30 * DAY_S)
    return person


def test_a_rule_changes_when_a_vote_and_its_waiting_time_are_over(voter: Person, chain: Chain) -> None:
    made = voter.run("govern", "propose", "--set", "unbondingPeriod=21d", "--text", "longer", "--json").json
    name = made["proposal"][:12]
    assert made["description"].startswith("longer #proposer=0x")
    early = voter.run("govern", "vote", name, "for")
    assert early.code == 12
    assert "it is pending" in early.line()
    chain.travel(DAY_S + 1)
    assert voter.run("govern", "vote", name, "for", "--json").json["weight_units"] > 0
    twice = voter.run("govern", "vote", name, "against")
    assert twice.code == 12
    assert "has voted" in twice.line()
    assert voter.run("govern", "queue", name).code == 12
    chain.travel(8 * DAY_S)
    assert voter.run("govern", "queue", name, "--json").json["state"] == "queued"
    assert voter.run("govern", "execute", name).code == 12
    chain.travel(2 * DAY_S + 1)
    assert voter.run("govern", "execute", name, "--json").json["state"] == "executed"
    parameters = {each["name"]: each["value"] for each in voter.run("govern", "params", "--json").json["parameters"]}
    assert parameters["Registry.unbondingPeriod"] == 21 * DAY_S
    shown = voter.run("govern", "show", name, "--json").json
    assert (shown["state"], shown["calls"]) == ("executed", ["Registry.setUnbondingPeriod(value = 1814400)"])


def test_every_parameter_is_inside_its_bounds(people: People, chain: Chain) -> None:
    person = with_wallet(people, "owner", chain.url)
    parameters = person.run("govern", "params", "--json").json["parameters"]
    assert len(parameters) >= 20
    assert all(each["min"] <= each["value"] <= each["max"] for each in parameters)
    assert {"Registry.bondFactor", "Court.rewardBps", "NearcastTimelock.minDelay"} <= {
        each["name"] for each in parameters
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "unbondingPeriod=1d"], "unbondingPeriod can be 7 d to 60 d, not 1 d"),
        (["--set", "rewardBps=5001"], "rewardBps can be 0 % to 50 %"),
        (["--set", "nothing=1"], "governance sets nothing called 'nothing'"),
        (["--set", "bondFactor"], "it is NAME=VALUE"),
        (["--set", "bondFactor=much"], "bondFactor is a whole number"),
        (["--eject", "0x12"], "40 hexadecimal digits"),
        ([], "there is nothing to propose"),
    ],
)
def test_what_could_never_be_executed_is_not_proposed(
    people: People, chain: Chain, arguments: list[str], said: str
) -> None:
    person = with_wallet(people, "owner", chain.url)
    before = chain.blocks()
    ended = person.run("govern", "propose", *arguments)
    assert ended.code == 2
    assert said in ended.line()
    assert chain.blocks() == before


def test_who_has_no_stake_neither_proposes_nor_votes(people: People, chain: Chain, voter: Person) -> None:
    stranger = with_wallet(people, "stranger", chain.url)
    assert stranger.run("wallet", "faucet").code == 0
    refused = stranger.run("govern", "propose", "--guardian", THIRD)
    assert refused.code == 12
    assert "votes" in refused.line()
    made = voter.run("govern", "propose", "--guardian", THIRD, "--regional-body", f"DE={SECOND}", "--json").json
    chain.travel(DAY_S + 1)
    vote = stranger.run("govern", "vote", made["proposal"], "for")
    assert vote.code == 13
    assert "no aged stake" in vote.line()
    assert stranger.run("govern", "list", "--quiet").text.split() == [made["proposal"]]


def test_a_dry_run_shows_what_would_be_voted_on_and_sends_nothing(voter: Person, chain: Chain) -> None:
    before = chain.blocks()
    shown = voter.run("govern", "propose", "--eject", address_of(voter), "--dry-run", "--json").json
    assert shown["dry_run"] is True
    assert shown["transaction"]["function"] == "propose"
    assert shown["transaction"]["changes"][0].startswith("to be voted on: Registry.eject(operator = 0x")
    assert chain.blocks() == before
    assert voter.run("govern", "list", "--json").json == {"proposals": []}


@pytest.mark.parametrize(("name", "code"), [("0x12", 2), ("word", 2), ("0x123456", 3)])
def test_a_proposal_that_is_not_there(people: People, chain: Chain, name: str, code: int) -> None:
    person = with_wallet(people, "owner", chain.url)
    ended = person.run("govern", "show", name)
    assert ended.code == code
    assert "fix: nearcast govern list" in ended.stderr
