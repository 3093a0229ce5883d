"""Taking evidence to the Court by the command that people type, with deposits, waits and a crash in between."""

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.cli.chain_world import FIRST_SECRET, Chain, address_of, balance_units, wait_for, with_wallet
from tests.cli.conftest import DEADLINE_S, People, Person, Started

from nearcast.chain.abi import contract
from nearcast.chain.bindings.blacklist import EVERYWHERE
from nearcast.chain.deployment import DEV
from nearcast.chain.hot_key import load_or_create_hot_key
from nearcast.chain.offers import Offer, court_domain
from nearcast.payments.evidence_files import Kept, ListedOffer, RaisedPrice, save_evidence
from nearcast.payments.offer_check import SignedOffer

DOMAIN = court_domain(DEV.chain_id, DEV.contracts["Court"])
ROOT = hashlib.sha256(b"hello world").digest()
CLIENT = b"\x11" * 20
WINDOW_S = 7_200  # emergencyWindow
DEPOSIT_UNITS = 10_000_000  # challengeBond


@dataclass
class Case:
    """A node's operator, who signs whatever is wanted, and somebody who accuses."""

    chain: Chain
    operator: Person
    accuser: Person

    def offer(self, price: int, *, root: bytes = ROOT) -> SignedOffer:
        """On the newest block."""
        block = self.chain.ask("eth_getBlockByNumber", "latest", False)
        number, block_hash = int(block["number"], 16), bytes.fromhex(block["hash"][2:])
        offer = Offer(root, CLIENT, price, 1 << 20, number, block_hash)
        key = load_or_create_hot_key(self.operator.data_dir / "hot.key")
        return SignedOffer(offer, key.sign(offer.digest(DOMAIN)))

    def block(self) -> dict[str, str]:
        block: dict[str, str] = self.chain.ask("eth_getBlockByNumber", "latest", False)
        return block

    def file(self, kept: Kept) -> str:
        return str(save_evidence(self.accuser.data_dir / "evidence", kept))

    @property
    def address(self) -> bytes:
        return bytes.fromhex(address_of(self.operator)[2:])

    def raised(self, first: int = 1_000, later: int = 2_000) -> RaisedPrice:
        offers = self.offer(first), self.offer(later)
        return RaisedPrice(DEV.chain_id, self.address, offers)

    def until_committed(self, started: Started) -> None:
        """Until the accuser's commitment is on the chain."""
        court, wallet = contract("Court"), bytes.fromhex(address_of(self.accuser)[2:])
        call = {
            "to": f"0x{DEV.contracts['Court'].hex()}",
            "data": f"0x{court.encode_call('docketOf', (wallet,)).hex()}",
        }
        deadline_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline_s:
            told = bytes.fromhex(self.chain.ask("eth_call", call, "latest")[2:])
            if int.from_bytes(told[32:64]):
                return
            assert started.process.poll() is None, wait_for(started)
            time.sleep(0.01)
        raise AssertionError("nothing was committed")


@pytest.fixture
def case(people: People, chain: Chain) -> Case:
    operator, accuser = with_wallet(people, "operator", chain.url), with_wallet(people, "accuser", chain.url)
    for person in (operator, accuser):
        assert person.run("wallet", "faucet").code == 0
    assert operator.run("node", "register", "--mbps", "10", "--region", "DE", "--price", "0.001").code == 0
    return Case(chain, operator, accuser)


def test_two_prices_are_announced_and_shown_across_a_crash(case: Case) -> None:
    file, before_units = case.file(case.raised()), balance_units(case.accuser)
    sent = case.chain.sent_by(address_of(case.accuser))
    dry = case.accuser.run("court", "accuse", file, "--dry-run", "--json").json
    assert (dry["dry_run"], dry["transaction"]["function"]) == (True, "approve")
    assert case.chain.sent_by(address_of(case.accuser)) == sent
    started = case.accuser.start("court", "accuse", file, "--json")
    case.until_committed(started)
    started.process.kill()
    case.chain.travel(120)
    verdict = case.accuser.run("court", "accuse", file, "--json").json
    assert (verdict["operator"], verdict["convicted"]) == (address_of(case.operator), True)
    assert 0 < verdict["reward_units"] <= verdict["slashed_units"] // 2
    assert case.chain.sent_by(address_of(case.accuser)) == sent + 3
    assert balance_units(case.accuser) == before_units - DEPOSIT_UNITS

    again = case.accuser.run("court", "accuse", file)
    assert (again.code, case.chain.sent_by(address_of(case.accuser))) == (12, sent + 3)
    assert "punished" in again.line()
    paid = case.accuser.run("court", "withdraw", "--json").json
    assert paid["withdrawn_units"] == DEPOSIT_UNITS + verdict["reward_units"]
    assert balance_units(case.accuser) == before_units + verdict["reward_units"]
    assert case.accuser.run("court", "withdraw").code == 12


def test_what_is_forbidden_is_shown_as_soon_as_it_may_be(case: Case, people: People) -> None:
    guardian = with_wallet(people, "guardian", case.chain.url, FIRST_SECRET)
    early = ListedOffer(DEV.chain_id, case.address, case.offer(1_000), EVERYWHERE, case.block())
    assert guardian.run("blacklist", "add", f"0x{ROOT.hex()}", "--reason", "malware").code == 0
    case.chain.travel(WINDOW_S)
    kept = ListedOffer(DEV.chain_id, case.address, case.offer(1_000), EVERYWHERE, case.block())
    refused = case.accuser.run("court", "accuse", case.file(early))
    assert refused.code == 12
    assert "not on the list" in refused.line()
    started = case.accuser.start("court", "accuse", case.file(kept), "--quiet")
    case.until_committed(started)
    case.chain.travel(120)
    code, stdout, stderr = wait_for(started)
    assert code == 0, stderr
    assert stdout.decode().endswith("USDC\n")


def test_what_proves_nothing_costs_nothing(case: Case, tmp_path: Path) -> None:
    sent = case.chain.sent_by(address_of(case.accuser))
    stranger = replace(case, operator=case.accuser).raised()
    other_chain = replace(case.raised(), chain_id=8453)
    same_price = case.raised(1_000, 1_000)
    for kept, code, words in (
        (stranger, 12, "one registered node"),
        (other_chain, 2, "another one"),
        (same_price, 2, "two prices"),
    ):
        ended = case.accuser.run("court", "accuse", case.file(kept))
        assert (ended.code, words in ended.line()) == (code, True), ended.stderr
    (tmp_path / "garbage").write_text("{}")
    assert case.accuser.run("court", "accuse", str(tmp_path / "garbage")).code == 6
    assert case.chain.sent_by(address_of(case.accuser)) == sent


def test_one_case_after_the_other(case: Case) -> None:
    first, second = case.file(case.raised()), case.file(case.raised(3_000, 4_000))
    started = case.accuser.start("court", "accuse", first, "--json")
    case.until_committed(started)
    started.process.kill()
    ended = case.accuser.run("court", "accuse", second)
    assert ended.code == 12
    assert "announced other evidence" in ended.line()
