"""The small pure parts: conditions, content types, headers, listings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import Cid, dag_pb_cid, raw_cid
from nearcast.content.nodes import Entry
from nearcast.gateways.http.conditions import none_match, range_applies
from nearcast.gateways.http.content_types import content_type
from nearcast.gateways.http.headers import content_headers, disposition
from nearcast.gateways.http.listing import described, link_to, listing_page
from nearcast.gateways.http.page import error_page, size_text

TAG = '"bafy"'


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        (None, False),
        (TAG, True),
        ("W/" + TAG, True),
        ('"other", ' + TAG, True),
        ('W/"other",W/' + TAG, True),
        ("*", True),
        (" * ", True),
        ('"other"', False),
        ("bafy", False),
        ('"ba,fy"', False),
        ("", False),
    ],
)
def test_if_none_match(header: str | None, matches: bool) -> None:
    assert none_match(header, TAG) is matches


@pytest.mark.parametrize(
    ("header", "applies"),
    [(None, True), (TAG, True), ("W/" + TAG, False), ('"x"', False), ("Sat, 21 Nov 2026 00:00:00 GMT", False)],
)
def test_if_range_compares_strongly(header: str | None, applies: bool) -> None:
    assert range_applies(header, TAG) is applies


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("index.html", b"", "text/html; charset=utf-8"),
        ("A.CSS", b"", "text/css; charset=utf-8"),
        ("app.mjs", b"", "text/javascript; charset=utf-8"),
        ("x.json", b"", "application/json; charset=utf-8"),
        ("m.wasm", b"", "application/wasm"),
        ("clip.webm", b"", "video/webm"),
        ("a.tar.gz", b"", "application/gzip"),
        ("", b"\x89PNG\r\n\x1a\n....", "image/png"),
        ("README", b"hello\n", "text/plain; charset=utf-8"),
        ("", b"  <!DOCTYPE HTML><p>", "text/html; charset=utf-8"),
        ("", "gr\u00fc\u00df".encode(), "text/plain; charset=utf-8"),
        ("", ("\u00fc" * 256).encode()[:511] + b"\xc3", "text/plain; charset=utf-8"),
        ("", b"ab\x00cd", "application/octet-stream"),
        ("", b"\xff\xfe\xfd", "application/octet-stream"),
        ("", b"", "text/plain; charset=utf-8"),
        ("x.unknown-to-all", b"\x1aE\xdf\xa3", "video/webm"),
    ],
)
def test_content_types(name: str, head: bytes, expected: str) -> None:
    assert content_type(name, head) == expected


@given(st.text(max_size=300), st.booleans())
def test_no_name_leaves_its_header(name: str, attachment: bool) -> None:
    _, value = disposition(name, attachment=attachment)
    assert re.fullmatch(r'(attachment|inline); filename="[^"\\]*"(; filename\*=UTF-8\'\'[A-Za-z0-9_.~%-]*)?', value)
    assert value.isascii()
    assert value.isprintable()


@given(st.text(max_size=3000))
def test_the_headers_of_any_path_are_ascii_and_short(path: str) -> None:
    path = path.encode("utf-8", "replace").decode()
    headers = [*content_headers("text/plain", TAG, path, hit=True), disposition(path, attachment=True)]
    assert all(value.isascii() and value.isprintable() for _, value in headers)
    assert sum(len(name) + len(value) + 4 for name, value in headers) < 2048 - 200


def nothing_here(cid: Cid) -> bytes:
    raise MissingBlockError(cid)


HOSTILE_NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "//elsewhere.example/",
    "..",
    "a\r\nb",
    "\u202egnp.exe",
    "\udcff",
    "$title ${body}",
    "日本語 🎞️",
    "&amp;",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_listing_escapes_its_names(name: str) -> None:
    listed = described([Entry(name, raw_cid(b"\1" * 32), 5)], nothing_here)
    page = listing_page("/ipfs/bafy/<b>/", dag_pb_cid(b"\2" * 32), listed, is_cut=False)
    assert page.encode()
    body = page[page.index("<main>") :]
    assert "<script" not in body
    assert "<img" not in body
    assert "<b>/" not in body
    (link,) = re.findall(r'href="(\./[^"]*)"', body)
    assert link == link_to(name)
    assert re.fullmatch(r"\./[A-Za-z0-9_.~%-]+", link)


def test_a_listing_puts_folders_first_and_says_when_it_is_cut() -> None:
    entries = [Entry("b.txt", raw_cid(b"\1" * 32), 5), Entry("sub", dag_pb_cid(b"\2" * 32), 1_500_000)]
    page = listing_page("/ipfs/bafy/", dag_pb_cid(b"\3" * 32), described(entries, nothing_here), is_cut=True)
    assert page.index("sub/") < page.index("b.txt")
    assert "Only the first 2 entries" in page
    assert "1.5 MB" in page


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (123_456, "123 kB"),
        (5 * 10**9, "5.0 GB"),
        (10**16, "10000 TB"),
    ],
)
def test_sizes(size_bytes: int | None, text: str) -> None:
    assert size_text(size_bytes) == text


def test_an_error_page_escapes_what_it_quotes() -> None:
    page = error_page(404, "Not found", "<script>x</script>", 'say "please" & <go>')
    assert "<script>" not in page
    assert "&lt;go&gt;" in page
