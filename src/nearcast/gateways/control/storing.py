"""What can be done to a store, by name, with JSON in and JSON out.

A command does these itself when the store is free, and asks the running node to do them when it is not: the same
function either way. They are synchronous and may take long; the node runs them in a thread.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from nearcast.content.batches import Refuse
from nearcast.content.car import export_car, import_car
from nearcast.content.cid import RAW, Cid
from nearcast.content.importer import import_path
from nearcast.content.nodes import children, parse_node
from nearcast.content.reader import resolve, walk_nodes
from nearcast.content.store import Store
from nearcast.errors import NotFoundError, StoreError, UsageError
from nearcast.gateways.control import arguments as read
from nearcast.gateways.control.arguments import Arguments

StoreOperation = Callable[[Store, Arguments], dict[str, Any]]


def add(store: Store, arguments: Arguments, refuse: Refuse | None = None) -> dict[str, Any]:
    """`path`, `in_place`, `hidden`, `wrap` -> `cid`, `files`, `size`. The content is pinned."""
    imported = import_path(
        store,
        read.path(arguments, "path"),
        in_place=read.flag(arguments, "in_place"),
        hidden=read.flag(arguments, "hidden"),
        wrap=read.flag(arguments, "wrap"),
        progress=None,
        refuse=refuse,
    )
    return {"cid": str(imported.root), "files": imported.files, "size": imported.size_bytes}


def pin(store: Store, arguments: Arguments) -> dict[str, Any]:
    """`link`, `name` -> `cid`. All of it must be here: a pin keeps, it does not fetch."""
    link = read.link(arguments, "link")
    cid = resolve(store.get_block, link.root, link.path).cid
    missing = first_missing(store, cid)
    if missing is not None:
        raise NotFoundError(f"{cid} is not here completely: {missing} is missing", fix=f"nearcast get {link}")
    name = read.text(arguments, "name", "") or link.path.rpartition("/")[2] or link.name
    store.pin(cid, name)
    return {"cid": str(cid), "name": name}


def unpin(store: Store, arguments: Arguments) -> dict[str, Any]:
    """`link` -> `cid`. What it kept becomes cached content."""
    link = read.link(arguments, "link")
    cid = resolve(store.get_block, link.root, link.path).cid
    if all(pinned.root != cid for pinned in store.pins()):
        raise NotFoundError(f"{cid} is not pinned", fix="nearcast pin ls")
    store.unpin(cid)
    return {"cid": str(cid)}


def pins(store: Store, _: Arguments) -> dict[str, Any]:
    """-> `pins`: a list of `cid`, `name`, `created`."""
    shown = sorted(store.pins(), key=lambda pinned: (pinned.created_unix_s, str(pinned.root)))
    return {"pins": [{"cid": str(each.root), "name": each.name, "created": each.created_unix_s} for each in shown]}


def remove(store: Store, arguments: Arguments) -> dict[str, Any]:
    """`links` -> `removed`: how many objects went. What another pin holds stays."""
    roots = [_root_of(store, link.root, link.path) for link in read.links(arguments, "links")]
    absent = [root for root in roots if not store.has(root)]
    if absent:
        raise NotFoundError(f"{absent[0]} is not here")
    return {"removed": store.remove(roots), "cids": [str(root) for root in roots]}


def import_archive(store: Store, arguments: Arguments, refuse: Refuse | None = None) -> dict[str, Any]:
    """`path` of a CAR file -> `cids`: its roots, pinned."""
    path = read.path(arguments, "path")
    try:
        with path.open("rb") as stream:
            imported = import_car(store, stream, refuse=refuse)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    return {"cids": [str(root) for root in imported.roots], "blocks": imported.blocks, "size": imported.size_bytes}


def export_archive(store: Store, arguments: Arguments) -> dict[str, Any]:
    """`link`, `path` -> `cid`, `size`: everything below the link in a CAR file, which must not exist yet."""
    link, path = read.link(arguments, "link"), read.path(arguments, "path")
    cid = _root_of(store, link.root, link.path)
    temporary = path.with_name(path.name + ".part")
    if path.exists():
        raise UsageError(f"{path} exists", fix="give another name, or remove it first")
    try:
        with temporary.open("wb") as stream:
            export_car(store, cid, stream)
        temporary.replace(path)
        return {"cid": str(cid), "path": str(path), "size": path.stat().st_size}
    finally:
        temporary.unlink(missing_ok=True)


def state(store: Store) -> dict[str, Any]:
    """What it holds: `store` (counts and bytes), `pins` (how many)."""
    return {"store": asdict(store.usage()), "pins": len(store.pins())}


def first_missing(store: Store, root: Cid) -> Cid | None:
    """The first leaf below `root` that is not in the store, or None. Raises MissingBlockError for a missing node."""
    for cid, data in walk_nodes(store.get_block, root):
        for child in children(parse_node(cid, data)):
            if child.codec == RAW and not child.is_identity and not store.has(child):
                return child
    return None if root.codec != RAW or root.is_identity or store.has(root) else root


def _root_of(store: Store, root: Cid, path: str) -> Cid:
    return resolve(store.get_block, root, path).cid if path else root


STORE_OPERATIONS: dict[str, StoreOperation] = {
    "add": add,
    "pin": pin,
    "unpin": unpin,
    "pins": pins,
    "remove": remove,
    "import": import_archive,
    "export": export_archive,
}


def store_operations(refuse: Refuse | None) -> dict[str, StoreOperation]:
    """The same for a node that must not take in everything: `refuse` raises RefusedError for a block it must not."""
    refusing = {"add": partial(add, refuse=refuse), "import": partial(import_archive, refuse=refuse)}
    return STORE_OPERATIONS | refusing
