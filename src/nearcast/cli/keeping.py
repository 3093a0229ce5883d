"""Who does a command's work on the store: this process if the store is free, else the node that has it open."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from nearcast.cli.options import Call
from nearcast.clock import SystemClock
from nearcast.errors import StoreLockedError

if TYPE_CHECKING:
    from nearcast.config import Config
    from nearcast.content.store import Store
    from nearcast.gateways.control.storing import StoreOperation


def open_store(config: "Config") -> "AbstractContextManager[Store]":
    """This node's store. Raises StoreLockedError when another process has it."""
    from nearcast.content.store import Store

    return Store.open(config.data_dir, quota_bytes=config.store.quota_bytes, clock=SystemClock())


def perform(call: Call, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """One of STORE_OPERATIONS, done here or by the running node. Raises what it raises, or StoreLockedError."""
    from nearcast.cli.asking import ask

    config = call.config()
    try:
        store = open_store(config)
    except StoreLockedError as locked:
        return ask(config.data_dir, locked, name, arguments)
    with store as opened:
        return _operations(config)[name](opened, arguments)


def _operations(config: "Config") -> "dict[str, StoreOperation]":
    """They refuse what is on the blacklist that a node of this folder left here, if one ever followed it."""
    from nearcast.gateways.control.storing import STORE_OPERATIONS, store_operations

    if not (config.data_dir / "chain").is_dir():  # nor is there a reason to load what reads it
        return STORE_OPERATIONS
    from nearcast.payments.list_on_disk import list_on_disk

    listed = list_on_disk(config)
    return STORE_OPERATIONS if listed is None else store_operations(listed.refuse)
