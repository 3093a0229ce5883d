"""A process with some of the nodes that bench/overlay.py measures, or with nothing but their connections.

One line asks it, one line of JSON is its answer; it lives until its standard input ends.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nearcast.config import Config, OverlayConfig, PeersConfig, QuicConfig
from nearcast.content.cid import raw_cid
from nearcast.errors import NearcastError
from nearcast.keys import new_identity
from nearcast.node import Node, run_node
from nearcast.overlay.mesh_service import MeshService
from nearcast.overlay.peers import format_peer, parse_peer
from nearcast.transport.base import Connection, PeerAddress
from nearcast.transport.iroh import IrohEndpoint

LOOKUP_S = 3.0
POLL_S = 0.05


class Nodes:
    """Some nodes, each in a task of its own."""

    def __init__(self, folder: Path, first: int, count: int) -> None:
        self._folders = [folder / f"node-{number}" for number in range(first, first + count)]
        self._tasks = asyncio.TaskGroup()
        self._running: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()
        self.nodes: list[Node] = []

    async def live(self, questions: Callable[["Nodes"], Awaitable[None]]) -> None:
        """Answer `questions`, then end the nodes."""
        async with self._tasks:
            try:
                await questions(self)
            finally:
                self._ended.set()

    async def start(self, known: tuple[str, ...], count: int | None = None) -> list[str]:
        """Let so many nodes begin at once (None: the rest), each knowing those; where they are."""
        started: list[asyncio.Future[Node]] = []
        for folder in self._folders[len(self.nodes) :][:count]:
            started.append(asyncio.get_running_loop().create_future())
            self._tasks.create_task(self._node(folder, known, started[-1]))
        new = list(await asyncio.gather(*started))
        self.nodes += new
        return [format_peer(node.address) for node in new]

    async def _node(self, folder: Path, known: tuple[str, ...], started: "asyncio.Future[Node]") -> None:
        config = Config(
            folder,
            quic=QuicConfig(listen="127.0.0.1:0"),
            peers=PeersConfig(known=known, lan=False),
            overlay=OverlayConfig(region="de"),
        )
        async with run_node(config, http=False) as node:
            service = await _service(node)
            service.provide([node.identity.endpoint_id])  # its own id serves as a root
            started.set_result(node)
            await self._ended.wait()

    def services(self) -> list[MeshService]:
        return [node.meshing.service for node in self.nodes if node.meshing is not None and node.meshing.service]

    def members(self) -> int:
        """How many have joined: they have neighbours, and know whom to ask."""
        return sum(service.mesh.is_member for service in self.services())

    def views(self) -> list[dict[str, Any]]:
        """What each node has been doing so far."""
        return [
            {
                "known": sum(each["state"] != "dead" for each in service.snapshot()["nodes"]),
                "links": sum(link["open"] for link in service.links.snapshot()),
                "connections": node.finder.pool.count,
                "dials": node.telemetry.counters["connections_dialled"],
                "received": service.snapshot()["received"],
            }
            for node, service in zip(self.nodes, self.services(), strict=True)
        ]

    async def look(self, peers: list[PeerAddress], deadline_s: float) -> list[dict[str, Any]]:
        """Each node looks for what some others have, and is answered by them."""
        return list(await asyncio.gather(*(_looked(node, peers, deadline_s) for node in self.nodes)))


async def _service(node: Node) -> MeshService:
    assert node.meshing is not None
    while node.meshing.service is None:  # noqa: ASYNC110 - it has no event for that
        await asyncio.sleep(POLL_S)
    return node.meshing.service


async def _looked(node: Node, peers: list[PeerAddress], deadline_s: float) -> dict[str, Any]:
    """The next one in the list, the one before, and the one that is half the list away, who all look for this one."""
    place = [peer.endpoint_id for peer in peers].index(node.identity.endpoint_id)
    others = [peers[(place + step) % len(peers)].endpoint_id for step in (1, -1, len(peers) // 2)]
    loop = asyncio.get_running_loop()
    start_s, tries, lookups_s = loop.time(), 0, list[float]()
    for wanted in others:
        while loop.time() - start_s < deadline_s:
            tries += 1
            lookup_s = loop.time()
            if await _is_reached(node, wanted):
                lookups_s.append(loop.time() - lookup_s)
                break
            await asyncio.sleep(POLL_S)
    return {"reached": len(lookups_s), "wanted": len(others), "lookup_s": lookups_s, "tries": tries}


async def _is_reached(node: Node, wanted: bytes) -> bool:
    """Whether the hash table names it, and it can be dialled where the hash table says."""
    assert node.meshing is not None
    far = await node.meshing.providers(raw_cid(wanted), (), LOOKUP_S)
    named = [each for each in far.providers if each.endpoint_id == wanted]
    if not named:
        return False
    pool = node.finder.pool
    has_dialled = pool.has(wanted)
    try:
        await pool.get(named[0])
    except NearcastError:
        return False
    if not has_dialled:
        await pool.drop(wanted)  # it would count as idle traffic that nodes do not have
    return True


async def answer_questions(nodes: Nodes) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        word, _, rest = line.strip().partition(" ")
        match word:
            case "start":
                answer: Any = await nodes.start(**json.loads(rest))
            case "members":
                answer = [nodes.members()]
            case "look":
                peers, deadline_s = json.loads(rest)
                answer = await nodes.look([parse_peer(text) for text in peers], deadline_s)
            case _:
                answer = nodes.views()
        print(json.dumps(answer), flush=True)


# The rival: the same transport, and nobody who uses it


async def hold_connections(endpoints: int, connections: int) -> None:
    """So many endpoints, so many idle connections between them; says when they are there."""
    bound = [await IrohEndpoint.bind(new_identity()) for _ in range(endpoints)]
    held: list[Connection] = []
    async with asyncio.TaskGroup() as tasks:
        accepting = [tasks.create_task(_accept(endpoint, held)) for endpoint in bound]
        pairs = [(near, (near + step) % endpoints) for step in range(1, endpoints) for near in range(endpoints)]
        for near, far in pairs[:connections]:
            held.append(await bound[near].connect(bound[far].address()))
        print(json.dumps(len(held)), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        for task in accepting:
            task.cancel()
        for endpoint in bound:
            await endpoint.close()


async def _accept(endpoint: IrohEndpoint, held: list[Connection]) -> None:
    while True:
        held.append(await endpoint.accept())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bare", nargs=2, type=int, metavar=("ENDPOINTS", "CONNECTIONS"))
    parser.add_argument("--nodes", nargs=3, metavar=("FOLDER", "FIRST", "COUNT"))
    chosen = parser.parse_args()
    if chosen.bare:
        asyncio.run(hold_connections(*chosen.bare))
        return
    folder, first, count = chosen.nodes
    nodes = Nodes(Path(folder), int(first), int(count))
    asyncio.run(nodes.live(answer_questions))


if __name__ == "__main__":
    main()
