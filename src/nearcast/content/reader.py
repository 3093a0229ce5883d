"""Reading content by name and path, whoever wrote it: files, directories (also sharded ones), single ranges.

Everything goes through a `GetBlock` that hands out verified blocks, so what is checked here is what a verified block
can still lie about: sizes that do not add up across blocks, shards whose names hash elsewhere, DAGs that are small on
the wire and endless to walk. Nothing recurses; whatever grows has a bound named below.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nearcast.content.blocks import GetBlock, read_block
from nearcast.content.cid import DAG_PB, RAW, Cid
from nearcast.content.dag import FILE_DEPTH_MAX
from nearcast.content.hamt import HASH_BITS, name_hash, slot_at
from nearcast.content.nodes import DirectoryNode, Entry, FileNode, Node, RawLeaf, ShardNode, children, parse_node
from nearcast.errors import IntegrityError, LimitError, NotFoundError, UsageError

PATH_SEGMENTS_MAX = 256  # guess: PATH_MAX of 4096 with names of 16
WALK_NODES_MAX = 1 << 22  # guess: 4 M directories, or 1 TiB of 256 KiB dag-pb leaves; some 500 MB of seen CIDs
PENDING_MAX = 1 << 20  # links that wait to be followed at once; some 200 MB at worst, real DAGs need thousands


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a path leads to. `way` holds the dag-pb blocks read to get there, in order, the target left out."""

    cid: Cid
    node: Node
    path: str
    way: tuple[tuple[Cid, bytes], ...] = ()


def resolve(get: GetBlock, root: Cid, path: str) -> Resolved:
    """Follows `path` ("a/b"; empty for the root itself) from `root`; names are compared byte for byte.

    Raises NotFoundError naming the segment that is missing, MissingBlockError, IntegrityError, LimitError.
    """
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > PATH_SEGMENTS_MAX:
        raise LimitError(f"a path of {len(segments)} segments is over the limit of {PATH_SEGMENTS_MAX}")
    cid, way = root, list[tuple[Cid, bytes]]()
    data = read_block(get, cid)
    for position, segment in enumerate(segments):
        node = parse_node(cid, data)
        way.append((cid, data))
        match node:
            case DirectoryNode():
                found = next((entry.cid for entry in node.entries if entry.name == segment), None)
            case ShardNode():
                found = _find_in_shards(get, node, segment, way)
            case _:
                raise NotFoundError(f"{'/'.join(segments[:position]) or root} is not a folder: it has no {segment!r}")
        if found is None:
            raise NotFoundError(f"there is no {segment!r} in /{'/'.join(segments[:position])} of {root}")
        cid = found
        data = read_block(get, cid)
    return Resolved(cid, parse_node(cid, data), "/".join(segments), tuple(way))


def _find_in_shards(get: GetBlock, node: ShardNode, name: str, way: list[tuple[Cid, bytes]]) -> Cid | None:
    try:
        bits = name_hash(name)
    except UnicodeEncodeError:  # a path from the command line with bytes that are no text: no name can equal it
        return None
    fanout, level = node.fanout, 0
    while (slot := slot_at(bits, level, fanout)) is not None:
        link = next((link for link in node.links if link.slot == slot), None)
        if link is None or link.name is not None:
            return link.cid if link is not None and link.name == name else None
        data = read_block(get, link.cid)
        node = _subshard(link.cid, data, fanout)
        way.append((link.cid, data))
        level += 1
    raise IntegrityError("malformed shard: deeper than its hash has bits")


def _subshard(cid: Cid, data: bytes, fanout: int) -> ShardNode:
    node = parse_node(cid, data)
    if not isinstance(node, ShardNode) or node.fanout != fanout or not node.links:
        raise IntegrityError(f"malformed shard: {cid} is not a filled shard of fanout {fanout}")
    return node


def entries(get: GetBlock, cid: Cid) -> Iterator[Entry]:
    """The entries of a directory, sharded or not; a sharded one in the order of its hashes.

    A name that hashes to another place than it stands in is IntegrityError. With it no sub-shard can be used twice,
    so the walk is as long as the directory is large. Raises UsageError when `cid` is not a directory.
    """
    node = parse_node(cid, read_block(get, cid))
    match node:
        case DirectoryNode():
            yield from node.entries
        case ShardNode():
            yield from _shard_entries(get, node)
        case _:
            raise UsageError(f"{cid} is not a folder")


def _shard_entries(get: GetBlock, root: ShardNode) -> Iterator[Entry]:
    fanout, width = root.fanout, root.fanout.bit_length() - 1
    pending = [(link, link.slot, 0) for link in reversed(root.links)]
    while pending:
        link, path_bits, level = pending.pop()
        if slot_at(0, level, fanout) is None:
            raise IntegrityError("malformed shard: deeper than its hash has bits")
        if link.name is None:
            below = _subshard(link.cid, read_block(get, link.cid), fanout)
            pending += [(each, path_bits << width | each.slot, level + 1) for each in reversed(below.links)]
            continue
        if name_hash(link.name) >> (HASH_BITS - (level + 1) * width) != path_bits:
            raise IntegrityError(f"malformed shard: {link.name!r} does not belong where it stands")
        yield Entry(link.name, link.cid, link.tsize)


def file_size(get: GetBlock, cid: Cid) -> int:
    """The size in bytes that a file's root block tells. Raises UsageError when `cid` is not a file."""
    node = parse_node(cid, read_block(get, cid))
    match node:
        case RawLeaf():
            return len(node.data)
        case FileNode():
            return node.size_bytes
        case _:
            raise UsageError(f"{cid} is not a file")


def read_range(get: GetBlock, cid: Cid, start: int, end: int) -> Iterator[bytes]:
    """The file's bytes start..end (end not included, and cut to the file), in pieces as the blocks give them.

    Only the blocks that hold some of these bytes are read. Raises UsageError when `cid` is not a file, IntegrityError
    where a block has another size than its parent said.
    """
    pending: list[tuple[Cid, int, int | None, int]] = [(cid, 0, None, 0)]
    while pending:
        at, offset, size_bytes, depth = pending.pop()
        if depth > FILE_DEPTH_MAX or len(pending) > PENDING_MAX:
            raise LimitError(f"a file's DAG is over {FILE_DEPTH_MAX} levels deep or too wide")
        node = parse_node(at, read_block(get, at))
        data = _own_bytes(at, node, size_bytes)
        if piece := data[max(0, start - offset) : max(0, end - offset)]:
            yield piece
        offset += len(data)
        below: list[tuple[Cid, int, int | None, int]] = []
        for child in node.children if isinstance(node, FileNode) else ():
            # Empty children overlap nothing: they are never visited, however many there are.
            if offset < end and offset + child.size_bytes > start and child.size_bytes:
                below.append((child.cid, offset, child.size_bytes, depth + 1))
            offset += child.size_bytes
        pending += reversed(below)


def _own_bytes(cid: Cid, node: Node, size_bytes: int | None) -> bytes:
    """The bytes that stand in the node itself, once the size that its parent told (None for the root) is checked."""
    match node:
        case RawLeaf():
            data, actual = node.data, len(node.data)
        case FileNode():
            data, actual = node.inline, node.size_bytes
        case _ if size_bytes is None:
            raise UsageError(f"{cid} is not a file")
        case _:
            raise IntegrityError(f"{cid} is part of a file, but not a file")
    if size_bytes is not None and actual != size_bytes:
        raise IntegrityError(f"{cid} holds {actual} bytes, its parent says {size_bytes}")
    return data


def walk_nodes(get: GetBlock, root: Cid) -> Iterator[tuple[Cid, bytes]]:
    """The dag-pb blocks of a DAG, depth first, parents before children, each once. Raw leaves are not fetched."""
    return walk_blocks(get, root, leaves=False)


def walk_blocks(get: GetBlock, root: Cid, *, leaves: bool = True) -> Iterator[tuple[Cid, bytes]]:
    """As walk_nodes, with every other block in its place too. Identity CIDs hold their bytes: followed, never given.

    Raises MissingBlockError at a gap, LimitError over WALK_NODES_MAX dag-pb blocks or PENDING_MAX links that wait.
    """
    seen: set[bytes] = set()
    nodes = 0
    pending = [root]
    while pending:
        cid = pending.pop()
        key = cid.v1.to_bytes()
        if key in seen or (cid.codec != DAG_PB and (cid.is_identity or not leaves)):
            continue
        seen.add(key)
        data = read_block(get, cid)
        if not cid.is_identity:
            yield cid, data
        if cid.codec != DAG_PB:
            continue
        nodes += 1
        pending += reversed([child for child in children(parse_node(cid, data)) if leaves or child.codec != RAW])
        if nodes > WALK_NODES_MAX or len(pending) > PENDING_MAX:
            raise LimitError(f"a DAG has over {WALK_NODES_MAX} nodes, or over {PENDING_MAX} links at once")
