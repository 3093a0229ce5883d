"""The honest node's price: whatever happens to it, no two of its quotes are an offence."""

from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.chain.offers import PriceSchedule
from nearcast.chain.prices import RATE_WINDOW_BLOCKS_MAX, RESERVED_BLOCKS, Quote
from nearcast.errors import StoreError, UsageError

WINDOW = 15


def opened(path: Path, price: int = 100, first_block: int = 0) -> PriceSchedule:
    return PriceSchedule.open(path, price_units_per_gib=price, first_block=first_block, window_blocks=WINDOW)


def test_a_new_price_starts_more_than_a_window_after_the_last_offer(tmp_path: Path) -> None:
    prices = opened(tmp_path / "price.json")
    assert prices.quote(1000) == Quote(100, 1000)
    prices.change(200)
    assert prices.next_change == Quote(200, 1016)
    assert prices.quote(1001) == Quote(100, 1000), "the old price is still offered, on its last block"
    assert prices.quote(1015) == Quote(100, 1000)
    assert prices.quote(1016) == Quote(200, 1016)
    assert prices.price_units_per_gib == 200
    assert prices.quote(1015) is None, "after a reorganisation there is a block that bears neither price"


def test_by_default_the_window_is_the_widest_that_governance_can_make(tmp_path: Path) -> None:
    prices = PriceSchedule.open(tmp_path / "price.json", price_units_per_gib=1, first_block=0)
    prices.quote(5)
    prices.change(2)
    assert prices.next_change == Quote(2, 5 + RATE_WINDOW_BLOCKS_MAX + 1)


def test_before_the_first_offer_a_price_may_change_at_once(tmp_path: Path) -> None:
    prices = opened(tmp_path / "price.json", first_block=50)
    prices.change(7)
    assert prices.quote(49) is None
    assert prices.quote(50) == Quote(7, 50)


def test_a_change_that_is_due_can_be_changed_and_cancelled(tmp_path: Path) -> None:
    prices = opened(tmp_path / "price.json")
    prices.quote(1000)
    prices.change(200)
    prices.change(300)
    assert prices.quote(1016 - 1) == Quote(100, 1000)
    prices.change(100)
    assert prices.quote(1016) == Quote(100, 1016)


def test_after_a_crash_the_price_is_the_old_one_and_a_change_waits_for_what_may_have_been_signed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "price.json"
    opened(path).quote(1000)
    again = opened(path, price=999)
    assert again.quote(1000) == Quote(100, 1000)
    again.change(200)
    assert again.next_change == Quote(200, 1000 + RESERVED_BLOCKS + WINDOW + 1)
    assert opened(path).next_change == again.next_change
    assert path.stat().st_mode & 0o777 == 0o600


class Life:
    """A node's life as the test sees it: every quote it ever gave."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.prices = opened(path)
        self.quotes: set[tuple[int, int]] = set()

    def step(self, kind: str, number: int) -> None:
        if kind == "quote":
            given = self.prices.quote(number)
            if given is not None:
                assert given.block_number <= number, "a block that does not exist yet cannot be signed on"
                self.quotes.add((given.price_units_per_gib, given.block_number))
        elif kind == "change":
            self.prices.change(number % 4)
        else:
            self.prices = opened(self.path)

    def offences(self) -> list[object]:
        return [(a, b) for a, b in combinations(self.quotes, 2) if a[0] != b[0] and abs(a[1] - b[1]) <= WINDOW]


steps = st.lists(st.tuples(st.sampled_from(["quote", "quote", "change", "crash"]), st.integers(0, 120)), max_size=60)


@given(steps)
def test_no_life_of_changes_crashes_and_reorganisations_signs_an_offence(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        life = Life(Path(folder) / "price.json")
        for kind, number in steps:
            life.step(kind, number)
        assert life.offences() == []


@given(st.lists(st.tuples(st.sampled_from(["quote", "change", "crash"]), st.integers(0, 40)), max_size=60))
def test_neither_does_one_whose_blocks_go_on(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        life, head = Life(Path(folder) / "price.json"), 0
        for kind, number in steps:
            head += number
            life.step(kind, head if kind == "quote" else number)
        assert life.offences() == []


def test_the_property_can_fail(tmp_path: Path) -> None:
    life = Life(tmp_path / "price.json")
    life.step("quote", 100)
    life.path.unlink()  # what was signed is forgotten, and nobody waited
    life.prices = opened(life.path, price=1)
    life.step("quote", 100)
    assert len(life.offences()) == 1


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"price": 1}', b"null"],
    ids=lambda damage: repr(damage)[:12],
)
def test_a_damaged_file_is_left_alone(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "price.json"
    path.write_bytes(damage)
    with pytest.raises(StoreError, match="does not hold a price") as caught:
        opened(path)
    assert caught.value.fix is not None
    assert path.read_bytes() == damage


def test_what_cannot_be_written_is_not_signed(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "price.json"
    prices = opened(path)
    path.unlink()
    path.parent.rmdir()
    path.parent.write_bytes(b"in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        prices.quote(1)
    with pytest.raises(StoreError, match="cannot be written"):
        prices.change(5)
    assert prices.price_units_per_gib == 100


@pytest.mark.parametrize("number", [-1, 2**64])
def test_numbers_that_an_offer_cannot_hold(tmp_path: Path, number: int) -> None:
    prices = opened(tmp_path / "price.json")
    with pytest.raises(UsageError):
        prices.quote(number)
    with pytest.raises(UsageError):
        prices.change(number)
    with pytest.raises(UsageError):
        opened(tmp_path / "other.json", price=number)
