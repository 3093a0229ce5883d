"""A node as people start it sells over plain HTTP to x402's client, and stops when the chain's list says so."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import requests
from tests.chain.devchains import Rpc
from tests.gateways.buyers import Buyer, charged, required
from tests.gateways.selling import stranger_host
from tests.payments.world import DEADLINE_S, POLL_S, free_port, paid_world

from nearcast.chain.abi import contract
from nearcast.chain.bindings.blacklist import EVERYWHERE
from nearcast.chain.devchain.addresses import BLACKLIST
from nearcast.content.cid import parse_cid
from nearcast.payments.credit import cost_units

PRICE = 10 * 1024 * 1_000  # units per GiB
SIZE_BYTES = 1 << 20
MALWARE = 3
GUARDIAN = 0  # of the test accounts


def until(is_so: Callable[[], bool], what: str) -> None:
    """Processes tell nobody when they have seen something."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline_s, what
        time.sleep(POLL_S)


def test_a_node_sells_over_http_and_obeys_the_list(tmp_path: Path) -> None:
    film = tmp_path / "film.bin"
    film.write_bytes(b"\x5a" * SIZE_BYTES)
    with paid_world(tmp_path / "world") as world:
        seller = world.operator("seller", "--http-price", price="10.24")
        port = free_port(socket.SOCK_STREAM)
        seller.up("--http", f"0.0.0.0:{port}")
        cid = seller.add(film)
        url, own_url = f"http://{stranger_host()}:{port}/ipfs/{cid}", f"http://127.0.0.1:{port}/ipfs/{cid}"
        assert requests.get(own_url, timeout=30).content == film.read_bytes()
        assert required(requests.get(url, timeout=30))["accepts"][0]["amount"] == str(cost_units(SIZE_BYTES, PRICE))

        buyer = Buyer()
        whole = buyer.get(url)
        assert (whole.status_code, whole.content) == (200, film.read_bytes())
        part = buyer.get(url, Range="bytes=10-1033")
        assert (part.status_code, len(part.content)) == (206, 1024)
        units = charged(part)[1]
        earned = seller.json("earnings")
        assert str(units) in str(earned), earned

        rpc = Rpc(world.chain.url)
        listing = contract("Blacklist").encode_call("addEmergency", [parse_cid(cid).digest, EVERYWHERE, MALWARE])
        rpc.do(GUARDIAN, BLACKLIST, listing)
        until(lambda: requests.get(own_url, timeout=30).status_code == 451, "the list was not heeded")
        assert buyer.get(url).status_code == 451
        refused = seller.json("add", film, code=5)["error"]
        assert (refused["type"], "blacklist" in refused["message"]) == ("RefusedError", True)
