"""What people do with it, each command a real process: share here and get there, look inside, interrupt, resume."""

import contextlib
import filecmp
import http.server
import json
import os
import random
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.conftest import DEADLINE_S, People, Person
from tests.forks import FRESH

MEBIBYTE = 1 << 20


def site(folder: Path, large_bytes: int = 5 * MEBIBYTE + 17) -> Path:
    """A folder with a page, a picture in a folder below, a hidden file, and something larger."""
    (folder / "pictures").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>Hello</h1>")
    (folder / "pictures" / "a.png").write_bytes(b"\x89PNG" + bytes(5000))
    (folder / ".secret").write_text("hidden")
    (folder / "large.bin").write_bytes(random.Random(1).randbytes(large_bytes))
    return folder


def assert_same_site(copy: Path, original: Path) -> None:
    for name in ("index.html", "pictures/a.png", "large.bin"):
        assert filecmp.cmp(copy / name, original / name, shallow=False), name
    assert not (copy / ".secret").exists()


def test_a_shared_folder_is_got_whole_under_its_own_name(publisher: Person, reader: Person) -> None:
    original = site(publisher.home / "site")
    sharing, ready = publisher.share("site")
    shared = ready["shared"][0]
    assert (shared["name"], shared["files"]) == ("site", 3)
    got = reader.get(shared["link"], "--json")
    assert got.code == 0, got.stderr
    assert got.json["path"] == str(reader.home / "site")
    assert got.json["verified"] > 5 * MEBIBYTE
    assert_same_site(reader.home / "site", original)
    assert sharing.next_json()["how"] == "quic"
    ended = sharing.end(signal.SIGINT)
    assert ended.code == 0, ended.stderr
    summary = json.loads(ended.text.splitlines()[-1])
    assert (summary["event"], summary["readers"]) == ("stopped", 1)
    assert summary["requests"] >= 1


def test_a_shared_folder_opens_over_http_and_each_request_is_told(publisher: Person) -> None:
    site(publisher.home / "site")
    sharing, ready = publisher.share("site")
    with urllib.request.urlopen(ready["shared"][0]["url"]) as answer:
        assert answer.read() == b"<h1>Hello</h1>"
    told = sharing.next_json()
    assert (told["event"], told["how"], told["status"], told["who"]) == ("request", "GET", "200", "127.0.0.1")
    ended = sharing.end(signal.SIGTERM)
    assert (ended.code, ended.stderr) == (0, "")


def test_for_people_the_command_to_paste_stands_alone(publisher: Person) -> None:
    site(publisher.home / "site")
    sharing = publisher.start("share", "site", "--http", "127.0.0.1:0", "--no-lan")
    lines = [sharing.next_line()]
    while not lines[-1].startswith("  Ctrl-C"):
        lines.append(sharing.next_line())
    at = next(number for number, line in enumerate(lines) if line.startswith("nearcast get nearcast://"))
    assert (lines[at - 1], lines[at + 1]) == ("", "")
    assert any(line.startswith("  Published site: 3 files, ") for line in lines)
    assert any(line.startswith("    http://127.0.0.1:") for line in lines)
    assert sharing.end().text.splitlines()[-1].startswith("  Nobody asked for anything")


def test_a_single_file_keeps_its_name(publisher: Person, reader: Person) -> None:
    (publisher.home / "film.mp4").write_bytes(bytes(3 * MEBIBYTE))
    _, ready = publisher.share("film.mp4")
    got = reader.get(ready["shared"][0]["link"], "--quiet")
    assert (got.code, got.text) == (0, f"{reader.home / 'film.mp4'}\n")
    assert (reader.home / "film.mp4").stat().st_size == 3 * MEBIBYTE


def test_a_range_and_stdout(publisher: Person, reader: Person) -> None:
    original = site(publisher.home / "site")
    _, ready = publisher.share("site")
    link, data = ready["shared"][0]["link"].replace("#site", "/large.bin"), (original / "large.bin").read_bytes()
    assert reader.get(link, "-").stdout == data
    got = reader.get(link, "part.bin", "--range", "1000000-3000000", "--json")
    assert got.code == 0, got.stderr
    assert (reader.home / "part.bin").read_bytes() == data[1_000_000:3_000_001]
    assert reader.get(link, "-", "--range", "-17").stdout == data[-17:]
    beyond = reader.get(link, "-", "--range", f"{len(data)}-")
    assert (beyond.code, beyond.stdout) == (2, b"")


def test_what_is_there_is_not_overwritten(publisher: Person, reader: Person) -> None:
    site(publisher.home / "site")
    _, ready = publisher.share("site")
    link = ready["shared"][0]["link"]
    (reader.home / "site").write_text("mine")
    refused = reader.get(link)
    assert refused.code == 2
    assert "--overwrite" in refused.stderr
    assert (reader.home / "site").read_text() == "mine"
    assert reader.get(link, "--overwrite").code == 0
    assert (reader.home / "site" / "index.html").exists()


def test_cat_and_ls_reach_the_holder_and_head_ends_them_quietly(publisher: Person, reader: Person) -> None:
    original = site(publisher.home / "site")
    _, ready = publisher.share("site")
    link = ready["shared"][0]["link"].removesuffix("#site")
    listed = reader.run("ls", link, "--no-lan", "--json")
    assert listed.code == 0, listed.stderr
    assert [entry["name"] for entry in listed.json["entries"]] == ["index.html", "large.bin", "pictures"]
    assert reader.run("cat", link + "/large.bin", "--no-lan").stdout == (original / "large.bin").read_bytes()
    head = reader.start("cat", link + "/large.bin", "--no-lan")
    assert head.process.stdout is not None
    head.process.stdout.read(10)
    head.process.stdout.close()
    assert head.process.wait(DEADLINE_S) == 0
    assert head.process.stderr is not None
    assert head.process.stderr.read() == b""


def test_a_killed_get_goes_on_where_it_was(publisher: Person, reader: Person) -> None:
    size_bytes = 200 * MEBIBYTE
    original = publisher.home / "large.bin"
    original.write_bytes(random.Random(6).randbytes(size_bytes))
    _, ready = publisher.share("large.bin")
    link = ready["shared"][0]["link"]
    first = reader.start("get", link, "--no-lan", "--json")
    deadline_s = time.monotonic() + DEADLINE_S
    while not list(reader.data_dir.rglob("*.bits")):  # the first checkpoint is durable
        assert first.process.poll() is None, "it was done before it could be killed"
        assert time.monotonic() < deadline_s
    assert first.end(signal.SIGKILL).code == -signal.SIGKILL
    assert not (reader.home / "large.bin").exists()
    second = reader.get(link, "--json")
    assert second.code == 0, second.stderr
    assert second.json["reused"] > 0
    assert second.json["verified"] < size_bytes
    assert filecmp.cmp(reader.home / "large.bin", original, shallow=False)


def test_ctrl_c_ends_a_get_and_the_next_goes_on(publisher: Person, reader: Person) -> None:
    (publisher.home / "large.bin").write_bytes(random.Random(5).randbytes(100 * MEBIBYTE))
    _, ready = publisher.share("large.bin")
    link = ready["shared"][0]["link"]
    started = reader.start("get", link, "--no-lan")
    while disk_bytes(reader.data_dir) < 20 * MEBIBYTE:
        assert started.process.poll() is None, "it was done before it could be interrupted"
    ended = started.end(signal.SIGINT)
    assert (ended.code, ended.line()) == (130, "nearcast: interrupted")
    assert list(reader.home.iterdir()) == [reader.data_dir]
    assert reader.get(link, "--json").json["reused"] > 0


def test_what_came_before_the_holder_was_switched_off_is_kept(publisher: Person, reader: Person) -> None:
    (publisher.home / "large.bin").write_bytes(random.Random(7).randbytes(200 * MEBIBYTE))
    sharing, ready = publisher.share("large.bin")
    link = ready["shared"][0]["link"]
    reader.up()  # it has the store open, so `get` fetches into one beside the destination
    started = reader.start("get", link, "--no-lan")
    while disk_bytes(reader.home) < 20 * MEBIBYTE:
        assert started.process.poll() is None, "it was done before it could be interrupted"
    assert started.end(signal.SIGINT).code == 130
    sharing.end()
    kept = list(reader.home.glob(".large.bin.*.nearcast"))
    assert reader.get(link).code in (3, 4)
    assert kept
    assert list(reader.home.glob(".large.bin.*.nearcast")) == kept


def test_ctrl_c_ends_an_import(publisher: Person) -> None:
    with (publisher.home / "huge.bin").open("wb") as file:
        file.truncate(1 << 40)  # sparse: hashing it would take an hour
    sharing = publisher.start("share", "huge.bin", "--http", "127.0.0.1:0", "--no-lan")
    while not (publisher.data_dir / "running.json").exists():
        assert sharing.process.poll() is None
    ended = sharing.end(signal.SIGINT)
    assert (ended.code, ended.line()) == (130, "nearcast: interrupted")
    assert publisher.run("pin", "ls", "--json").json == {"pins": []}


def disk_bytes(folder: Path) -> int:
    """What is on disk; unfinished files are sparse."""
    total = 0
    for parent, _, names in os.walk(folder):  # which does not mind that a folder goes away meanwhile
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(parent, name)).st_blocks * 512
    return total


def test_two_nodes_give_to_one_reader(people: People, publisher: Person, reader: Person) -> None:
    original = site(publisher.home / "site", 40 * MEBIBYTE)
    _, ready = publisher.share("site")
    link = ready["shared"][0]["link"]
    mirror = people("mirror")
    assert mirror.get(link).code == 0
    _, up = mirror.up()
    first_peer, _, rest = link.removeprefix("nearcast://").partition("/")
    got = reader.get(f"nearcast://{first_peer}+{up['peer']}/{rest}", "--json")
    assert got.code == 0, got.stderr
    assert len(got.json["sources"]) == 2, got.json
    assert_same_site(reader.home / "site", original)


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """A plain web server for a folder."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, directory=str(folder), **options)  # type: ignore[arg-type]  # as socketserver calls it

        def log_message(self, *_: object) -> None:
            """Quietly."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_plain_web_server_is_one_of_the_sources(publisher: Person, reader: Person) -> None:
    (publisher.home / "film.mp4").write_bytes(random.Random(3).randbytes(20 * MEBIBYTE))
    _, ready = publisher.share("film.mp4")
    with web_server(publisher.home) as url:
        got = reader.get(ready["shared"][0]["link"], "--from", f"{url}/film.mp4", "--json")
    assert got.code == 0, got.stderr
    assert filecmp.cmp(reader.home / "film.mp4", publisher.home / "film.mp4", shallow=False)


def test_a_lying_web_server_is_named_and_the_file_is_right(publisher: Person, reader: Person) -> None:
    (publisher.home / "film.mp4").write_bytes(random.Random(3).randbytes(20 * MEBIBYTE))
    (reader.home / "film.mp4").write_bytes(random.Random(4).randbytes(20 * MEBIBYTE))
    _, ready = publisher.share("film.mp4")
    with web_server(reader.home) as url:
        got = reader.get(ready["shared"][0]["link"], "right.mp4", "--from", f"{url}/film.mp4", "--json")
    assert got.code == 0, got.stderr
    assert len(got.json["liars"]) == 1
    assert filecmp.cmp(reader.home / "right.mp4", publisher.home / "film.mp4", shallow=False)


def test_a_gateway_is_one_of_the_sources(publisher: Person, reader: Person) -> None:
    original = site(publisher.home / "site")
    _, ready = publisher.share("site")
    shared = ready["shared"][0]
    got = reader.get(shared["cid"], "copy", "--from", shared["url"].partition("/ipfs/")[0], "--json")
    assert got.code == 0, got.stderr
    assert_same_site(reader.home / "copy", original)


def test_a_gateway_address_is_a_link(publisher: Person, reader: Person) -> None:
    original = site(publisher.home / "site")
    _, ready = publisher.share("site")
    got = reader.get(ready["shared"][0]["url"].rstrip("/"), "copy", "--json")
    assert got.code == 0, got.stderr
    assert_same_site(reader.home / "copy", original)


def test_the_first_link_is_there_within_three_seconds(publisher: Person) -> None:
    folder = publisher.home / "site"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.bin").write_bytes(random.Random(number).randbytes(10_000_000))
    publisher.environment[FRESH] = "1"
    publisher.run("--version")  # so that Python has compiled its modules, as after an installation
    started_s = time.monotonic()
    started, ready = publisher.share("site")
    waited_s = time.monotonic() - started_s
    assert ready["shared"][0]["size"] == 100_000_000
    assert waited_s - _without_processor_s(started.process.pid) < 3.0


def _without_processor_s(pid: int) -> float:
    """How long the threads of a process stood in line for a processor that others had: not at all where it is quiet."""
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")  # ns on a processor, ns in line, turns
    return sum(int(stat.read_text().split()[1]) for stat in stats) / 1e9
