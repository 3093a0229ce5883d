"""The parts of a node that is paid, started in the order in which they need each other.

who we are in the registry → head of the chain → blacklist → price and offers → till → claims
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nearcast.chain.bindings.blacklist import Blacklist
from nearcast.chain.bindings.origins import Origins
from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.deployment import Deployment
from nearcast.chain.head import ChainHead
from nearcast.chain.hot_key import HOT_KEY_FILE, load_or_create_hot_key
from nearcast.chain.node_directory import NodeDirectory
from nearcast.chain.node_records import NodeRecord
from nearcast.chain.offers import court_domain
from nearcast.chain.prices import RATE_WINDOW_BLOCKS_MAX, PriceSchedule
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import JOURNAL_FILE, TransactionJournal
from nearcast.chain.transactions import Sender
from nearcast.clock import Clock
from nearcast.config import Config
from nearcast.content.cid import Cid
from nearcast.errors import UnavailableError, UsageError
from nearcast.keys import Identity
from nearcast.node.background import cancelled_at_end
from nearcast.node.money_wish import MoneyWish
from nearcast.node.recognition import Recognition
from nearcast.payments.claim_batches import rules_of
from nearcast.payments.claim_sending import LOCK_FILE, Tools
from nearcast.payments.earned import FILE_NAME as EARNED_FILE
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.list_file import FILE_NAME as BLACKLIST_FILE
from nearcast.payments.listing import BlacklistFollower
from nearcast.payments.offering import OfferDesk
from nearcast.payments.settling import Settler
from nearcast.payments.terms import Terms, terms_of
from nearcast.payments.till import Till
from nearcast.telemetry import Telemetry

PRICE_FILE: Final = "price.json"
HEAD_POLL_S: Final = 2.0  # a block's time on Base; an offer's time stamp is no older than that


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain as a node sees it, and the folder with what it keeps of it."""

    deployment: Deployment
    rpc: JsonRpc
    directory: NodeDirectory
    folder: Path
    confirmations: int


@dataclass(frozen=True, slots=True)
class Earning:
    """A node that asks for money. `record`: what the registry said of it when it started.

    `deposits` sends what payers over HTTP want laid into their channels, and pays the gas.
    """

    terms: Terms
    record: NodeRecord
    chain: Chain
    till: Till
    desk: OfferDesk
    blacklist: BlacklistFollower
    settlement: Settlement
    deposits: Sender
    recognition: Recognition
    free_peers: frozenset[bytes]

    @property
    def price_units_per_gib(self) -> int:
        """What is asked now."""
        return self.desk.price_units_per_gib

    @property
    def next_price(self) -> tuple[int, int] | None:
        """The price that follows, in units per GiB, and the block that it starts on, if a change is due."""
        change = self.desk.next_change
        return None if change is None else (change.price_units_per_gib, change.block_number)

    def is_free(self, peer: bytes) -> bool:
        """Whether the operator serves this peer for free."""
        return peer in self.free_peers

    def is_listed(self, cid: Cid) -> bool:
        """Whether the chain's blacklist forbids it."""
        return self.blacklist.is_listed(cid) is not None


@asynccontextmanager
async def earning(
    wish: MoneyWish, chain: Chain, identity: Identity, clock: Clock, telemetry: Telemetry
) -> AsyncIterator[Earning]:
    """Being paid, while the block runs.

    Raises UsageError for a node that is not registered, UnavailableError when the chain cannot be asked and never was,
    StoreError, WalletError.
    """
    config = wish.config
    hot = await asyncio.to_thread(load_or_create_hot_key, config.data_dir / HOT_KEY_FILE)
    record = await own_record(chain, identity.endpoint_id, hot.address)
    terms = terms_of(chain.deployment, record.operator, hot.address)
    contracts = chain.deployment.contracts
    async with AsyncExitStack() as stack:
        head = ChainHead(chain.rpc, clock, HEAD_POLL_S)
        listing = await _listing(chain, head, record, clock)
        ledger = stack.enter_context(EarnedLedger.open(chain.folder / EARNED_FILE))
        schedule = await price_schedule(config, chain, ledger)
        desk = OfferDesk(hot, court_domain(chain.deployment.chain_id, contracts["Court"]), schedule, head, listing)
        settlement = Settlement(chain.rpc, contracts["BatchSettlement"])
        till = Till(terms, ledger, settlement, confirmations=chain.confirmations, clock=clock, telemetry=telemetry)
        journal = stack.enter_context(TransactionJournal.open(chain.folder / JOURNAL_FILE))
        claims, deposits = _senders(chain, await claimer(wish, terms, hot), journal, clock)
        settler = Settler(
            terms,
            ledger,
            Tools(chain.rpc, settlement, claims, journal, chain.folder / LOCK_FILE),
            rules_of(config.payments),
            clock=clock,
            telemetry=telemetry,
            on_withdrawal=lambda channel: _close_credit(till, channel),
        )
        if config.payments.claim_file is not None:
            settler.export_to(config.payments.claim_file, hot)
        recognition = Recognition(Origins(chain.rpc, contracts["Origins"]), record.operator, telemetry)
        free_peers = frozenset(map(bytes.fromhex, config.payments.free_peers))
        tasks = await stack.enter_async_context(cancelled_at_end())
        for endless in (head.run(), listing.run(), desk.run(), till.run(), settler.run(), recognition.run()):
            tasks.create_task(endless)
        yield Earning(terms, record, chain, till, desk, listing, settlement, deposits, recognition, free_peers)


async def _listing(chain: Chain, head: ChainHead, record: NodeRecord, clock: Clock) -> BlacklistFollower:
    return await BlacklistFollower.open(
        Blacklist(chain.rpc, chain.deployment.contracts["Blacklist"]),
        head,
        chain.folder / BLACKLIST_FILE,
        clock=clock,
        confirmations=chain.confirmations,
        regions=[record.region.encode()],
    )


def _senders(chain: Chain, signer: Signer, journal: TransactionJournal, clock: Clock) -> tuple[Sender, Sender]:
    """One for claims, one for the deposits of others: a sender waits for one transaction at a time."""
    claims, deposits = (
        Sender(chain.rpc, signer, journal, confirmations=chain.confirmations, clock=clock) for _ in range(2)
    )
    return claims, deposits


async def own_record(chain: Chain, endpoint_id: bytes, hot_key: bytes) -> NodeRecord:
    """What the registry says of this node. Raises UsageError when it is not there, UnavailableError."""
    try:
        records = await chain.directory.load()
    except UnavailableError:
        records = await asyncio.to_thread(chain.directory.cached)
        if not any(record.endpoint_id == endpoint_id for record in records):
            raise
    own = next((record for record in records if record.endpoint_id == endpoint_id), None)
    if own is None:
        raise UsageError(
            "this node asks for money and is not in the registry, so nobody would pay it",
            fix="nearcast node register --mbps N --region XX, or leave --price out",
        )
    if own.hot_key != hot_key:
        raise UsageError(
            "the registry names another hot key for this node than the one here, so its offers would not be believed",
            fix="nearcast node update, or restore hot.key",
        )
    return own


async def price_schedule(config: Config, chain: Chain, ledger: EarnedLedger) -> PriceSchedule:
    """The price as configured; a change starts when no offer of the old price can clash with it any more."""
    price = config.payments.price or 0
    path = chain.folder / PRICE_FILE
    first_block = 0
    if not path.exists() and await asyncio.to_thread(lambda: bool(ledger.channels())):
        first_block = await chain.rpc.confirmed_head(1) + RATE_WINDOW_BLOCKS_MAX + 1  # the file was lost
    schedule = await asyncio.to_thread(PriceSchedule.open, path, price_units_per_gib=price, first_block=first_block)
    wanted = schedule.next_change.price_units_per_gib if schedule.next_change else schedule.price_units_per_gib
    if wanted != price:
        await asyncio.to_thread(schedule.change, price)
    return schedule


async def claimer(wish: MoneyWish, terms: Terms, hot: Signer) -> Signer:
    """Who sends the claims and pays their gas: the operator's wallet where it can be opened, else the hot key."""
    if wish.wallet is None:
        return hot
    wallet = await asyncio.to_thread(wish.wallet)
    return wallet if wallet.address == terms.receiver else hot


def _close_credit(till: Till, channel: bytes) -> None:
    customer = till.find(channel)
    if customer is not None:
        customer.close_credit("its payer is withdrawing the money")
