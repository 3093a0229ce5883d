"""Content on the chain's blacklist is 451 on every road to it, and is not taken in. The list is what a node has on disk
after a restart without its chain."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright
from tests.chain.senders import WaitedTime
from tests.gateways.suite import QUOTA_BYTES, Answer, Door, opened, run, share
from tests.gateways.test_browser import ARGUMENTS, CHROMIUM

from nearcast.chain.bindings.blacklist import EVERYWHERE, Blacklist, ListedBy, ListedEntry, Snapshot, root_of
from nearcast.chain.head import ChainHead
from nearcast.chain.rpc import JsonRpc
from nearcast.clock import SystemClock
from nearcast.content.cid import Cid, raw_cid
from nearcast.content.store import Store
from nearcast.errors import RefusedError
from nearcast.gateways.control.storing import store_operations
from nearcast.gateways.http.errors import error_response
from nearcast.gateways.http.listed import ListedError
from nearcast.gateways.http.request import Request
from nearcast.payments.list_file import KnownList, write_list
from nearcast.payments.listing import BlacklistFollower

CONTRACT = b"\x0b" * 20
NOWHERE = "http://127.0.0.1:9/"
SINCE_S = 1_795_240_800  # 2026-11-21 06:00 UTC
MALWARE = 3
LARGE_BYTES = 3 << 20


def entry(cid: Cid, scope: bytes = EVERYWHERE, **changed: Any) -> ListedEntry:
    fields: dict[str, Any] = {"effective_at": SINCE_S, "lapses_at": 0, "reason": MALWARE, "source": ListedBy.GUARDIAN}
    return ListedEntry(cid.digest, scope, **(fields | changed))


async def follower(folder: Path, *entries: ListedEntry) -> BlacklistFollower:
    path = folder / "blacklist.json"
    write_list(path, CONTRACT, KnownList(Snapshot(7, root_of(entries), len(entries)), SINCE_S, list(entries)))
    rpc = JsonRpc(NOWHERE, 31337)
    clock = WaitedTime()
    head = ChainHead(rpc, clock, 10)
    return await BlacklistFollower.open(Blacklist(rpc, CONTRACT), head, path, clock=clock, regions=[b"DE"])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><h1>hello</h1>")
    (folder / "sub" / "bad.txt").write_text("0123456789")
    (folder / "sub" / "good.txt").write_text("harmless")
    (folder / "sub" / "large.bin").write_bytes(os.urandom(LARGE_BYTES))
    return folder


def cids(folder: Path, site: Path) -> dict[str, Cid]:
    """Names of everything in the site, from a store of its own."""
    with Store.open(folder / "names", quota_bytes=QUOTA_BYTES, clock=SystemClock()) as store:
        large = share(store, site / "sub" / "large.bin")
        table = store.leaf_table(large)
        assert table is not None
        return {
            "root": share(store, site),
            "sub": share(store, site / "sub"),
            "bad": share(store, site / "sub" / "bad.txt"),
            "large": large,
            "leaf": table.cid(1),
        }


@asynccontextmanager
async def blocking(tmp_path: Path, site: Path, what: str) -> AsyncGenerator[tuple[Door, dict[str, Cid]], None]:
    names = cids(tmp_path, site)
    async with opened(tmp_path, blacklist=await follower(tmp_path, entry(names[what]))) as door:
        assert share(door.store, site) == names["root"]
        yield door, names


def check_451(answer: Answer, *, head: bool = False) -> None:
    assert answer.status == 451
    assert answer.headers["link"] == '</>; rel="blocked-by"'
    assert answer.headers["cache-control"] == "no-store" or "max-age" not in answer.headers["cache-control"]
    if not head:
        assert "malware" in answer.text


ROADS: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/ipfs/{root}/sub/bad.txt", {}),
    ("HEAD", "/ipfs/{root}/sub/bad.txt", {}),
    ("GET", "/ipfs/{root}/sub/bad.txt", {"range": "bytes=2-4"}),
    ("GET", "/ipfs/{root}/sub/bad.txt?format=raw", {}),
    ("GET", "/ipfs/{root}/sub/bad.txt?download=true", {}),
    ("GET", "/ipfs/{root}/sub/bad.txt", {"if_none_match": '"{bad}"'}),
    ("GET", "/ipfs/{bad}", {}),
    ("GET", "/ipfs/{bad}", {"accept": "application/vnd.ipld.raw"}),
    ("GET", "/ipfs/{bad}?format=raw", {}),
    ("HEAD", "/ipfs/{bad}?format=raw", {}),
    ("GET", "/ipfs/{bad}?format=car", {}),
]


@pytest.mark.parametrize(("method", "path", "headers"), ROADS)
def test_a_listed_file_is_451_on_every_road(
    tmp_path: Path, site: Path, method: str, path: str, headers: dict[str, str]
) -> None:
    async def main() -> None:
        async with blocking(tmp_path, site, "bad") as (door, names):
            asked = {name: value.format(**names) for name, value in headers.items()}
            for _ in range(2):  # the second time nothing prepared answers either
                check_451(await door.get(path.format(**names), method=method, **asked), head=method == "HEAD")
            good = await door.get(f"/ipfs/{names['root']}/sub/good.txt")
            assert (good.status, good.text) == (200, "harmless")

    run(main)


@pytest.mark.parametrize("path", ["/ipfs/{root}", "/ipfs/{root}/sub/good.txt", "/ipfs/{root}/sub/?format=raw"])
@pytest.mark.parametrize("what", ["root", "sub"])
def test_what_is_below_a_listed_folder_is_451(tmp_path: Path, site: Path, path: str, what: str) -> None:
    async def main() -> None:
        async with blocking(tmp_path, site, what) as (door, names):
            if what == "sub" and path == "/ipfs/{root}":
                assert (await door.get(f"/ipfs/{names['root']}/")).status == 200  # the folder above it is not listed
            else:
                check_451(await door.get(path.format(**names)))

    run(main)


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-9"}])
def test_a_file_with_a_listed_leaf_is_451(tmp_path: Path, site: Path, headers: dict[str, str]) -> None:
    async def main() -> None:
        async with blocking(tmp_path, site, "leaf") as (door, names):
            check_451(await door.get(f"/ipfs/{names['root']}/sub/large.bin", **headers))
            check_451(await door.get(f"/ipfs/{names['leaf']}?format=raw"))

    run(main)


def test_a_file_listed_while_it_is_hot_is_gone_within_a_moment(tmp_path: Path, site: Path) -> None:
    """What is prepared is believed for a second; a node drops it all at once when its list changes."""

    async def main() -> None:
        names = cids(tmp_path, site)
        listing = await follower(tmp_path)
        async with opened(tmp_path, blacklist=listing) as door:
            listing.watch(door.gateway.forget)
            share(door.store, site)
            path = f"/ipfs/{names['root']}/sub/bad.txt"
            assert (await door.get(path)).status == 200
            assert (await door.get(path)).status == 200
            entries = [entry(names["bad"])]
            listing._take(KnownList(Snapshot(8, root_of(entries), 1), SINCE_S, entries))
            listing._told()
            check_451(await door.get(path))

    run(main)


def test_programs_and_people_are_told_why(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with blocking(tmp_path, site, "bad") as (door, names):
            told = json.loads((await door.get(f"/ipfs/{names['bad']}", accept="application/json")).body)
            assert told["status"] == 451
            assert {name: told[name] for name in ("digest", "reason", "reason_text", "region", "listed_by")} == {
                "digest": names["bad"].digest.hex(),
                "reason": MALWARE,
                "reason_text": "malware",
                "region": None,
                "listed_by": "guardian",
            }
            assert (told["effective_at"], told["lapses_at"]) == (SINCE_S, None)
            line = (await door.get(f"/ipfs/{names['bad']}")).text
            assert "because of malware" in line
            assert "2026-11-21 06:00 UTC" in line
            assert line.count("\n") == 1

    run(main)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")
def test_the_page_fits_a_window_and_a_phone(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with blocking(tmp_path, site, "bad") as (door, names), async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            try:
                for width in (1000, 360):
                    page = await browser.new_page(viewport={"width": width, "height": 700})
                    response = await page.goto(f"{door.url}/ipfs/{names['bad']}")
                    assert response is not None
                    assert response.status == 451
                    assert await page.evaluate("document.documentElement.scrollWidth") <= width
                    assert "Not available here" in await page.inner_text("h1")
                    if picture := os.environ.get("NEARCAST_PICTURES"):
                        await page.screenshot(path=f"{picture}/listed-{width}.png")
            finally:
                await browser.close()

    run(main)


def test_an_entry_of_a_region_and_a_far_future_are_said_too() -> None:
    cid = raw_cid(b"d" * 32)
    listed = entry(cid, b"DE", effective_at=2**40 - 1, lapses_at=2**40 - 1, reason=200, source=ListedBy.REGION)
    request = Request("GET", "/ipfs/x", "", {}, {"accept": "application/json"}, is_local=False)  # type: ignore[arg-type]
    body = error_response(ListedError(cid, listed), request, about="x").body
    assert isinstance(body, bytes)
    told = json.loads(body)
    assert (told["region"], told["reason_text"], told["lapses_at"]) == ("DE", "reason 200", 2**40 - 1)
    assert "a time far away" in told["error"]


# --- taking in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["root", "sub", "bad", "large", "leaf"])
@pytest.mark.parametrize("in_place", [True, False])
def test_what_is_listed_is_not_imported(tmp_path: Path, site: Path, what: str, in_place: bool) -> None:
    names = cids(tmp_path, site)
    listing = asyncio.run(follower(tmp_path, entry(names[what])))
    operations = store_operations(listing.refuse)
    with Store.open(tmp_path / "store", quota_bytes=QUOTA_BYTES, clock=SystemClock()) as store:
        with pytest.raises(RefusedError, match="blacklist"):
            operations["add"](store, {"path": str(site), "in_place": in_place})
        assert store.pins() == []
        assert not store.has(names[what])
        assert not store.has(names["root"])
        (site / "sub" / "other.txt").write_text("else")
        added = operations["add"](store, {"path": str(site / "sub" / "other.txt"), "in_place": in_place})
        assert len(store.pins()) == 1
        assert added["size"] == 4


@pytest.mark.parametrize("what", ["root", "bad", "leaf"])
def test_an_archive_with_something_listed_is_not_imported(tmp_path: Path, site: Path, what: str) -> None:
    names = cids(tmp_path, site)
    listing = asyncio.run(follower(tmp_path, entry(names[what])))
    archive = tmp_path / "site.car"
    free, refusing = store_operations(None), store_operations(listing.refuse)
    with Store.open(tmp_path / "from", quota_bytes=QUOTA_BYTES, clock=SystemClock()) as store:
        free["add"](store, {"path": str(site)})
        free["export"](store, {"link": str(names["root"]), "path": str(archive)})
    with Store.open(tmp_path / "to", quota_bytes=QUOTA_BYTES, clock=SystemClock()) as store:
        with pytest.raises(RefusedError, match="blacklist"):
            refusing["import"](store, {"path": str(archive)})
        assert store.pins() == []
        assert not any(map(store.has, names.values()))
        free["import"](store, {"path": str(archive)})
        assert all(map(store.has, names.values()))
