"""Which offers of forbidden content a payer keeps: those that the Court would punish, once each, and no others."""

from pathlib import Path

import pytest
from tests.chain.senders import WaitedTime
from tests.payments.payees import PRICE, ROOT, Payee, Payers, offer_of, run

from nearcast.chain.bindings.blacklist import EVERYWHERE, Blacklist
from nearcast.chain.deployment import DEV
from nearcast.chain.devchain.addresses import ACCOUNTS
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transactions import Sender
from nearcast.errors import StoreError
from nearcast.payments.budget import Allowance
from nearcast.payments.evidence_files import ListedOffer, load_evidence, load_raised_price
from nearcast.payments.list_reading import LOOK_AGAIN_S, ListReader

GUARDIAN = Signer(ACCOUNTS[0].secret)
MALWARE = 3
HOURS_S = 3 * 3_600  # longer than an emergency's window
DAY_S = 86_400


async def forbid(world: Payers, scope: bytes = EVERYWHERE, *, later_s: int = HOURS_S) -> None:
    with TransactionJournal.open(world.folder / "guardian.sqlite3") as journal:
        listing = Blacklist(world.rpc, DEV.contracts["Blacklist"]).add_emergency(ROOT.digest, scope, MALWARE)
        await Sender(world.rpc, GUARDIAN, journal).send(listing)
    pass_time(world, later_s)


def pass_time(world: Payers, seconds: int) -> None:
    world.served.chain.increase_time(seconds)
    world.served.chain.mine()


async def kept(world: Payers, *, offers: int = 1, seconds: int = 2) -> list[Path]:
    """The evidence of a download that gets an offer on each of so many blocks."""
    payee = Payee()
    async with world.purse() as purse:
        channel = await purse.channel_for(payee.record, 10)
        paying = channel.paying(ROOT, PRICE, Allowance(100))
        for _ in range(offers):
            pass_time(world, seconds)
            block = await world.rpc.block("latest")
            assert block is not None
            offer = offer_of(payee, block_number=block.number, block_hash=block.hash)
            paying.check_offer(ROOT.digest, PRICE, *offer)
    return sorted(world.evidence.glob("*"))


def test_what_is_forbidden_is_kept_once_a_day_and_paid_as_before(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        await forbid(world)
        (path,) = await kept(world, offers=3)
        evidence = load_evidence(path)
        assert isinstance(evidence, ListedOffer)
        assert (evidence.operator, evidence.scope) == (Payee().operator, EVERYWHERE)
        assert evidence.proof().offer == evidence.signed.offer
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(StoreError, match="no pair"):
            load_raised_price(path)
        assert await kept(world) == [path]
        pass_time(world, DAY_S)
        assert len(await kept(world)) == 2

    run(test, tmp_path)


def test_an_entry_that_does_not_count_yet_or_not_there_is_no_evidence(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        assert await kept(world) == []
        await forbid(world, b"FR")  # the payee is in DE
        assert await kept(world) == []
        await forbid(world, later_s=0)
        assert await kept(world) == []
        pass_time(world, HOURS_S)
        assert len(await kept(world)) == 1

    run(test, tmp_path)


def test_an_entry_of_the_nodes_region_is_evidence_for_that_region(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        await forbid(world, b"DE")
        (path,) = await kept(world)
        evidence = load_evidence(path)
        assert isinstance(evidence, ListedOffer)
        assert evidence.scope == evidence.proof().scope == b"DE"

    run(test, tmp_path)


@pytest.mark.parametrize("text", ["{}", "[]", "[" * 100_000, '{"kind": "blacklisted-offer"}', "\xff"])
def test_a_file_that_is_no_evidence_is_an_error_and_no_more(tmp_path: Path, text: str) -> None:
    (tmp_path / "evidence.json").write_text(text, encoding="latin-1")
    with pytest.raises(StoreError, match="cannot be read"):
        load_evidence(tmp_path / "evidence.json")


def test_the_list_is_read_whole_and_again_after_a_while(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        clock = WaitedTime()
        reader = ListReader(Blacklist(world.rpc, DEV.contracts["Blacklist"]), tmp_path / "blacklist.json", clock)
        assert await reader.entries_of(ROOT.digest) == []
        await forbid(world)
        assert await reader.entries_of(ROOT.digest) == []
        clock.now_s += LOOK_AGAIN_S
        (entry,) = await reader.entries_of(ROOT.digest)
        assert entry.reason == MALWARE
        assert [entry.counts_at(at) for at in (entry.effective_at - 1, entry.effective_at)] == [False, True]
        assert not entry.counts_at(entry.lapses_at)
        assert await reader.entries_of(bytes(32)) == []

    run(test, tmp_path)
