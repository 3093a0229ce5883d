"""In a real browser: a site renders with its scripts, styles and images, and films and sound can be sought in.

The film is made by the browser itself (a canvas, recorded), so that nobody needs an encoder.
"""

import base64
import shutil
import struct
import wave
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Page, async_playwright
from tests.gateways.suite import Door, opened, run, share

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
SOUND_S = 600
SOUND_RATE_HZ = 8000
FILM_S = 4
EMPTY_PAGE = "<!doctype html><title>player</title><body></body>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")


@asynccontextmanager
async def browsing() -> AsyncGenerator[Page, None]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield await browser.new_page(viewport={"width": 1000, "height": 700})
        finally:
            await browser.close()


def png(path: Path, width: int, height: int) -> None:
    """A red picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff\0\0" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "pictures").mkdir(parents=True)
    (folder / "next").mkdir()
    png(folder / "pictures" / "red ✓ 1.png", 40, 30)
    (folder / "style.css").write_text("h1 { color: rgb(1, 2, 3) } #mark { background: url('pictures/red ✓ 1.png') }")
    (folder / "words.json").write_text('{"word": "fetched"}')
    (folder / "module.mjs").write_text("export const word = 'module';")
    (folder / "app.js").write_text(
        "import { word } from './module.mjs';\n"
        "const fields = await (await fetch('words.json')).json();\n"
        "document.querySelector('#mark').textContent = word + ' ' + fields.word;\n"
    )
    (folder / "index.html").write_text(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Site</title><link rel=stylesheet href=style.css>"
        "<h1>A site</h1><p id=mark></p><img id=picture src='pictures/red ✓ 1.png' alt=red><a href=next/>next</a>"
        "<script type=module src=app.js></script>"
    )
    (folder / "next" / "index.html").write_text("<!doctype html><title>Next</title><p>the next page")
    return folder


def complaints_of(page: Page) -> list[str]:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    return complaints


def test_a_site_renders(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door, browsing() as page:
            complaints = complaints_of(page)
            await page.goto(f"{door.url}/ipfs/{share(door.store, site)}", wait_until="networkidle")
            assert page.url.endswith("/")
            await page.wait_for_function("document.querySelector('#mark').textContent == 'module fetched'")
            assert await page.evaluate("document.querySelector('#picture').naturalWidth") == 40
            assert await page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(1, 2, 3)"
            await page.click("text=next")
            await page.wait_for_function("document.title == 'Next'")
            assert complaints == []

    run(main)


def test_sound_can_be_sought_in(tmp_path: Path) -> None:
    folder = tmp_path / "sound"
    folder.mkdir()
    (folder / "index.html").write_text(EMPTY_PAGE)
    with wave.open(str(folder / "long.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SOUND_RATE_HZ)
        sound.writeframes(bytes(2 * SOUND_RATE_HZ * SOUND_S))

    async def main() -> None:
        async with opened(tmp_path) as door, browsing() as page:
            await sought(
                door, page, f"/ipfs/{share(door.store, folder)}/long.wav", "audio", SOUND_S * 0.9, ranges_min=2
            )

    run(main)


def test_a_film_can_be_sought_in(tmp_path: Path) -> None:
    folder = tmp_path / "film"
    folder.mkdir()
    (folder / "index.html").write_text(EMPTY_PAGE)

    async def main() -> None:
        async with opened(tmp_path) as door, browsing() as page:
            (folder / "film.webm").write_bytes(await recorded(page))
            await sought(
                door, page, f"/ipfs/{share(door.store, folder)}/film.webm", "video", FILM_S * 0.7, ranges_min=1
            )

    run(main)


async def sought(door: Door, page: Page, path: str, element: str, to_s: float, *, ranges_min: int) -> None:
    """Plays the file, jumps, and checks that it went on from there by asking for a range."""
    await page.goto(f"{door.url}{path.rpartition('/')[0]}/")
    await page.evaluate(
        "([kind, source]) => new Promise((resolve, reject) => {"
        " const media = document.createElement(kind); media.id = 'media'; media.muted = true; media.preload = 'auto';"
        " media.onloadedmetadata = () => resolve(media.duration); media.onerror = () => reject(media.error.message);"
        " media.src = source; document.body.append(media); })",
        [element, door.url + path],
    )
    at_s = await page.evaluate(
        "(to) => new Promise((resolve, reject) => { const media = document.querySelector('#media');"
        " media.onerror = () => reject(media.error.message);"
        " media.onseeked = () => media.play().then(() => { media.ontimeupdate = () => {"
        "   if (media.currentTime > to) resolve(media.currentTime) } }); media.currentTime = to; })",
        to_s,
    )
    assert at_s > to_s
    partial = [line for line in door.lines if line.status == 206]
    assert len(partial) >= ranges_min, "the browser asked for no range"
    assert all(line.path == path.partition("?")[0] for line in partial)


async def recorded(page: Page) -> bytes:
    """A film of a moving square, as WebM with an index, so that its length is known."""
    await page.goto("about:blank")
    encoded: str = await page.evaluate(
        "async (seconds) => {"
        " const canvas = document.createElement('canvas'); canvas.width = 320; canvas.height = 240;"
        " const context = canvas.getContext('2d'); let frame = 0;"
        " const timer = setInterval(() => { context.fillStyle = '#fff'; context.fillRect(0, 0, 320, 240);"
        "   context.fillStyle = '#00f'; context.fillRect(frame % 300, 100, 20, 20); frame += 3; }, 33);"
        " const recorder = new MediaRecorder(canvas.captureStream(30), {mimeType: 'video/webm'});"
        " const parts = []; recorder.ondataavailable = (event) => parts.push(event.data);"
        " const ended = new Promise((resolve) => { recorder.onstop = resolve; });"
        " recorder.start(200); await new Promise((resolve) => setTimeout(resolve, seconds * 1000));"
        " recorder.stop(); await ended; clearInterval(timer);"
        " const bytes = new Uint8Array(await new Blob(parts).arrayBuffer()); let text = '';"
        " for (const byte of bytes) text += String.fromCharCode(byte); return btoa(text); }",
        FILM_S,
    )
    return base64.b64decode(encoded)


HOSTILE = ['<img src=x onerror="document.title=1">', "javascript:document.title=1", "a&b #1?.txt", "grüße 日本"]


def test_a_listing_is_harmless_and_its_links_lead_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    for name in HOSTILE:
        (folder / name).write_text(f"text of {name}")

    async def main() -> None:
        async with opened(tmp_path) as door, browsing() as page:
            complaints = complaints_of(page)
            root = share(door.store, folder)
            await page.goto(f"{door.url}/ipfs/{root}/")
            assert await page.title() != "1"
            links = await page.eval_on_selector_all("td.name a", "all => all.map((each) => each.href)")
            paths = ["sub/", *(quote(name, safe="") for name in HOSTILE)]
            assert sorted(links) == sorted(f"{door.url}/ipfs/{root}/{path}" for path in paths)
            await page.click("text=grüße")
            assert "text of grüße 日本" in await page.content()
            assert complaints == []

    run(main)


def test_own_pages_look_whole_in_light_and_dark(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door, browsing() as page:
            root = share(door.store, site)
            for path in ("/", f"/ipfs/{root}/pictures/", f"/ipfs/{root}/nowhere"):
                for scheme in ("light", "dark"):
                    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                    await page.goto(door.url + path)
                    width = await page.evaluate("document.documentElement.scrollWidth")
                    assert width <= 1000, f"{path} is wider than the window"
                    paper = await page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
                    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(23, 28, 34)")

    run(main)
