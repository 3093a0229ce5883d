"""Who is asked and who is paid, one after the other, until the thing is there."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from nearcast.chain.node_records import NodeRecord
from nearcast.client.choosing import Offering
from nearcast.client.finding import Found
from nearcast.client.spending import Spend
from nearcast.client.supply import FURTHER_MAX, Supply
from nearcast.content.cid import Cid, raw_cid
from nearcast.delivery.events import Depositing, FetchEvent, Hiring
from nearcast.delivery.messages import Holding, State
from nearcast.delivery.source import Source
from nearcast.delivery.trail import begin
from nearcast.errors import FundsError, NearcastError, NotFoundError, RefusedError, StoreError, UnavailableError
from nearcast.payments.budget import Allowance
from nearcast.payments.known_nodes import KnownNodes
from nearcast.transport.base import PeerAddress
from nearcast.transport.pool import ConnectionPool

ROOT = raw_cid(bytes(32))
CHEAP, DEAR, LIMIT, CAP = 10_000, 20_000, 50_000, 1_000_000
TRAIL = begin(bytes(32), bytes)


@dataclass
class FakePaying:
    """Notes what was asked of it."""

    channel_id: bytes
    max_price_units_per_gib: int
    allowance: Allowance
    said: list[str] = field(default_factory=list)

    async def settle_up(self) -> None:
        self.said.append("settled")

    def close(self) -> None:
        self.said.append("closed")


@dataclass
class FakeChannel:
    node: NodeRecord
    payings: list[FakePaying]

    def paying(self, root: Cid, max_price: int, allowance: Allowance) -> Any:
        assert root == ROOT
        self.payings.append(FakePaying(self.node.endpoint_id, max_price, allowance))
        return self.payings[-1]


@dataclass
class FakePurse:
    """`open_with`: endpoint ids; `failing`: those with whom no channel can be opened, and why."""

    open_with: set[bytes] = field(default_factory=set)
    failing: dict[bytes, NearcastError] = field(default_factory=dict)
    opened: list[tuple[bytes, int]] = field(default_factory=list)
    left_today_units: int = 5 * CAP
    payings: list[FakePaying] = field(default_factory=list)

    def has_channel(self, node: NodeRecord) -> bool:
        return node.endpoint_id in self.open_with

    async def channel_for(
        self, node: NodeRecord, expected_units: int, on_deposit: Callable[[int, bool], None]
    ) -> FakeChannel:
        if node.endpoint_id in self.failing:
            raise self.failing[node.endpoint_id]
        on_deposit(CAP, node.endpoint_id not in self.open_with)
        self.opened.append((node.endpoint_id, expected_units))
        return FakeChannel(node, self.payings)


class FakeNodes:
    def __init__(self, *records: NodeRecord, unread: NearcastError | None = None) -> None:
        self._records = records
        self.unread = unread

    async def lookup(self, endpoint_ids: Any) -> dict[bytes, NodeRecord]:
        wanted = set(endpoint_ids)
        return {each.endpoint_id: each for each in self._records if each.endpoint_id in wanted}


def key(number: int) -> bytes:
    return bytes([number]) * 32


def offering(number: int, price: int, *, state: State = "all", size_bytes: int | None = 1 << 30) -> Offering:
    return Offering(PeerAddress(key(number), ()), Holding(state, size_bytes, price), 0.01)


def record(number: int) -> NodeRecord:
    return NodeRecord(bytes(20), bytes(20), key(number), 100, "DE", 1, (), True, 1)


def supply(
    purse: FakePurse | None, *offerings: Offering, registered: tuple[int, ...] = (1, 2, 3), **found: Any
) -> Supply:
    spend = None
    if purse is not None:
        nodes = cast(KnownNodes, FakeNodes(record(1), record(2), record(3)))
        spend = Spend(purse, nodes, LIMIT, CAP)
    pool = cast(ConnectionPool, None)  # nobody is really asked here
    return Supply(pool, Found(ROOT, offerings=list(offerings), **found), TRAIL, spend, lambda _: None)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def names(sources: list[Source]) -> list[str]:
    return [source.name for source in sources]


def test_everybody_free_comes_first_and_then_one_payee_after_the_other() -> None:
    async def main() -> None:
        purse = FakePurse()
        async with supply(purse, offering(1, DEAR), offering(4, 0), offering(2, CHEAP), offering(5, 0)) as giving:
            assert names(await giving.more()) == ["04040404", "05050505"]
            assert not purse.opened, "nobody is paid while somebody is free"
            assert names(await giving.more()) == ["02020202"]
            assert names(await giving.more()) == ["01010101"]
            assert await giving.more() == []
            assert [each for each, _ in purse.opened] == [key(2), key(1)]

    run(main())


def further(
    purse: FakePurse | None, first: Offering, *rounds: Found, is_exhausted: bool = False
) -> tuple[Supply, list[int]]:
    """A supply whose search goes on, and how many had answered before each time."""
    asked: list[int] = []

    async def go_on(found: Found) -> Found:
        asked.append(len(found.offerings))
        return rounds[len(asked) - 1]

    spend = None
    if purse is not None:
        spend = Spend(purse, cast(KnownNodes, FakeNodes(record(1), record(2))), LIMIT, CAP)
    found = Found(ROOT, offerings=[first], is_exhausted=is_exhausted)
    pool = cast(ConnectionPool, None)
    return Supply(pool, found, TRAIL, spend, lambda _: None, further=go_on), asked


def test_when_all_have_failed_the_search_goes_on() -> None:
    async def main() -> None:
        purse = FakePurse()
        rounds = (
            Found(ROOT),
            Found(ROOT, offerings=[offering(5, 0), offering(1, CHEAP)]),
            Found(ROOT, offerings=[offering(6, 0)], is_exhausted=True),
        )
        giving, asked = further(purse, offering(4, 0), *rounds)
        async with giving:
            assert names(await giving.more()) == ["04040404"]
            assert asked == [], "nobody far is bothered while those at hand may do"
            assert names(await giving.more()) == ["05050505"]
            assert names(await giving.more()) == ["01010101"], "and then who asks for money"
            assert names(await giving.more()) == ["06060606"]
            assert await giving.more() == []
            assert asked == [1, 1, 3]

    run(main())


def test_a_search_does_not_go_on_for_ever() -> None:
    async def main() -> None:
        rounds = [Found(ROOT, offerings=[offering(number, 0)]) for number in range(10, 20)]
        giving, asked = further(None, offering(4, 0), *rounds)
        async with giving:
            brought = [names(await giving.more()) for _ in range(6)]
        assert brought == [["04040404"], ["0a0a0a0a"], ["0b0b0b0b"], ["0c0c0c0c"], [], []]
        assert len(asked) == FURTHER_MAX

    run(main())


def test_a_search_that_has_come_to_its_end_does_not_go_on() -> None:
    async def main() -> None:
        giving, asked = further(None, offering(4, 0), is_exhausted=True)
        async with giving:
            assert names(await giving.more()) == ["04040404"]
            assert await giving.more() == []
        assert asked == []

    run(main())


def test_an_open_channel_is_used_before_a_cheaper_one_is_opened() -> None:
    async def main() -> None:
        purse = FakePurse(open_with={key(1)})
        async with supply(purse, offering(2, CHEAP), offering(1, DEAR)) as giving:
            assert names(await giving.more()) == ["01010101"]

    run(main())


def test_nobody_is_paid_who_is_not_registered_or_asks_too_much() -> None:
    async def main() -> None:
        purse = FakePurse()
        async with supply(purse, offering(9, CHEAP), offering(1, LIMIT + 1)) as giving:
            assert await giving.more() == []
            assert not purse.opened
            assert isinstance(giving.nobody(), RefusedError)
            assert "registry" in giving.nobody().message

    run(main())


def test_a_registry_that_cannot_be_read_is_not_one_that_lacks_the_node() -> None:
    async def main() -> None:
        nodes = FakeNodes(unread=UnavailableError("nobody answers", fix="start one"))
        spend = Spend(FakePurse(), cast(KnownNodes, nodes), LIMIT, CAP)
        found = Found(ROOT, offerings=[offering(1, CHEAP)])
        async with Supply(cast(ConnectionPool, None), found, TRAIL, spend, lambda _: None) as giving:
            assert await giving.more() == []
            told = giving.nobody()
        assert isinstance(told, UnavailableError)
        assert told.message.endswith("cannot be read: nobody answers")
        assert told.fix == "start one"

    run(main())


def test_a_node_is_held_to_the_price_that_it_told() -> None:
    async def main() -> None:
        purse = FakePurse()
        async with supply(purse, offering(1, CHEAP)) as giving:
            await giving.more()
            assert purse.payings[0].max_price_units_per_gib == CHEAP
            assert purse.opened == [(key(1), CHEAP)], "a GiB"

    run(main())


def test_what_it_may_cost_and_what_leaves_the_wallet_is_told_before() -> None:
    async def main() -> None:
        told: list[FetchEvent] = []
        spend = Spend(FakePurse(), cast(KnownNodes, FakeNodes(record(1))), LIMIT, CHEAP // 2)
        found = Found(ROOT, offerings=[offering(1, CHEAP)])
        async with Supply(cast(ConnectionPool, None), found, TRAIL, spend, lambda _: None, told.append) as giving:
            await giving.more()
        assert told == [
            Hiring("01010101", CHEAP, CHEAP, LIMIT, CHEAP // 2, 5 * CAP),  # of all, above the cap as well
            Depositing("01010101", CAP, opens=True),
        ]
        told.clear()
        found = Found(ROOT, offerings=[offering(1, CHEAP, size_bytes=None)])
        async with Supply(cast(ConnectionPool, None), found, TRAIL, spend, lambda _: None, told.append) as giving:
            await giving.more()
        assert told[0] == Hiring("01010101", CHEAP, None, LIMIT, CHEAP // 2, 5 * CAP)

    run(main())


def test_nobody_is_hired_on_a_day_whose_cap_is_used_up() -> None:
    async def main() -> None:
        purse = FakePurse(left_today_units=0)
        async with supply(purse, offering(1, CHEAP)) as giving:
            assert await giving.more() == []
            assert purse.opened == [], "no money goes into a channel for nothing"
            assert "the cap of this day" in giving.nobody().message
            assert "day_cap" in (giving.nobody().fix or "")

    run(main())


def test_all_payees_of_a_fetch_share_its_cap() -> None:
    async def main() -> None:
        purse = FakePurse()
        async with supply(purse, offering(1, CHEAP), offering(2, DEAR)) as giving:
            await giving.more()
            purse.payings[0].allowance.spend("x", 100 << 30, CHEAP)
            assert await giving.more() == [], "it is used up"
            assert "cap" in giving.nobody().message

    run(main())


@pytest.mark.parametrize("error", [UnavailableError("it is away"), FundsError("no money", fix="get some")])
def test_with_whom_no_channel_can_be_opened_is_passed_over(error: NearcastError) -> None:
    async def main() -> None:
        purse = FakePurse(failing={key(1): error})
        async with supply(purse, offering(1, CHEAP), offering(2, DEAR)) as giving:
            assert names(await giving.more()) == ["02020202"]
            assert await giving.more() == []
        purse = FakePurse(failing={key(1): error})
        async with supply(purse, offering(1, CHEAP)) as giving:
            assert await giving.more() == []
            assert type(giving.nobody()) is type(error)
            assert error.message in giving.nobody().message

    run(main())


def test_books_that_cannot_be_written_end_it() -> None:
    async def main() -> None:
        purse = FakePurse(failing={key(1): StoreError("the disk is gone")})
        async with supply(purse, offering(1, CHEAP), offering(2, DEAR)) as giving:
            with pytest.raises(StoreError):
                await giving.more()

    run(main())


def test_however_it_ends_everybody_is_settled_with() -> None:
    async def main() -> None:
        purse = FakePurse()

        async def fails() -> None:
            async with supply(purse, offering(1, CHEAP), offering(2, DEAR)) as giving:
                await giving.more()
                await giving.more()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fails()
        assert [paying.said for paying in purse.payings] == [["settled", "closed"], ["settled", "closed"]]

    run(main())


def test_without_money_it_says_what_it_would_cost() -> None:
    async def main() -> None:
        async with supply(None, offering(1, DEAR), offering(2, CHEAP)) as giving:
            assert await giving.more() == []
            assert "0.01 USDC" in giving.nobody().message
            assert "--free" in str(giving.nobody().fix)
        async with supply(FakePurse(), offering(1, 2 * LIMIT)) as giving:
            assert await giving.more() == []
            assert giving.nobody().fix == "--max-price 0.1"

    run(main())


def test_when_nobody_answered_it_is_not_found() -> None:
    async def main() -> None:
        async with supply(FakePurse(), refusals={"0a0a0a0a": None}) as giving:
            assert await giving.more() == []
            assert isinstance(giving.nobody(), NotFoundError)

    run(main())


def test_who_would_bring_it_for_free_is_asked_when_nobody_free_has_it() -> None:
    async def main() -> None:
        async with supply(None, offering(1, 0, state="relay"), offering(2, 0, state="some")) as giving:
            assert names(await giving.more()) == ["02020202"]
            assert names(await giving.more()) == ["01010101"], "the holder may lack a part"
        async with supply(None, offering(1, 0, state="relay"), offering(2, CHEAP)) as giving:
            assert names(await giving.more()) == ["01010101"]

    run(main())
