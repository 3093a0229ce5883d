"""A small website made from nothing: pages, a style sheet, a script that loads data, pictures, and one large file.

Everything is generated without a network and from fixed seeds, so every run makes the same bytes and the same CID.
"""

import json
import math
import random
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

PICTURE_COLUMNS, PICTURE_ROWS = 640, 360
LARGE_FILE = "field-recordings.bin"
_PIECE_BYTES = 1 << 20
_PICTURES = (
    ("dune", (28, 16, 51), (255, 138, 76), (255, 236, 179)),
    ("reef", (3, 19, 38), (0, 150, 160), (205, 255, 235)),
    ("fern", (6, 28, 18), (62, 160, 70), (240, 250, 170)),
    ("dusk", (18, 14, 48), (150, 60, 150), (255, 190, 160)),
    ("frost", (12, 22, 44), (92, 132, 200), (240, 248, 255)),
    ("ember", (20, 6, 8), (196, 40, 30), (255, 214, 120)),
)


@dataclass(frozen=True)
class Site:
    """A generated site: where, how many files, how many bytes."""

    folder: Path
    files: int
    size_bytes: int


def build_site(folder: Path, large_bytes: int) -> Site:
    """Write the site into `folder`, which is made."""
    (folder / "pictures").mkdir(parents=True)
    for seed, (name, *colours) in enumerate(_PICTURES):
        (folder / "pictures" / f"{name}.png").write_bytes(_picture(seed, colours))
    (folder / "index.html").write_text(_page("Shorelines", _INDEX))
    (folder / "pictures.html").write_text(_page("Pictures · Shorelines", _gallery()))
    (folder / "about.html").write_text(_page("About · Shorelines", _ABOUT))
    (folder / "style.css").write_text(_STYLE)
    (folder / "script.js").write_text(_SCRIPT)
    (folder / "places.json").write_text(json.dumps(_PLACES, indent=1))
    _large_file(folder / LARGE_FILE, large_bytes)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return Site(folder, len(files), sum(path.stat().st_size for path in files))


def _large_file(path: Path, size_bytes: int) -> None:
    chance = random.Random(20)
    with path.open("wb") as file:
        for start in range(0, size_bytes, _PIECE_BYTES):
            file.write(chance.randbytes(min(_PIECE_BYTES, size_bytes - start)))


def _picture(seed: int, colours: list[tuple[int, int, int]]) -> bytes:
    """A PNG of interfering waves with 256 palette colours: one byte per pixel, so plain Python is quick enough."""
    wave = [[_wave(at, seed, which) for at in range(PICTURE_COLUMNS + PICTURE_ROWS)] for which in range(3)]
    rows = bytearray()
    for y in range(PICTURE_ROWS):
        across, diagonal, down = wave[0], wave[1][y : y + PICTURE_COLUMNS], wave[2][y]
        rows += b"\0" + bytes([(a + d + down) >> 2 & 255 for a, d in zip(across, diagonal, strict=False)])
    header = struct.pack(">IIBBBBB", PICTURE_COLUMNS, PICTURE_ROWS, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", _palette(colours)), (b"IDAT", zlib.compress(bytes(rows), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _wave(at: int, seed: int, which: int) -> int:
    slow = math.sin(at / (61 + 17 * which) + seed * 1.7 + which)
    fast = math.sin(at / (19 + 5 * which + 2 * seed) + seed)
    return round(170 + 120 * slow + 40 * fast)


def _palette(colours: list[tuple[int, int, int]]) -> bytes:
    out = bytearray()
    for index in range(256):
        place = index / 256 * (len(colours) - 1)
        first = int(place)
        pairs = zip(colours[first], colours[first + 1], strict=True)
        out += bytes(round(a + (b - a) * (place - first)) for a, b in pairs)
    return bytes(out)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="style.css">
<header><a class="mark" href="index.html">Shorelines</a>
<nav><a href="pictures.html">Pictures</a><a href="about.html">About</a></nav></header>
<main>
{body}</main>
<footer>Every byte of this page was checked against its name before you saw it.</footer>
<script src="script.js"></script>
</html>
"""


def _gallery() -> str:
    figures = (
        f'<figure><img src="pictures/{name}.png" alt="{name}" width="{PICTURE_COLUMNS}" height="{PICTURE_ROWS}">'
        f"<figcaption>{name}</figcaption></figure>\n"
        for name, *_ in _PICTURES
    )
    return "<h1>Pictures</h1>\n<section class=gallery>\n" + "".join(figures) + "</section>\n"


_INDEX = f"""<section class=hero><img src="pictures/dusk.png" alt="" width="{PICTURE_COLUMNS}" height="{PICTURE_ROWS}">
<h1>Where the land<br>stops talking</h1></section>
<p class=lead>Six imaginary coasts, drawn from interfering waves, and the sound of none of them.</p>
<section class=places id=places></section>
<p><a class=button href="{LARGE_FILE}">Download the field recordings</a></p>
"""

_ABOUT = """<h1>About</h1>
<p>This site was made by a program a moment ago. It lives on no server: whoever has fetched it can hand it on, and
whoever receives it checks that nothing was changed on the way.</p>
"""

_PLACES = [
    {"name": "Marrow Sound", "waves": "long and slow", "picture": "reef"},
    {"name": "Point Vesper", "waves": "short, from two sides", "picture": "ember"},
    {"name": "The Hollows", "waves": "none before noon", "picture": "frost"},
]

_STYLE = """:root { --ink: #14202e; --paper: #fbf8f3; --accent: #c2512f; }
* { box-sizing: border-box; margin: 0; }
body { font: 17px/1.6 Georgia, serif; color: var(--ink); background: var(--paper); }
header, main, footer { max-width: 60rem; margin: 0 auto; padding: 1.2rem 1.5rem; }
header { display: flex; justify-content: space-between; align-items: baseline; }
a { color: inherit; } nav a { margin-left: 1.4rem; text-decoration: none; }
.mark { font-size: 1.3rem; font-weight: bold; text-decoration: none; letter-spacing: .02em; }
h1 { font-size: clamp(2rem, 6vw, 3.6rem); line-height: 1.05; margin: 1rem 0; }
img { display: block; width: 100%; height: auto; border-radius: 10px; }
.hero { position: relative; } .hero h1 { position: absolute; left: 2rem; bottom: 1rem; color: #fff; }
.lead { font-size: 1.25rem; margin: 1.5rem 0; }
.places, .gallery { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1.2rem; }
.places b { display: block; margin-top: .5rem; } figcaption { font-style: italic; margin-top: .3rem; }
.button { display: inline-block; margin: 2rem 0; padding: .7rem 1.3rem; color: #fff; background: var(--accent);
  border-radius: 99px; text-decoration: none; }
footer { border-top: 1px solid #0002; font-size: .85rem; color: #0009; margin-top: 3rem; }
"""

_SCRIPT = """const places = document.getElementById("places");
if (places) fetch("places.json").then(answer => answer.json()).then(list => {
  for (const place of list) {
    const card = document.createElement("article"), picture = new Image(), name = document.createElement("b");
    picture.src = `pictures/${place.picture}.png`;
    name.textContent = place.name;
    card.append(picture, name, place.waves);
    places.append(card);
  }
  document.body.dataset.ready = "yes";
});
"""
