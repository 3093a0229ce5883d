"""Origins from a publisher's proposal to their recognition and back."""

import pytest
from tests.cli.chain_world import SECOND, Chain, address_of, with_wallet
from tests.cli.conftest import People, Person

DAY_S = 86_400


@pytest.fixture
def publisher(people: People, chain: Chain) -> Person:
    """A publisher who runs a node as well, and so has votes."""
    person = with_wallet(people, "publisher", chain.url)
    assert person.run("wallet", "faucet").code == 0
    assert person.run("node", "register", "--mbps", "100", "--region", "DE", "--price", "0").code == 0
    chain.travel(30 * DAY_S)
    return person


def test_a_proposed_origin_is_recognised_by_a_vote_and_given_up_without(publisher: Person, chain: Chain) -> None:
    node = address_of(publisher)
    assert publisher.run("origin", "status", "films", node, "--quiet").text == "unknown\n"
    early = publisher.run("origin", "recognise", "films", node)
    assert early.code == 12
    assert publisher.run("origin", "propose", "films", node, "--json").json["status"] == "proposed"
    made = publisher.run("origin", "recognise", "films", node, "--json").json
    chain.travel(DAY_S + 1)
    assert publisher.run("govern", "vote", made["proposal"], "for").code == 0
    chain.travel(8 * DAY_S)
    assert publisher.run("govern", "queue", made["proposal"]).code == 0
    chain.travel(2 * DAY_S + 1)
    assert publisher.run("govern", "execute", made["proposal"]).code == 0
    status = publisher.run("origin", "status", "films", node, "--json").json
    assert (status["status"], status["active"]) == ("recognised", True)
    assert publisher.run("origin", "renounce", "films", node, "--json").json["status"] != "recognised"


def test_a_proposal_is_listed_and_taken_back(people: People, publisher: Person, chain: Chain) -> None:
    assert publisher.run("origin", "propose", "films", SECOND).code == 0
    assert publisher.run("origin", "propose", "music", SECOND).code == 0
    listed = publisher.run("origin", "list", "--json").json["origins"]
    assert [(each["label"], each["operator"], each["status"]) for each in listed] == [
        ("films", SECOND, "proposed"),
        ("music", SECOND, "proposed"),
    ]
    other = with_wallet(people, "other", chain.url)
    assert other.run("origin", "list", "--json").json == {"origins": []}
    assert len(other.run("origin", "list", "music", "--publisher", "any", "--json").json["origins"]) == 1
    assert publisher.run("origin", "withdraw", "films", SECOND).code == 0
    refused = publisher.run("origin", "withdraw", "films", SECOND)
    assert refused.code == 12


def test_a_label_that_is_none_and_a_node_that_is_none(publisher: Person, chain: Chain) -> None:
    before = chain.blocks()
    empty = publisher.run("origin", "propose", "", SECOND)
    long = publisher.run("origin", "propose", "x" * 65, SECOND)
    wrong = publisher.run("origin", "propose", "films", "somebody")
    assert (empty.code, long.code, wrong.code) == (12, 12, 2)
    assert "40 hexadecimal digits" in wrong.line()
    assert chain.blocks() == before
