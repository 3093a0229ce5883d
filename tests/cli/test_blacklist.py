"""The blacklist by role: the guardian at once, everybody else by a vote."""

import pytest
from tests.cli.chain_world import FIRST_SECRET, Chain, with_wallet
from tests.cli.conftest import People, Person

CID = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
DIGEST = "0xb94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"  # SHA-256 of "hello world"
WINDOW_S = 7_200  # emergencyWindow


@pytest.fixture
def guardian(people: People, chain: Chain) -> Person:
    return with_wallet(people, "guardian", chain.url, FIRST_SECRET)


def test_the_guardian_lists_content_after_a_window(people: People, guardian: Person, chain: Chain) -> None:
    reader = with_wallet(people, "reader", chain.url)
    assert reader.run("blacklist", "check", CID, "--json").json["listed"] is False
    added = guardian.run("blacklist", "add", CID, "--reason", "malware", "--json").json
    assert (added["digest"], added["reason"], added["region"]) == (DIGEST, 3, "everywhere")
    assert added["lapses_at"] > added["effective_at"]
    early = reader.run("blacklist", "check", CID, "--json").json
    assert (early["listed"], [each["source"] for each in early["entries"]]) == (False, ["guardian"])
    chain.travel(WINDOW_S)
    assert reader.run("blacklist", "check", CID, "--quiet").text == "listed\n"
    assert reader.run("blacklist", "check", DIGEST, "--region", "de", "--quiet").text == "listed\n"
    assert reader.run("blacklist", "list", "--quiet").text == f"{DIGEST}\n"
    again = guardian.run("blacklist", "add", CID, "--reason", "malware")
    assert again.code == 12
    assert "refused" in again.line()


def test_everybody_else_puts_it_to_the_vote(people: People, guardian: Person, chain: Chain) -> None:
    person = with_wallet(people, "voter", chain.url)
    assert person.run("wallet", "faucet").code == 0
    assert person.run("node", "register", "--mbps", "100", "--region", "DE", "--price", "0").code == 0
    chain.travel(30 * 86_400)
    made = person.run("blacklist", "add", CID, "--reason", "court-order", "--region", "DE", "--json").json
    shown = person.run("govern", "show", made["proposal"], "--json").json
    assert shown["calls"] == [f"Blacklist.add(digest = {DIGEST}, scope = 0x4445, reason = 1)"]
    assert guardian.run("blacklist", "add", CID, "--reason", "copyright").code == 0
    ratified = person.run("blacklist", "ratify", CID, "--dry-run", "--json").json["transaction"]
    assert "Blacklist.ratify" in ratified["changes"][0]
    removed = person.run("blacklist", "remove", CID, "--dry-run", "--json").json["transaction"]
    assert "Blacklist.remove" in removed["changes"][0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "zzz", "--reason", "malware"), "not a CID"),
        (("add", f"{CID}/path", "--reason", "malware"), "by its own CID"),
        (("add", CID, "--reason", "dislike"), "--reason: it is court-order"),
        (("add", CID, "--reason", "256"), "--reason: it is court-order"),
        (("add", CID, "--reason", "0"), "--reason: it is court-order"),
        (("add", CID, "--reason", "1", "--region", "Europe"), "a region is two letters"),
        (("add", CID), "missing option"),
        (("check", "0x12"), "not a CID"),
    ],
)
def test_what_makes_no_sense_is_code_2(people: People, chain: Chain, arguments: tuple[str, ...], said: str) -> None:
    person = with_wallet(people, "owner", chain.url)
    ended = person.run("blacklist", *arguments)
    assert ended.code == 2
    assert said in ended.line()


def test_whoever_gets_what_is_listed_is_told_so(people: People, guardian: Person, chain: Chain) -> None:
    operator, reader = with_wallet(people, "operator", chain.url), people("reader")
    assert operator.run("wallet", "faucet").code == 0
    assert operator.run("node", "register", "--mbps", "100", "--region", "DE", "--price", "0.01").code == 0
    (operator.home / "hello").write_text("hello world")
    assert operator.run("add", "hello", "--json").json["cid"] == CID
    assert guardian.run("blacklist", "add", CID, "--reason", "malware").code == 0
    chain.travel(WINDOW_S)
    _, ready = operator.up("--price", "0.01")
    ended = reader.get(CID, "--peer", ready["peer"])
    assert ended.code == 5
    assert f"{ready['id'][:8]}: does not serve it: it is on the chain's blacklist" in ended.line()
    assert f"fix: nearcast blacklist check {CID}" in ended.stderr
