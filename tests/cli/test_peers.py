"""`nearcast peers` and what `status` says of the overlay."""

import json
from pathlib import Path

import pytest

from nearcast.cli.main import run
from nearcast.cli.peer_views import lines, summary_rows
from nearcast.cli.status import _peer as status_peer

OVERLAY = {
    "is_member": True,
    "region": "de",
    "dht": {"nodes_estimated": 1200, "contacts": 140, "records": 33, "provided": 4},
    "gossip": {"global": {"active": [{"endpoint_id": "aa", "is_eager": True}], "passive": 30, "announced": 1100}},
    "detector": {"states": [{"endpoint_id": "aa", "state": "alive"}, {"endpoint_id": "bb", "state": "suspect"}]},
    "coordinate": {"system": "vivaldi", "vector_ms": [1.0, -2.5], "height_ms": 3.0, "error": 0.12, "samples": 40},
    "links": [{"endpoint_id": "aa" * 32, "open": True, "kept": True}],
    "nodes": [
        {
            "endpoint_id": "aa" * 32,
            "state": "alive",
            "rtt_ms": 4.25,
            "is_rtt_measured": True,
            "price": 10_000,
            "load": 0.5,
            "region": "de",
        },
        {
            "endpoint_id": "bb" * 32,
            "state": "dead",
            "rtt_ms": 80.0,
            "is_rtt_measured": False,
            "price": 0,
            "load": None,
            "region": "x\x1b[31m",
        },
        {
            "endpoint_id": "cc" * 32,
            "state": "unknown",
            "rtt_ms": None,
            "is_rtt_measured": False,
            "price": None,
            "load": None,
            "region": None,
        },
    ],
}


def test_a_node_is_a_line_the_estimates_are_marked_and_strangers_steer_no_terminal() -> None:
    shown = lines(OVERLAY)
    near, dead, unknown = shown[-3:]
    assert near.split() == ["aaaaaaaa", "alive", "4.2", "ms", "de", "0.01", "50%", "kept"]
    assert "dead" in dead
    assert "~80.0 ms" in dead
    assert "free" in dead
    assert unknown.split() == ["cccccccc", "unknown", "-", "-", "-", "-"]
    assert not any("\x1b" in line for line in shown)


def test_status_sums_it_up() -> None:
    rows = dict(summary_rows(OVERLAY))
    assert rows["Overlay"] == "a member, region de, about 1,200 nodes"
    assert rows["Topic global"] == "1 neighbour (1 in the tree), 30 known besides, 1100 announced"
    assert rows["Watched"] == "1 alive, 1 suspect"
    alone = {**OVERLAY, "dht": {"nodes_estimated": 1, "contacts": 1, "records": 1, "provided": 1}}
    assert dict(summary_rows(alone))["Table"] == "1 contact, 1 record of others, 1 root told"


def test_a_peer_is_told_in_words() -> None:
    peer = {"endpoint_id": "aa", "addresses": ["127.0.0.1:47101"], "known_from": ["config", "lan"], "failures": 1}
    assert status_peer(peer) == "aa  127.0.0.1:47101  from config, lan  1 failure"
    assert status_peer({**peer, "failures": 0}) == "aa  127.0.0.1:47101  from config, lan"


def test_where_no_node_runs_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["peers", "--json", "--data-dir", str(tmp_path)]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["fix"] == "start one: nearcast up"
