"""What a node says while it serves never holds it up."""

import json
import subprocess
import threading
import urllib.request
from functools import partial
from pathlib import Path

from tests.forks import COMMAND

from nearcast.cli.livelines import LINES_WAITING_MAX, LiveLines

REQUESTS = 1500  # more than a pipe of 64 KiB holds, at some 200 bytes a line


def test_lines_are_said_in_order() -> None:
    said: list[int] = []
    lines = LiveLines()
    for number in range(100):
        lines.put(partial(said.append, number))
    lines.close()
    assert said == list(range(100))


def test_a_reader_that_stands_still_costs_lines_and_no_time() -> None:
    held = threading.Event()

    def wait() -> None:
        held.wait()

    lines = LiveLines()
    for _ in range(LINES_WAITING_MAX + 10):
        lines.put(wait)
    assert lines.dropped >= 9
    held.set()
    lines.close()


def test_a_reader_that_has_gone_away_ends_nothing() -> None:
    def gone() -> None:
        raise BrokenPipeError

    tries: list[int] = []
    lines = LiveLines()
    lines.put(gone)
    lines.put(partial(tries.append, 1))
    lines.close()
    assert tries == []


def test_a_node_whose_words_nobody_reads_goes_on_serving(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>still here</p>")
    command = [
        *COMMAND,
        "share",
        str(tmp_path / "page.html"),
        "--data-dir",
        str(tmp_path / "node"),
        "--no-lan",
        "--json",
    ]
    with subprocess.Popen([*command, "--http", "127.0.0.1:0", "--quic", "127.0.0.1:0"], stdout=subprocess.PIPE) as node:
        assert node.stdout is not None
        url = json.loads(node.stdout.readline())["shared"][0]["url"]
        for _ in range(REQUESTS):
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.status == 200
        node.terminate()
        assert node.wait(10) == 0
