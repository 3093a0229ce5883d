"""What a development chain keeps: everything acknowledged, after any end, and nothing that was not."""

import errno
import os
import random
import signal
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.devchains import Rpc, engine, killable, ready, signed

from nearcast.chain.abi import contract
from nearcast.chain.devchain.addresses import ACCOUNTS, CONTRACTS, TOKEN
from nearcast.chain.devchain.engine import Account, Engine
from nearcast.chain.devchain.genesis import make_alloc
from nearcast.chain.devchain.journal import FILE_NAME, Journal
from nearcast.chain.devchain.node import DevChain, open_chain
from nearcast.errors import ChainError, StoreLockedError

NOW_S = 1_790_000_000  # any moment after the first block
KILLS = 8  # processes
TRANSFER = contract("TestUSDC").encode_call("transfer", [ACCOUNTS[9].address, 1])


class Clock:
    """Unix time that moves when told."""

    def __init__(self) -> None:
        self.now_s = float(NOW_S)

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def opened(
    folder: Path, clock: Clock | None = None, *, automine: bool = True, reset: bool = False
) -> Iterator[DevChain]:
    chain = open_chain(engine(), folder, clock or Clock(), automine=automine, reset=reset)
    try:
        yield chain
    finally:
        chain.close()


def test_everything_is_there_again(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path, clock) as chain:
        for nonce in range(5):
            clock.now_s += 7
            chain.send(signed(1, nonce, TOKEN, TRANSFER))
        refused = chain.send(signed(2, 0, TOKEN, b"\x01\x02\x03\x04"))
        chain.increase_time(1000)
        chain.mine()
        created = chain.send(signed(3, 0, None, bytes.fromhex("600a600c600039600a6000f3602a60005260206000f3")))
        first = chain.engine
    with opened(tmp_path, clock) as chain:
        again = chain.engine
        assert again.head == first.head
        assert [again.block(number) for number in range(9)] == [first.block(number) for number in range(9)]
        assert again.get_logs() == first.get_logs()
        assert again.receipt(refused) == first.receipt(refused)
        address = again.receipt(created).created
        assert address is not None
        assert again.call(address, b"") == (42).to_bytes(32, "big")
        assert again.balance(ACCOUNTS[1].address, 3) == first.balance(ACCOUNTS[1].address, 3)
        assert chain.now_s() == int(clock.now_s) + 1000
        chain.send(signed(1, 5, TOKEN, TRANSFER))
        assert chain.engine.head.number == 9


def test_going_back_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as chain:
        chain.send(signed(1, 0, TOKEN, TRANSFER))
        moment = chain.snapshot()
        chain.send(signed(1, 1, TOKEN, TRANSFER))
        chain.increase_time(5000)
        chain.mine()
        chain.revert(moment)
        other = chain.send(signed(2, 0, TOKEN, TRANSFER))
        head = chain.engine.head
    with opened(tmp_path) as chain:
        assert chain.engine.head == head
        assert head.number == chain.engine.receipt(other).block_number == 2
        assert chain.now_s() == NOW_S


def test_what_waits_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path, automine=False) as chain:
        hashes = [chain.send(signed(1, nonce, TOKEN, TRANSFER)) for nonce in range(3)]
        chain.mine()
        hashes.append(chain.send(signed(1, 3, TOKEN, TRANSFER)))
    with opened(tmp_path, automine=False) as chain:
        assert len(chain.pool) == 1
        chain.mine()
        assert [chain.engine.receipt(one).block_number for one in hashes] == [1, 1, 1, 2]


@pytest.fixture(scope="module")
def three_blocks(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[int]]:
    """A journal, and its size before each of its blocks."""
    folder = tmp_path_factory.mktemp("whole")
    sizes: list[int] = []
    with opened(folder) as chain:
        for nonce in range(3):
            sizes.append((folder / FILE_NAME).stat().st_size)
            chain.send(signed(1, nonce, TOKEN, TRANSFER))
    return (folder / FILE_NAME).read_bytes(), sizes


@given(data=st.data())
def test_a_torn_tail_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, three_blocks: tuple[bytes, list[int]], data: st.DataObject
) -> None:
    """Wherever the last write broke off, the blocks before it are all there and the chain goes on."""
    journal, sizes = three_blocks
    folder = tmp_path_factory.mktemp("torn")
    size_bytes = data.draw(st.integers(0, len(journal) - 1))
    (folder / FILE_NAME).write_bytes(journal[:size_bytes])
    whole = sum(size <= size_bytes for size in sizes[1:])
    with opened(folder) as chain:
        assert chain.engine.head.number == whole
        chain.send(signed(1, whole, TOKEN, TRANSFER))
    with opened(folder) as chain:
        assert chain.engine.head.number == whole + 1


def test_a_damaged_middle_is_said(tmp_path: Path) -> None:
    with opened(tmp_path) as chain:
        for nonce in range(3):
            chain.send(signed(1, nonce, TOKEN, TRANSFER))
    path = tmp_path / FILE_NAME
    damaged = bytearray(path.read_bytes())
    damaged[200] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ChainError, match="damaged at byte 60") as caught, opened(tmp_path):
        pass
    assert "--reset" in (caught.value.fix or "")
    with opened(tmp_path, reset=True) as chain:
        assert chain.engine.head.number == 0


def test_a_forged_record_does_not_pass(tmp_path: Path) -> None:
    """Whole by its checksum, and not what the chain wrote: hashes and the state root say so."""
    with opened(tmp_path) as chain:
        chain.send(signed(1, 0, TOKEN, TRANSFER))
    first = Journal(tmp_path)
    (payload,) = first.read(31337, Engine(make_alloc()).head.hash)
    forged = payload[:-1] + bytes([payload[-1] ^ 1])
    first.reset()
    list(first.read(31337, Engine(make_alloc()).head.hash))
    first.append(forged)
    first.close()
    with pytest.raises(ChainError, match=r"not that of block 1|makes no sense"), opened(tmp_path):
        pass


def test_other_contracts_are_another_chain(tmp_path: Path) -> None:
    with opened(tmp_path) as chain:
        chain.send(signed(1, 0, TOKEN, TRANSFER))
    alloc = make_alloc()
    alloc[CONTRACTS["TestUSDC"]] = Account(nonce=1, code=b"\0")
    with pytest.raises(ChainError, match="other contracts") as caught:
        open_chain(Engine(alloc), tmp_path, Clock())
    assert caught.value.fix == "nearcast devchain --reset begins a new chain and forgets this one"
    for text in (b"something else of sixty bytes, which nobody may take for a chain", b"notes"):
        (tmp_path / FILE_NAME).write_bytes(text)
        with pytest.raises(ChainError, match="is not the journal"), opened(tmp_path):
            pass
        assert (tmp_path / FILE_NAME).read_bytes() == text


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(StoreLockedError, match="another development chain"), opened(tmp_path):
        pass


def test_a_full_disk_loses_nothing_and_acknowledges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as chain:
        chain.send(signed(1, 0, TOKEN, TRANSFER))
        before = chain.engine.head
        write = os.pwrite

        def full(file: int, data: Any, at: int) -> int:
            if len(data) < 100:
                raise OSError(errno.ENOSPC, "no space left on device")
            return write(file, data[:100], at)  # some of it fits

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="no space"):
            chain.send(signed(1, 1, TOKEN, TRANSFER))
        assert chain.engine.head == before
        assert len(chain.pool) == 0
        monkeypatch.undo()
        chain.send(signed(1, 1, TOKEN, TRANSFER))
        head = chain.engine.head
    with opened(tmp_path) as chain:
        assert chain.engine.head == head


@pytest.mark.slow
def test_kill_nine_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Real processes, killed at random moments under load; after each, every acknowledged hash has its receipt."""
    rng = random.Random(8545)
    acknowledged: list[str] = []
    for _ in range(KILLS):
        with killable(tmp_path) as started:
            rpc = Rpc(ready(started)["url"])
            for known in acknowledged:
                assert rpc("eth_getTransactionReceipt", known)["status"] == "0x1"
            nonce = int(rpc("eth_getTransactionCount", ACCOUNTS[1].address, "latest"), 16)
            assert len(acknowledged) <= nonce <= len(acknowledged) + KILLS  # at most the one in flight each time
            killer = threading.Timer(rng.uniform(0.02, 0.4), started.send_signal, [signal.SIGKILL])
            killer.start()
            try:
                while True:
                    acknowledged.append(rpc("eth_sendRawTransaction", signed(1, nonce, TOKEN, TRANSFER)))
                    nonce += 1
            except (urllib.error.URLError, ConnectionError):
                killer.join()
    assert len(acknowledged) > KILLS
