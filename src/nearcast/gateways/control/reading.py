"""Looking into content by name, from here or from whoever has it: what `ls` and `cat` show.

A command does these with a client of its own when the store is free, and asks the running node for them when it is not.
"""

from collections.abc import AsyncIterator
from typing import Any

from nearcast.client import Client
from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import RAW, Cid
from nearcast.content.nodes import DirectoryNode, Entry, FileNode, Node, RawLeaf, ShardNode, SymlinkNode, parse_node
from nearcast.errors import UsageError
from nearcast.gateways.control import arguments as read
from nearcast.gateways.control.arguments import Arguments

ENTRIES_MAX = 1_000_000  # of one folder in one answer: some 150 MB of JSON


async def look(client: Client, arguments: Arguments) -> dict[str, Any]:
    """`link` -> `cid`, `kind`, `size` (of a file, in bytes, else null), `target` (of a symlink)."""
    link = read.link(arguments, "link")
    client.remember(link)
    resolved = await client.resolve(link.root, link.path, fetch=True)
    return {"cid": str(resolved.cid), **_described(resolved.node)}


async def listing(client: Client, arguments: Arguments) -> dict[str, Any]:
    """`link` -> what `look` tells, and `entries`: a list of `name`, `cid`, `kind`, `size`.

    The kind and size of an entry that is not here are guessed from its CID and the size its folder tells.
    """
    link = read.link(arguments, "link")
    client.remember(link)
    resolved = await client.resolve(link.root, link.path, fetch=True)
    found = {"cid": str(resolved.cid), **_described(resolved.node)}
    if not isinstance(resolved.node, DirectoryNode | ShardNode):
        return found | {"entries": []}
    entries = await client.entries(resolved.cid, fetch=True, limit=ENTRIES_MAX)
    return found | {"entries": [_entry(client, entry) for entry in sorted(entries, key=lambda entry: entry.name)]}


async def contents(client: Client, arguments: Arguments) -> AsyncIterator[bytes]:
    """`link`, `start`, `end` (not included) -> the bytes of a file, in order, while they arrive."""
    link, start, end = read.link(arguments, "link"), read.count(arguments, "start"), read.count(arguments, "end")
    client.remember(link)
    resolved = await client.resolve(link.root, link.path, fetch=True)
    size_bytes = _described(resolved.node)["size"]
    if size_bytes is None:
        raise UsageError(f"{link.path or link.root} is not a file")
    async for piece in client.read(resolved.cid, start, min(end, size_bytes), fetch=True):
        yield piece


def _described(node: Node) -> dict[str, Any]:
    match node:
        case RawLeaf():
            return {"kind": "file", "size": len(node.data)}
        case FileNode():
            return {"kind": "file", "size": node.size_bytes}
        case SymlinkNode():
            return {"kind": "symlink", "size": None, "target": node.target}
        case _:
            return {"kind": "folder", "size": None}


def _entry(client: Client, entry: Entry) -> dict[str, Any]:
    fields = {"name": entry.name, "cid": str(entry.cid), **_kind_of(client, entry.cid)}
    return fields if fields["kind"] != "unknown" else fields | {"size": entry.tsize}


def _kind_of(client: Client, cid: Cid) -> dict[str, Any]:
    if cid.codec == RAW:
        stat = client.store.stat(cid)
        return {"kind": "file" if stat else "unknown", "size": stat.size_bytes if stat else None}
    try:
        return _described(parse_node(cid, client.store.get_block(cid)))
    except MissingBlockError:
        return {"kind": "unknown", "size": None}
