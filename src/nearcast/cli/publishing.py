"""Publishing one path: the import with its bar, and the words that say what was published and how to get it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nearcast.cli.amounts import bytes_text, count_text
from nearcast.cli.output import Output, printable
from nearcast.content.importer import Imported
from nearcast.content.progress import ProgressCallback
from nearcast.naming.link import Link, gateway_path
from nearcast.node import Node

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Published:
    """What was published, and where it can be got."""

    path: Path
    imported: Imported
    link: Link
    here_url: str | None
    lan_urls: tuple[str, ...]

    def fields(self) -> dict[str, Any]:
        return {
            "name": self.link.suggested_name,
            "path": str(self.path),
            "cid": str(self.imported.root),
            "files": self.imported.files,
            "size": self.imported.size_bytes,
            "link": str(self.link),
            "url": self.here_url,
            "lan_urls": list(self.lan_urls),
        }

    def lines(self) -> Iterator[str]:
        """For people: what, where for browsers, and a line to paste into another terminal."""
        size = f"{count_text(self.imported.files, 'file')}, {bytes_text(self.imported.size_bytes)}"
        yield ""
        yield f"  Published {printable(self.link.suggested_name)}: {size}"
        if self.here_url:
            yield f"  This machine\n    {self.here_url}"
        if self.lan_urls:
            yield "\n".join(["  Same network", *(f"    {url}" for url in self.lan_urls)])
        yield "  Any machine with nearcast"
        yield ""
        yield f"nearcast get {self.link}"
        yield ""


async def publish(output: Output, node: Node, path: Path, *, hidden: bool) -> Published:
    """Import in place, with a bar on a terminal. A single file gets a folder around it, so that its name survives."""
    is_file = path.is_file()
    with amount_shown(output, f"reading {path.name}", path.stat().st_size if is_file else None) as show:
        imported = await interruptible(
            lambda progress: node.add(path, in_place=True, hidden=hidden, wrap=is_file, progress=progress), show
        )
    inside = imported.name if is_file else ""  # a symlink is followed, and named after what it leads to
    link = node.link(imported.root, inside, "" if is_file else imported.name)
    web_path = gateway_path(imported.root, inside) + ("" if is_file else "/")
    here_url = node.http_url + web_path if node.http_url else None
    return Published(path, imported, link, here_url, tuple(url + web_path for url in node.lan_http_urls))


@contextmanager
def amount_shown(output: Output, label: str, total_bytes: int | None) -> Iterator[ProgressCallback]:
    """A bar where there is a terminal, else nothing; to be called with bytes and files done."""
    if not output.shows_bars:
        yield lambda _bytes, _files: None
        return
    from nearcast.cli.bars import amount_bar

    with amount_bar(output, printable(label), total_bytes) as show:
        yield show


class _InterruptedError(Exception):
    """Raised in the thread that works, to end it."""


async def interruptible(work: Callable[[ProgressCallback], Awaitable[T]], show: ProgressCallback) -> T:
    """Work done in a thread that reports progress; on Ctrl-C it ends at its next report, before the store is closed."""
    interrupted = threading.Event()

    def report(done_bytes: int, done_files: int) -> None:
        if interrupted.is_set():
            raise _InterruptedError
        show(done_bytes, done_files)

    working = asyncio.gather(work(report))
    try:
        return (await asyncio.shield(working))[0]
    except asyncio.CancelledError:
        interrupted.set()
        with suppress(_InterruptedError):
            await working
        raise
