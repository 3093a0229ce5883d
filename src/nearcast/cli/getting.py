"""How `get` works: find a store to fetch into, fetch, and write what arrived to where it belongs.

The store is this node's own, so that what was got is served by a later `up`. While another process has it open, a
private one beside the destination takes its place, `.NAME.TAG.nearcast/`: kept when the fetch fails, so that the next
try goes on from there, and removed when it has succeeded. What is in a store counts as verified, and the destination
may lie in a folder that came from strangers: so TAG is made with this node's key, and nobody can lay a store there.
"""

import asyncio
import hmac
import os
import re
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nearcast.cli.looking import unannounced
from nearcast.cli.money_options import MoneyCall
from nearcast.cli.output import Output, printable
from nearcast.cli.publishing import amount_shown, interruptible
from nearcast.cli.watching import report_fields, summary_lines, watched
from nearcast.config import Config
from nearcast.content.blocks import MissingBlockError
from nearcast.content.export import materialise
from nearcast.content.reader import resolve
from nearcast.delivery.events import FetchReport
from nearcast.errors import NotFoundError, StoreLockedError, UnavailableError, UsageError
from nearcast.gateways.control.reading import look
from nearcast.gateways.control.running import read_running
from nearcast.gateways.control.storing import first_missing
from nearcast.keys import load_or_create_identity
from nearcast.naming.link import Link, parse_link
from nearcast.node import Node, run_node
from nearcast.node.assembly import IDENTITY_FILE
from nearcast.node.money_wish import MoneyWish
from nearcast.overlay.peers import parse_peer
from nearcast.overlay.remembered import FILE_NAME as CONTACTS_FILE

STANDARD_OUTPUT = Path("-")
TAG_DIGITS = 32  # of hexadecimal: 128 bits, not to be guessed
NAME_CHARACTERS_MAX = 100  # of the destination, in the names of what stands beside it for a while


@dataclass(frozen=True, slots=True)
class WantedRange:
    """Bytes of a file; both ends included, as HTTP counts them. `first` None: the last `last` bytes."""

    first: int | None
    last: int | None

    def within(self, size_bytes: int) -> tuple[int, int]:
        """(start, end), end not included. Raises UsageError when none of it is in the file."""
        if self.first is None:
            start, end = max(size_bytes - (self.last or 0), 0), size_bytes
        else:
            start, end = self.first, size_bytes if self.last is None else min(self.last + 1, size_bytes)
        if start >= end:
            raise UsageError(f"the range lies outside of the file, which has {size_bytes} bytes")
        return start, end


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be got and where to. `destination` is None for stdout."""

    link: Link
    destination: Path | None
    urls: tuple[str, ...]
    byte_range: WantedRange | None
    overwrite: bool

    def private_folder(self, config: Config) -> Path:
        """Where a store is made when our own is taken. Raises StoreError when this node's key cannot be read."""
        place = self.destination or Path.cwd() / self.link.suggested_name
        key = load_or_create_identity(config.data_dir / IDENTITY_FILE).secret
        tag = hmac.digest(key, b"nearcast private store\0" + os.fsencode(place), "sha256").hex()[:TAG_DIGITS]
        return place.with_name(f".{place.name[:NAME_CHARACTERS_MAX]}.{tag}.nearcast")


def wanted(link_text: str, path: Path | None, urls: list[str], range_text: str | None, *, overwrite: bool) -> Wish:
    """The wish, checked before anything is opened. Raises UsageError."""
    link = parse_link(link_text)
    byte_range = _parse_range(range_text) if range_text is not None else None
    gateways, files = _sorted_out(urls)
    link = replace(link, gateways=(*link.gateways, *gateways))
    destination = None if path == STANDARD_OUTPUT else (path or Path(link.suggested_name)).absolute()
    if destination is not None:
        _check_destination(destination, overwrite=overwrite)
    return Wish(link, destination, files, byte_range, overwrite)


def _sorted_out(urls: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(gateways, files): an address without a path is a gateway, which has whatever it has by name."""
    gateways, files = list[str](), list[str]()
    for url in urls:
        match = re.fullmatch(r"(https?://[^/?#\s]+)/?(.*)", url)
        if not match:
            raise UsageError(f"--from: {url!r} is not an http address", fix="give one like http://host/path/file")
        if match[2]:
            files.append(url)
        else:
            gateways.append(match[1])
    return tuple(gateways), tuple(files)


def _check_destination(destination: Path, *, overwrite: bool) -> None:
    if os.path.lexists(destination) and not overwrite:
        raise UsageError(f"{destination} exists", fix="--overwrite replaces it, or give another PATH after the link")
    if not destination.parent.is_dir():
        raise NotFoundError(f"{destination.parent}: no such folder", fix=f"mkdir -p {destination.parent}")


def _parse_range(text: str) -> WantedRange:
    match = re.fullmatch(r"(\d{0,19})-(\d{0,19})", text)
    if not match or not (match[1] or match[2]):
        raise UsageError(f"--range: {text!r} is not a range", fix="like 0-1023, 1024- (to the end) or -1024 (the last)")
    first, last = int(match[1]) if match[1] else None, int(match[2]) if match[2] else None
    if first is not None and last is not None and last < first:
        raise UsageError(f"--range: {text!r} ends before it starts", fix=f"{last}-{first}")
    return WantedRange(first, last)


async def run_get(call: MoneyCall, config: Config, wish: Wish) -> None:
    """Fetch, write, and say so."""
    output = call.output
    money = MoneyWish(config, call.wallet(config, may_ask=True), pays=call.pays) if call.pays else None
    private_folder = wish.private_folder(config)
    holds_an_earlier_try = private_folder.is_dir()
    try:
        async with _node_for(config, wish, private_folder, money) as (node, link):
            report = await _fetched(output, node, replace(wish, link=link))
            await _delivered(output, node, wish, report)
    except (NotFoundError, UsageError):  # nothing has come, or nothing is to come: there is nothing to go on from
        if not holds_an_earlier_try:  # whose only holder may just be switched off
            _discard(private_folder)
        raise
    _discard(private_folder)
    if wish.destination is not None:
        fields = report_fields(report) | {"path": str(wish.destination)}
        where = printable(str(wish.destination))  # its name may come from the link
        output.result(fields, lines=summary_lines(report, where), essential=[where])


def _discard(private_folder: Path) -> None:
    if private_folder.is_dir():
        shutil.rmtree(private_folder)


@asynccontextmanager
async def _node_for(
    config: Config, wish: Wish, private_folder: Path, money: MoneyWish | None
) -> AsyncIterator[tuple[Node, Link]]:
    """A node that only fetches, and the link with the running node among its holders if there is one."""
    link, config = wish.link, unannounced(config)
    private = replace(config, data_dir=private_folder)  # the store's; keys and books of money stay where they are
    fetching = partial(run_node, http=False, announce=False, money=money, contacts_file=config.data_dir / CONTACTS_FILE)
    async with AsyncExitStack() as stack:
        if private_folder.is_dir():  # an earlier try fetched into it
            yield await stack.enter_async_context(fetching(private)), link
            return
        try:
            node = await stack.enter_async_context(fetching(config))
        except StoreLockedError:
            running = read_running(config.data_dir)
            if running is not None and running.peer:
                link = replace(link, peers=(*link.peers, parse_peer(running.peer)))
            node = await stack.enter_async_context(fetching(private))
        yield node, link


async def _fetched(output: Output, node: Node, wish: Wish) -> FetchReport:
    """Everything the wish is about is in the node's store afterwards."""
    node.client.remember(wish.link)
    byte_range = None
    if wish.byte_range is not None:
        found = await look(node.client, {"link": str(wish.link)})
        if found["size"] is None:
            raise UsageError("--range is for files, this is a folder", fix="drop --range, or add a path to the link")
        byte_range = wish.byte_range.within(found["size"])
    with watched(output) as on_event:
        try:
            return await node.client.fetch(
                wish.link, byte_range=byte_range, extra=wish.urls, on_event=on_event, spend=node.client.spend
            )
        except (NotFoundError, UnavailableError):
            here = await asyncio.to_thread(_complete_here, node, wish.link)
            if here is None:
                raise
            return here


def _complete_here(node: Node, link: Link) -> FetchReport | None:
    """A report of nothing fetched, if nobody has to be asked because all of it is in the store."""
    try:
        target = resolve(node.store.get_block, link.root, link.path).cid
        missing = first_missing(node.store, target)
    except MissingBlockError:
        return None
    return FetchReport(target) if missing is None else None


async def _delivered(output: Output, node: Node, wish: Wish, report: FetchReport) -> None:
    """From the store to the destination."""
    if wish.destination is None or wish.byte_range is not None:
        await _write_bytes(output, node, wish, report)
        return
    place = wish.destination
    with amount_shown(output, f"writing {place.name}", None) as show:
        await interruptible(
            lambda progress: asyncio.to_thread(
                materialise, node.store, report.target, place, overwrite=wish.overwrite, progress=progress
            ),
            show,
        )


async def _write_bytes(output: Output, node: Node, wish: Wish, report: FetchReport) -> None:
    """A file, or a part of it, to stdout or into a file that appears when it is complete."""
    size_bytes = (await look(node.client, {"link": str(report.target)}))["size"]
    if size_bytes is None:
        raise UsageError("only a file can be written to stdout, this is a folder", fix="give a PATH instead of -")
    start, end = wish.byte_range.within(size_bytes) if wish.byte_range else (0, size_bytes)
    pieces = node.client.read(report.target, start, end, fetch=False)
    if wish.destination is None:
        async for piece in pieces:
            await asyncio.to_thread(output.bytes, piece)
        sys.stdout.flush()
        return
    name = wish.destination.name[:NAME_CHARACTERS_MAX]
    temporary = wish.destination.with_name(f".{name}.{secrets.token_hex(6)}.part")
    try:
        with temporary.open("xb") as file:  # never through what stands there already, which may be a symlink
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
        temporary.replace(wish.destination)
    finally:
        temporary.unlink(missing_ok=True)
