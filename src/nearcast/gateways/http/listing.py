"""A folder as a page: its entries with type and size, the way back up, and nothing from outside.

Names are whatever their author wrote: they are escaped as text and percent-encoded as links, and a link is written
relative with "./" before it, so that a name like "javascript:x" is a file and never a script.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from nearcast.content.blocks import GetBlock, read_block
from nearcast.content.cid import DAG_PB, Cid
from nearcast.content.nodes import DirectoryNode, Entry, FileNode, Node, ShardNode, parse_node
from nearcast.errors import NearcastError
from nearcast.gateways.http.content_types import UNKNOWN, type_of_name
from nearcast.gateways.http.page import page, size_text

ENTRIES_MAX = 2000  # guess: what a page still shows well; the rest is reachable by name
PEEKS_MAX = 256  # guess: blocks read for one page; a root block of 1 GiB has 51 KB
EMPTY_ROW = '<tr><td class="empty" colspan="3">This folder is empty.</td></tr>'
STYLE_VERSION = "1"  # part of the ETag: raised when the page's looks change

_KINDS = {"image": "Image", "video": "Video", "audio": "Sound", "text": "Text", "font": "Font"}


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry as the page shows it. `size_bytes` of a folder, and of what is not here, is its author's claim."""

    name: str
    cid: Cid
    size_bytes: int | None
    is_folder: bool


def described(entries: Iterable[Entry], get: GetBlock) -> list[Listed]:
    """The entries, folders first. Their own blocks tell more; at most PEEKS_MAX that are here are looked at."""
    listed: list[Listed] = []
    peeks = 0
    for entry in entries:
        node: Node | None = None
        if entry.cid.codec == DAG_PB and peeks < PEEKS_MAX:
            peeks += 1
            node = _peek(get, entry.cid)
        listed.append(_described(entry, node))
    return sorted(listed, key=lambda each: (not each.is_folder, each.name.lower(), each.name))


def _peek(get: GetBlock, cid: Cid) -> Node | None:
    try:
        return parse_node(cid, read_block(get, cid))
    except NearcastError:  # not here, damaged or changed: the page still names it
        return None


def _described(entry: Entry, node: Node | None) -> Listed:
    match node:
        case DirectoryNode() | ShardNode():
            return Listed(entry.name, entry.cid, entry.tsize, is_folder=True)
        case FileNode():
            return Listed(entry.name, entry.cid, node.size_bytes, is_folder=False)
        case _:  # a raw leaf, or unknown: dag-pb without a file's suffix is most likely a folder
            maybe = node is None and entry.cid.codec == DAG_PB and type_of_name(entry.name) is None
            return Listed(entry.name, entry.cid, entry.tsize, is_folder=maybe)


def listing_etag(cid: Cid) -> str:
    """The tag of the page, not of the folder: another version of the page is another thing."""
    return f'"DirIndex-{STYLE_VERSION}_CID-{cid}"'


def listing_page(path: str, cid: Cid, listed: Sequence[Listed], *, is_cut: bool) -> str:
    """The page of the folder `cid` at `path` ("/ipfs/CID/a/b/")."""
    segments = [segment for segment in path.split("/") if segment]
    rows = "\n".join(_row(each) for each in listed) or EMPTY_ROW
    if len(segments) > 2:
        rows = f'<tr><td class="name"><a href="../"><i>↑</i>one level up</a></td><td></td><td></td></tr>\n{rows}'
    note = f'<p class="note">Only the first {len(listed)} entries are shown.</p>' if is_cut else ""
    total = f"{len(listed)}{'+' if is_cut else ''} {'entry' if len(listed) == 1 else 'entries'}"
    body = f"""<main>
<nav>{_breadcrumb(segments)}</nav>
<p class="cid"><code>{escape(str(cid))}</code></p>
<table><thead><tr><th>Name</th><th>Type</th><th class="size">Size</th></tr></thead>
<tbody>
{rows}
</tbody></table>
{note}
<footer>{total} · every byte here is checked against its name</footer>
</main>"""
    return page(segments[-1] if len(segments) > 2 else f"Folder {short(cid)}", body)


def short(cid: Cid) -> str:
    """The CID's two ends, for people."""
    text = str(cid)
    return f"{text[:10]}…{text[-6:]}"


def link_to(name: str) -> str:
    """A relative link to an entry. A lone surrogate (a name that was no UTF-8) becomes a question mark."""
    return "./" + quote(name.encode("utf-8", "replace"), safe="")


def _row(entry: Listed) -> str:
    kind = "Folder" if entry.is_folder else _kind(entry.name)
    icon, slash = ("▸", "/") if entry.is_folder else ("·", "")
    name = escape(entry.name.encode("utf-8", "replace").decode())
    return (
        f'<tr><td class="name"><a href="{link_to(entry.name)}{slash}"><i>{icon}</i><bdi>{name}{slash}</bdi></a></td>'
        f'<td class="type">{kind}</td><td class="size">{size_text(entry.size_bytes)}</td></tr>'
    )


def _kind(name: str) -> str:
    found = type_of_name(name)
    if found is None or found == UNKNOWN:
        return "File"
    family = found.partition("/")[0]
    return _KINDS.get(family) or escape(found.rpartition("/")[2].removeprefix("x-").split("+")[0][:12].upper())


def _breadcrumb(segments: list[str]) -> str:
    """CID / a / b, each a link but the last."""
    parts = []
    for position, segment in enumerate(segments[1:], start=1):
        text = segment if position > 1 else f"{segment[:10]}…{segment[-6:]}" if len(segment) > 20 else segment
        shown = f"<bdi>{escape(text)}</bdi>"
        above = len(segments) - 1 - position
        parts.append(f'<a href="{"../" * above}">{shown}</a>' if above else f"<b>{shown}</b>")
    return ' <span class="sep">/</span> '.join(parts)
