"""One fetch from a supply: with those who are there, then with the next ones, until it is done or nobody is left."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from nearcast.content.blocks import MissingBlockError
from nearcast.content.reader import resolve
from nearcast.content.store import Store
from nearcast.delivery.events import FetchEvent, FetchReport, SourceFailed, Wanted
from nearcast.delivery.fetch import Fetcher
from nearcast.delivery.source import Source
from nearcast.errors import IntegrityError, LimitError, NearcastError, NotFoundError, StoreError


class Supplying(Protocol):
    """What is needed of a Supply (supply.py)."""

    def free(self) -> list[Source]: ...

    async def more(self) -> list[Source]: ...

    def nobody(self) -> NearcastError: ...


async def fetch_supplied(
    fetcher: Fetcher, store: Store, wanted: Wanted, supply: Supplying, on_event: Callable[[FetchEvent], None]
) -> FetchReport:
    """As Fetcher.fetch, which starts again with the next sources where it failed with the ones before: what has arrived
    is here, and is not fetched again. The report has what all of them brought and were paid, and who failed or lied."""
    report = FetchReport(wanted.root)
    failed: dict[str, SourceFailed] = {}

    def told(event: FetchEvent) -> None:
        if isinstance(event, SourceFailed):
            failed[event.source] = event
        on_event(event)

    sources = supply.free()  # with nobody at all it is seen whether anything is missing, before anybody is paid
    is_anybody = bool(sources)
    while True:
        try:
            await fetcher.fetch(wanted, sources, told, report)
        except (StoreError, IntegrityError, LimitError):
            raise
        except NearcastError as error:
            if isinstance(error, NotFoundError) and await asyncio.to_thread(_has_no_such_path, store, wanted):
                raise
            more = await supply.more()
            is_anybody = is_anybody or bool(more)
            if not is_anybody:
                raise supply.nobody() from None
            if not more:
                raise
            sources = [*(source for source in sources if source.name not in failed), *more]
        else:
            report.failed = {name: event.reason for name, event in failed.items()} | report.failed
            liars = (name for name, event in failed.items() if event.liar)
            report.liars = tuple(dict.fromkeys((*liars, *report.liars)))
            return report


def _has_no_such_path(store: Store, wanted: Wanted) -> bool:
    """Whether the content itself, as far as it is here, says so: then nobody else can do better."""
    try:
        resolve(store.get_block, wanted.root, wanted.path)
    except MissingBlockError:
        return False
    except NotFoundError:
        return True
    return False
