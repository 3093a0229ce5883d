"""A stock Python client of x402 (PyPI `x402`) buys files, ranges and blocks from a node's own gateway."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import forks
from tests.chain.devchains import Rpc
from tests.gateways.buyers import (
    DEPOSIT,
    FILE_UNITS,
    PAYER,
    PRICE,
    SIZE_BYTES,
    START,
    Act,
    Buyer,
    balance,
    blocks,
    charged,
    claim_and_settle,
    fresh_chain,
)
from tests.gateways.buyers import buying as run_buying
from tests.gateways.selling import SELLER, Shop

from nearcast.chain.devchain.addresses import ACCOUNTS
from nearcast.errors import StoreError
from nearcast.gateways.http.payment_desk import DEPOSIT_MIN_UNITS
from nearcast.payments.credit import cost_units
from nearcast.payments.earned import EarnedLedger

Buying = Callable[..., None]


@pytest.fixture
def rpc() -> Iterator[Rpc]:
    with fresh_chain() as chain:
        yield chain


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.bin"
    path.write_bytes(os.urandom(SIZE_BYTES))
    return path


@pytest.fixture
def buying(rpc: Rpc, tmp_path: Path) -> Buying:
    def buy(act: Act, **options: Any) -> None:
        run_buying(rpc, tmp_path / "node", act, **options)

    return buy


def test_a_file_and_a_range_are_paid_for_and_claimed(rpc: Rpc, buying: Buying, film: Path) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        data, url = film.read_bytes(), shop.url + shop.share(film)
        buyer, started = Buyer(), blocks(rpc)
        whole = buyer.get(url)
        assert (whole.status_code, whole.content) == (200, data)
        assert charged(whole) == (FILE_UNITS, FILE_UNITS)
        assert blocks(rpc) == started + 1  # the deposit, whose gas was ours
        assert balance(rpc, PAYER) == START - DEPOSIT
        part = buyer.get(url, Range="bytes=1000-1999")
        assert (part.status_code, part.content) == (206, data[1000:2000])
        assert part.headers["Content-Range"] == f"bytes 1000-1999/{SIZE_BYTES}"
        units = cost_units(1_000, PRICE)
        assert charged(part) == (units, FILE_UNITS + units)
        assert blocks(rpc) == started + 1
        (customer,) = shop.till.customers()
        assert shop.ledger.newest(customer.channel_id).promise.units == FILE_UNITS + units  # type: ignore[union-attr]

        claim_and_settle(shop, loop)
        assert balance(rpc, SELLER) == START + FILE_UNITS + units
        assert [(line.status, line.size_bytes) for line in shop.lines if line.status < 300] == [
            (200, SIZE_BYTES),
            (206, 1_000),
        ]

    buying(act)


def test_blocks_and_files_of_a_folder_are_paid_for(buying: Buying, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"a" * 200_000)
    (folder / "index.html").write_text("<h1>hello</h1>")

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        url = shop.url + shop.share(folder)
        buyer = Buyer()
        assert buyer.get(f"{url}/a.txt").content == b"a" * 200_000
        assert buyer.get(f"{url}/").text == "<h1>hello</h1>"
        raw = buyer.get(f"{url}/a.txt", Accept="application/vnd.ipld.raw")
        assert raw.content == b"a" * 200_000
        assert charged(raw)[0] == cost_units(200_000, PRICE)

    buying(act)


def test_a_used_up_channel_is_topped_up(rpc: Rpc, buying: Buying, film: Path) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        url = shop.url + shop.share(film)
        buyer, started = Buyer(), blocks(rpc)
        assert [buyer.get(url).status_code for _ in range(7)] == [200] * 7
        assert blocks(rpc) == started + 2
        assert len(shop.till.customers()) == 1
        claim_and_settle(shop, loop)
        assert balance(rpc, SELLER) == START + 7 * FILE_UNITS

    buying(act)


def test_a_client_that_forgot_everything_goes_on(rpc: Rpc, buying: Buying, film: Path) -> None:
    """It reads the deposit from the chain, and what it promised from our corrective 402."""

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        url = shop.url + shop.share(film)
        before = Buyer()
        assert [before.get(url).status_code for _ in range(2)] == [200, 200]
        height = blocks(rpc)
        response = Buyer(rpc).get(url)
        assert response.status_code == 200
        assert charged(response) == (FILE_UNITS, 3 * FILE_UNITS)
        assert blocks(rpc) == height

    buying(act)


def test_a_node_that_was_restarted_remembers_what_was_charged(rpc: Rpc, buying: Buying, film: Path) -> None:
    buyer = Buyer()
    paths: list[str] = []

    def first(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        paths.append(shop.share(film))
        assert buyer.get(shop.url + paths[0]).status_code == 200

    def second(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        assert charged(buyer.get(shop.url + paths[0])) == (FILE_UNITS, 2 * FILE_UNITS)
        claim_and_settle(shop, loop)
        assert balance(rpc, SELLER) == START + 2 * FILE_UNITS

    buying(first)
    buying(second)


def test_a_small_purchase_deposits_what_the_gas_is_worth(rpc: Rpc, buying: Buying, tmp_path: Path) -> None:
    small = tmp_path / "small.txt"
    small.write_text("ten bytes.")

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        response = Buyer(cap_units=DEPOSIT_MIN_UNITS).get(shop.url + shop.share(small))
        assert (response.text, charged(response)) == ("ten bytes.", (1, 1))
        assert balance(rpc, PAYER) == START - DEPOSIT_MIN_UNITS

    buying(act)


def test_what_was_paid_before_the_bytes_left_survives_a_kill(rpc: Rpc, tmp_path: Path, film: Path) -> None:
    """The moment the first byte of an answer is here, its voucher is in the books of the killed node."""
    folder = tmp_path / "node"
    folder.mkdir()
    buyer = Buyer()
    units = 0
    for _ in range(2):  # the second process goes on where the first was killed
        command = [sys.executable, "-m", "tests.gateways.killed_shop", rpc.url, str(folder), str(film), str(PRICE)]
        with forks.Process(command, stdout=forks.PIPE) as process:
            assert process.stdout is not None
            url = process.stdout.readline().decode().strip()
            try:
                for number in range(2):
                    response = buyer.session.get(url, stream=True, timeout=30)
                    assert response.status_code == 200
                    next(response.iter_content(1))
                    units += FILE_UNITS
                    assert charged(response) == (FILE_UNITS, units), number
            finally:
                process.kill()
        with EarnedLedger.open(folder / "earned.sqlite3") as ledger:
            (channel,) = ledger.channels()
            assert channel.promise.units == units


def test_no_byte_leaves_before_its_voucher_is_on_disk(
    buying: Buying, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that keeps nothing: the answer is an error, and it holds nothing of the file."""

    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        def full(*_: Any) -> None:
            raise StoreError("the disk is full")

        url = shop.url + shop.share(film)
        buyer = Buyer()
        assert buyer.get(url).status_code == 200
        monkeypatch.setattr(shop.ledger, "record_vouchers", full)
        refused = buyer.get(url)
        assert refused.status_code == 500
        assert len(refused.content) < 200

    buying(act)


def test_the_example_of_the_documents_buys_a_range(rpc: Rpc, buying: Buying, film: Path) -> None:
    def act(shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        example = Path(__file__).parents[2] / "examples" / "pay_over_http.py"
        bought = film.with_name("bought.bin")
        environment = {**os.environ, "WALLET_SECRET": f"0x{ACCOUNTS[PAYER].secret.hex()}", "RPC": rpc.url}
        command = [sys.executable, str(example), shop.url + shop.share(film), str(bought), "100-299"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert bought.read_bytes() == film.read_bytes()[100:300]

    buying(act)
