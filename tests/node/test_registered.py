"""The registry as a way in: its nodes say at their web address where they are."""

import asyncio
from pathlib import Path
from typing import Any, cast

from tests.node.test_meshing import config, contacts, until

from nearcast.chain.node_records import NodeRecord
from nearcast.keys import new_identity
from nearcast.node import run_node
from nearcast.node.registered import RegisteredContacts, told_by
from nearcast.telemetry import Telemetry


class Registry:
    """As payments/known_nodes.py, with what a test registered."""

    def __init__(self, *records: NodeRecord) -> None:
        self._records = list(records)

    async def lookup(self, _: Any) -> dict[bytes, NodeRecord]:
        return {}

    def all(self) -> list[NodeRecord]:
        return self._records


def record(endpoint_id: bytes, *urls: str, active: bool = True) -> NodeRecord:
    return NodeRecord(bytes(20), bytes(20), endpoint_id, 100, "DE", 0, urls, active, 1)


def test_a_node_says_where_it_is_and_nobody_says_it_for_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_node(config(tmp_path / "node")) as node:
            assert node.http_url is not None
            told = await told_by(node.http_url, node.identity.endpoint_id)
            assert told is not None
            assert told.addresses == node.address.addresses
            assert await told_by(node.http_url + "/ipfs", node.identity.endpoint_id) is None
            assert await told_by(node.http_url, new_identity().endpoint_id) is None
        assert await told_by("http://127.0.0.1:9", node.identity.endpoint_id) is None

    asyncio.run(main())


def test_a_newcomer_that_knows_the_registry_only_is_let_in(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_node(config(tmp_path / "registered")) as node, run_node(config(tmp_path / "other")) as newcomer:
            assert node.http_url is not None
            assert newcomer.meshing is not None
            gone = record(new_identity().endpoint_id, "http://127.0.0.1:9")
            inactive = record(new_identity().endpoint_id, node.http_url, active=False)
            registry = Registry(gone, inactive, record(node.identity.endpoint_id, node.http_url))
            found = RegisteredContacts(cast(Any, registry), Telemetry())
            newcomer.meshing.registry = found
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(found.run(lambda _: False, "de"))
                await until(lambda: contacts(newcomer) >= 1)
                asking.cancel()
            assert [each.endpoint_id for each in newcomer.meshing.registered().providers] == [node.identity.endpoint_id]

    asyncio.run(main())
