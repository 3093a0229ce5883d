"""Names are looked up beside everything else: numbers, files and other peers never wait for a slow name server."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nearcast.transport import resolving
from nearcast.transport.resolving import resolve

UNIX_ADDRESS = (socket.AF_INET, socket.SOCK_DGRAM, 17, "")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name server that knows two names; whom it was asked for."""
    names: list[str] = []

    def getaddrinfo(name: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        names.append(name)
        ips = {"one.example": ["192.0.2.1"], "two.example": ["192.0.2.2", "2001:db8::2"]}.get(name)
        if ips is None:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(*UNIX_ADDRESS, (ip, 0)) for ip in ips]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A name server that does not answer before the test is over; whom it was asked for."""
    names: list[str] = []
    is_over = threading.Event()

    def getaddrinfo(name: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        names.append(name)
        assert is_over.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    threads = ThreadPoolExecutor(resolving.THREADS)
    monkeypatch.setattr(resolving, "_threads", threads)
    monkeypatch.setattr(resolving, "_lookups", set())
    yield names
    is_over.set()
    threads.shutdown()


@pytest.mark.parametrize(
    ("address", "places"),
    [
        ("127.0.0.1:4711", ["127.0.0.1:4711"]),
        ("[2001:db8:0:0::7]:1", ["[2001:db8::7]:1"]),
        ("[::1]:65535", ["[::1]:65535"]),
    ],
)
def test_a_number_asks_nobody(asked: list[str], address: str, places: list[str]) -> None:
    assert asyncio.run(resolve([address, address])) == places
    assert not asked


def test_names_come_after_numbers(asked: list[str]) -> None:
    addresses = ["two.example:5", "192.0.2.9:1", "one.example:7", "one.example:8"]
    expected = ["192.0.2.9:1", "192.0.2.2:5", "[2001:db8::2]:5", "192.0.2.1:7", "192.0.2.1:8"]
    assert asyncio.run(resolve(addresses)) == expected
    assert sorted(asked) == ["one.example", "two.example"]


@pytest.mark.parametrize(
    "address", ["", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:65536", "no.such:1"]
)
def test_what_leads_nowhere_is_left_out(asked: list[str], address: str) -> None:
    assert asyncio.run(resolve([address])) == []


def test_a_name_that_is_none_is_left_out() -> None:
    assert asyncio.run(resolve([f"{'x' * 64}.example:1", "\udcff:1"])) == []


def test_a_peer_is_looked_up_by_few_names_and_dialled_at_few_places(asked: list[str]) -> None:
    names = [f"{number}.example:1" for number in range(10)]
    numbers = [f"192.0.2.{number}:1" for number in range(40)]
    assert asyncio.run(resolve([*names, *numbers])) == numbers[: resolving.ADDRESSES_MAX]
    assert len(asked) == resolving.NAMES_MAX


def test_slow_names_hold_up_neither_files_nor_those_who_are_known_by_number(stuck: list[str]) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            slow = [
                tasks.create_task(resolve([f"{number}.example:1", "192.0.2.1:1"], patience_s=0.01))
                for number in range(2 * resolving.LOOKUPS_MAX)
            ]
            assert await resolve(["192.0.2.7:1"]) == ["192.0.2.7:1"]
            assert await asyncio.to_thread(lambda: "read") == "read"
        assert [task.result() for task in slow] == [["192.0.2.1:1"]] * len(slow)

    asyncio.run(main())
    assert len(stuck) <= resolving.THREADS


def test_no_more_names_wait_than_may(stuck: list[str]) -> None:
    async def main() -> int:
        async with asyncio.TaskGroup() as tasks:
            for number in range(2 * resolving.LOOKUPS_MAX):
                tasks.create_task(resolve([f"{number}.example:1"], patience_s=0.1))
            await asyncio.sleep(0)  # each of them has its turn, which takes it as far as the resolver
            waiting = len(resolving._lookups)
        assert len(resolving._lookups) <= resolving.THREADS, "those that had not begun are forgotten"
        return waiting

    assert asyncio.run(main()) == resolving.LOOKUPS_MAX
