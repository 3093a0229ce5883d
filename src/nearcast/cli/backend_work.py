"""What the `backend` commands do. All of it in this process: the index is not the store, so a running node need not be
asked; it sees at once what is added or removed here."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nearcast.cli.amounts import bytes_text, count_text
from nearcast.cli.options import Call
from nearcast.cli.output import printable
from nearcast.cli.publishing import amount_shown
from nearcast.clock import SystemClock
from nearcast.content.backends.adding import Added, add_backend
from nearcast.content.backends.address import parse_backend
from nearcast.content.backends.checking import Checked, check_backend
from nearcast.content.backends.index import BackendIndex, KnownBackend
from nearcast.content.backends.opening import open_new, reopen
from nearcast.content.store.disk import storing
from nearcast.content.store.lock import StoreLock
from nearcast.errors import NotFoundError, StoreError, StoreLockedError, UnavailableError, UsageError
from nearcast.gateways.control.running import Running, read_running
from nearcast.naming.link import Link, gateway_path
from nearcast.overlay.peers import parse_peer

LOCK_FILE = "backends.lock"
KEYS_BYTES_MAX = 1 << 30  # of a list of keys; guess: ten million of them


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed."""

    url: str
    name: str
    hidden: bool
    keys: str
    endpoint: str
    region: str
    read_all: bool


@dataclass(frozen=True, slots=True)
class AddedBackend:
    """What was added, and how to get it. Its name stands in the link only if somebody chose one: the default ones say
    nothing, and what could be made of its address must not leave."""

    added: Added
    link: Link
    here_url: str | None

    def fields(self) -> dict[str, Any]:
        added = self.added
        return {
            "name": added.backend.name,
            "address": added.backend.address.url,
            "cid": str(added.root),
            "files": added.files,
            "folders": added.folders,
            "symlinks": added.symlinks,
            "size": added.size_bytes,
            "read_files": added.read_files,
            "read_bytes": added.read_bytes,
            "link": str(self.link),
            "url": self.here_url,
        }

    def lines(self) -> Iterator[str]:
        added = self.added
        size = f"{count_text(added.files, 'file')}, {bytes_text(added.size_bytes)}"
        read = f"; read {bytes_text(added.read_bytes)}" if added.read_files < added.files else ""
        yield ""
        yield f"  {printable(added.backend.name)}: {size}{read}"
        if self.here_url is not None:
            yield f"  This machine\n    {self.here_url}"
        else:
            yield "  No node runs on this data folder: `nearcast up` serves it."
        yield "  Any machine with nearcast"
        yield ""
        yield f"nearcast get {self.link}"
        yield ""


async def add_one(call: Call, wish: Wish) -> AddedBackend:
    """Raises what reading a backend raises, UsageError for a URL with secrets in it."""
    address = parse_backend(wish.url, endpoint=wish.endpoint, region=wish.region)
    if wish.keys and address.kind != "http":
        raise UsageError("--keys is for web servers: the others list what they have", fix="leave it out")
    keys = _keys(wish.keys) if wish.keys else None
    data_dir = call.config().data_dir
    with _one_at_a_time(data_dir), BackendIndex(data_dir) as index:
        before = next((each for each in index.backends() if _is_at(each, wish)), None)
        if keys is None and before is not None and not before.is_listed:
            keys = [file.object.key for file in index.files(before.backend_id)]  # they need not be named again
        opened = await open_new(address, keys)
        known = index.begin(address, wish.name, only=opened.only, is_listed=keys is None, hidden=wish.hidden)
        with amount_shown(call.output, f"reading {known.name}", None) as show:
            added = await add_backend(
                index, known, opened.backend, unix_s=SystemClock().unix_s(), progress=show, read_all=wish.read_all
            )
    running = read_running(data_dir)
    link = Link(added.root, name=wish.name, peers=_holders(running))
    slash = "/" if opened.only is None else ""
    here_url = None if running is None else f"http://{running.http_address}{gateway_path(added.root, '')}{slash}"
    return AddedBackend(added, link, here_url)


def remove_one(call: Call, which: str) -> KnownBackend:
    """Raises NotFoundError."""
    data_dir = call.config().data_dir
    with _one_at_a_time(data_dir), BackendIndex(data_dir) as index:
        known = _named(index, which)
        index.forget(known.backend_id)
    return known


def known_backends(call: Call) -> list[KnownBackend]:
    with BackendIndex(call.config().data_dir) as index:
        return index.backends()


async def check_some(call: Call, which: list[str], *, read_all: bool) -> list[tuple[KnownBackend, Checked]]:
    """Raises what reading a backend raises."""
    reports: list[tuple[KnownBackend, Checked]] = []
    with BackendIndex(call.config().data_dir) as index:
        wanted = [_named(index, each) for each in which] or index.backends()
        for known in wanted:
            keys = None if known.is_listed else [file.object.key for file in index.files(known.backend_id)]
            backend = reopen(known.address, known.only, keys)
            async with _read_amount(call, known.name) as on_bytes:
                reports.append(
                    (known, await check_backend(index, known, backend, read_all=read_all, on_bytes=on_bytes))
                )
    return reports


@asynccontextmanager
async def _read_amount(call: Call, name: str) -> AsyncIterator[Any]:
    done_bytes = 0
    with amount_shown(call.output, f"checking {name}", None) as show:

        def on_bytes(size_bytes: int) -> None:
            nonlocal done_bytes
            done_bytes += size_bytes
            show(done_bytes, 0)

        yield on_bytes


@contextmanager
def _one_at_a_time(data_dir: Path) -> Iterator[None]:
    """Two commands that change the index at once would undo each other's round."""
    with storing():
        data_dir.mkdir(parents=True, exist_ok=True)
        try:
            lock = StoreLock(data_dir / LOCK_FILE)
        except StoreLockedError as error:
            raise UnavailableError(
                "another command changes this node's backends", fix="wait until it is done"
            ) from error
    try:
        yield
    finally:
        lock.release()


def _is_at(known: KnownBackend, wish: Wish) -> bool:
    address = parse_backend(wish.url, endpoint=wish.endpoint, region=wish.region)
    return (known.address.url, known.address.endpoint) == (address.url, address.endpoint)


def _named(index: BackendIndex, which: str) -> KnownBackend:
    found = [each for each in index.backends() if which in (each.name, each.address.url, each.address.path)]
    if not found:
        raise NotFoundError(f"no backend is called {which!r}", fix="nearcast backend ls")
    return found[0]


def _keys(file: str) -> list[str]:
    """The lines of a file (or of stdin): paths, as they are before they are escaped for a URL."""
    try:
        text = sys.stdin.read(KEYS_BYTES_MAX) if file == "-" else Path(file).read_text("utf-8")
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8") from None
    keys = [line.strip("\r").removeprefix("/") for line in text.split("\n")]
    keys = list(dict.fromkeys(key for key in keys if key))
    if not keys:
        raise UsageError(f"{file} names no file")
    return keys


def _holders(running: Running | None) -> tuple[Any, ...]:
    """The running node, for the link; its own loopback is named once, the IPv4 one."""
    if running is None:
        return ()
    peer = parse_peer(running.peer)
    places = tuple(place for place in peer.addresses if not place.startswith("[::1]"))
    return (replace(peer, addresses=places or peer.addresses),)
