"""The process is sealed: what would differ from run to run comes from the seed, or fails the run."""

import asyncio
import concurrent.futures
import os
import random
import secrets
import socket
import threading
import time
import types
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from nearcast.clock import SystemClock
from nearcast.keys import new_identity
from nearcast.sim.whole.loop import StuckError, VirtualLoop, run_virtually
from nearcast.sim.whole.sealing import UNIX_START_S, Seal, UnsealedError, sealed


def draws() -> list[object]:
    return [os.urandom(8), secrets.token_hex(8), uuid.uuid4(), new_identity().secret, random.Random().random()]


def test_entropy_comes_from_the_seed() -> None:
    found = []
    for seed in (7, 7, 8):
        with sealed(random.Random(seed)):
            found.append([*draws(), random.random()])
    assert found[0] == found[1]
    assert not set(map(str, found[0])) & set(map(str, found[2]))


def test_afterwards_everything_is_as_it_was() -> None:
    before = (os.urandom, time.time, time.sleep, os.listdir, threading.Thread.start, random.Random.seed)
    with sealed(random.Random(1)):
        assert os.urandom is not before[0]
    assert before == (os.urandom, time.time, time.sleep, os.listdir, threading.Thread.start, random.Random.seed)
    assert os.urandom(8) != os.urandom(8)
    assert "connect" not in vars(socket.socket)
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def breach(act: Callable[[], object]) -> list[str]:
    with sealed(random.Random(1)) as seal:
        act()
        return seal.breaches


def dial() -> None:
    with socket.socket() as made:
        made.connect(("127.0.0.1", 9))


def in_module(name: str, code: str) -> Callable[[], object]:
    """`code` as if it stood in that module."""
    module = types.ModuleType(name)
    vars(module)["time"] = time
    return lambda: exec(code, vars(module))  # the code is ours


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (SystemClock().monotonic_s, "nearcast.clock asks time.monotonic()"),
        (SystemClock().unix_s, "nearcast.clock asks time.time()"),
        (in_module("nearcast.content.new", "time.perf_counter()"), "nearcast.content.new asks time.perf_counter()"),
        (lambda: threading.Thread(target=print, name="worker").start(), "a thread: worker"),
        (lambda: time.sleep(1), "time.sleep()"),
        (dial, "socket.connect()"),
    ],
)
def test_what_goes_behind_the_simulations_back_is_a_breach(act: Callable[[], object], told: str) -> None:
    assert breach(act) == [told]
    seal = Seal(random.Random(1))
    seal.check()
    seal.breach(told)
    with pytest.raises(UnsealedError, match="not repeatable"):
        seal.check()


def test_libraries_are_told_virtual_time() -> None:
    with sealed(random.Random(1)) as seal:
        seal.now_s = lambda: 5.0
        assert (time.monotonic(), time.time(), time.time_ns()) == (
            5.0,
            UNIX_START_S + 5,
            (int(UNIX_START_S) + 5) * 10**9,
        )
        in_module("somebody.elses", "time.monotonic()")()
        assert seal.breaches == []


def test_a_pools_work_is_done_at_once(tmp_path: Path) -> None:
    with sealed(random.Random(1)) as seal, concurrent.futures.ThreadPoolExecutor(2) as pool:
        here = threading.get_ident()
        assert list(pool.map(lambda _: threading.get_ident(), range(3))) == [here] * 3
        assert pool.submit(lambda: 1 // 0).exception() is not None
        assert seal.breaches == []


def test_folders_are_listed_in_order(tmp_path: Path) -> None:
    names = [f"{random.Random(i).getrandbits(64):x}" for i in range(40)]
    for name in names:
        (tmp_path / name).touch()
    with sealed(random.Random(1)):
        assert [path.name for path in tmp_path.iterdir()] == sorted(names)
        with os.scandir(tmp_path) as entries:
            assert [entry.name for entry in entries] == sorted(names)


def test_time_passes_only_by_timers() -> None:
    async def main(loop: VirtualLoop) -> tuple[float, list[int]]:
        order: list[int] = []

        async def wait(number: int) -> None:
            await asyncio.sleep(10_000 - number)
            order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(wait(number))
        return loop.time(), order

    started_s = time.monotonic()
    now_s, order = run_virtually(main, random.Random(1))
    assert time.monotonic() - started_s < 60
    assert now_s == pytest.approx(10_000)
    assert order == list(range(49, -1, -1))


def test_threads_work_is_done_in_the_loop() -> None:
    async def main(loop: VirtualLoop) -> list[object]:
        here = threading.get_ident()
        assert await asyncio.to_thread(threading.get_ident) == here
        outcomes = await asyncio.gather(*(asyncio.to_thread(divmod, 7, by) for by in (2, 0)), return_exceptions=True)
        assert 0 < loop.time() < 0.01
        return list(outcomes)

    outcomes = run_virtually(main, random.Random(1))
    assert outcomes[0] == (3, 1)
    assert isinstance(outcomes[1], ZeroDivisionError)


def test_cancellation_goes_in_the_order_of_making() -> None:
    async def main(_loop: VirtualLoop) -> list[int]:
        order: list[int] = []

        async def endless(number: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                order.append(number)

        async def many() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(100):
                    group.create_task(endless(number))
                group.create_task(asyncio.wait_for(asyncio.sleep(1), 0.1))

        with pytest.raises(ExceptionGroup):
            await many()
        return order

    first = run_virtually(main, random.Random(1))
    ballast = [bytearray(100 + i) for i in range(1000)]  # other addresses
    assert run_virtually(main, random.Random(1)) == first
    assert len(ballast) == 1000


def test_a_world_that_stands_still_says_so() -> None:
    async def main(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(StuckError):
        run_virtually(main, random.Random(1))


def test_what_a_step_finds_ends_the_run() -> None:
    async def main(loop: VirtualLoop) -> None:
        def look(now_s: float) -> None:
            if now_s >= 3:
                raise AssertionError(f"at {now_s}")

        loop.on_step = look
        await asyncio.sleep(3)
        await asyncio.sleep(3)

    with pytest.raises(AssertionError, match=r"at 3\.0"):
        run_virtually(main, random.Random(1))


def test_an_error_that_nobody_awaits_ends_the_run() -> None:
    async def main(loop: VirtualLoop) -> None:
        loop.call_later(1, lambda: 1 // 0)
        await asyncio.sleep(2)

    with pytest.raises(ZeroDivisionError):
        run_virtually(main, random.Random(1))
