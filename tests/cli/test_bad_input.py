"""Each kind of bad input through the real command: one clear line, the right exit code, and nothing lost."""

import asyncio
import ctypes
import http.server
import os
import random
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.conftest import Person

from nearcast.cli.getting import wanted
from nearcast.clock import SystemClock
from nearcast.content.store import Store
from nearcast.errors import NearcastError, UsageError
from nearcast.keys import new_identity
from nearcast.overlay.peers import format_peer
from nearcast.transport.base import Connection, Endpoint, Stream
from nearcast.transport.iroh import IrohEndpoint

MEBIBYTE = 1 << 20
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2  # linux/prctl.h, linux/capability.h
CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("get", CID[:-1]),
        ("cat", CID[:-1] + "1"),
        ("ls", "nearcast://"),
        ("get", f"nearcast://abc@127.0.0.1:1/{CID}"),
        ("cat", "http://127.0.0.1/page.html"),
        ("ls", "ftp://127.0.0.1/x"),
        ("get", ""),
        ("cat", "../etc/passwd"),
        ("pin", "bafk\x1b[2J"),
    ],
)
def test_a_mistyped_link_or_cid(reader: Person, command: str, text: str) -> None:
    ended = reader.run(*(("pin", "add") if command == "pin" else (command,)), text)
    assert ended.code == 2
    assert "\x1b" not in ended.line()


def test_programs_get_the_error_as_an_object(reader: Person) -> None:
    ended = reader.run("get", "nonsense", "--json")
    assert (ended.code, ended.stderr) == (2, "")
    assert ended.json["error"]["type"] == "UsageError"
    assert ended.json["error"]["exit_code"] == 2


@pytest.mark.parametrize("command", ["share", "add", "import"])
def test_a_file_that_is_not_there(publisher: Person, command: str) -> None:
    ended = publisher.run(command, "gone.bin")
    assert ended.code == 3
    assert "gone.bin" in ended.line()


def test_a_folder_where_a_file_is_due(publisher: Person) -> None:
    (publisher.home / "folder").mkdir()
    ended = publisher.run("import", "folder")
    assert ended.code == 6
    assert "folder" in ended.line()


def humbled() -> None:
    """In the child: root without the two capabilities that let it read everything, so that modes of files count."""
    if os.geteuid() == 0:
        prctl = ctypes.CDLL(None).prctl
        assert prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0
        assert prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0) == 0


@pytest.mark.parametrize("command", ["add", "import"])
def test_a_file_that_may_not_be_read(publisher: Person, command: str) -> None:
    secret = publisher.home / "secret.bin"
    secret.write_bytes(b"secret")
    secret.chmod(0)
    ended = publisher.run(command, "secret.bin", preexec_fn=humbled)
    assert ended.code == 6, ended.stderr
    assert "secret.bin" in ended.line()


def limited() -> None:
    """In the child: no file may grow over 4 MiB, which fails as a full disk does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MEBIBYTE, 4 * MEBIBYTE))


def test_a_full_disk_while_adding(publisher: Person) -> None:
    (publisher.home / "small.txt").write_text("kept")
    (publisher.home / "large.bin").write_bytes(random.Random(1).randbytes(16 * MEBIBYTE))
    kept = publisher.run("add", "small.txt", "--quiet").text.strip()
    ended = publisher.run("add", "large.bin", preexec_fn=limited)
    assert ended.code == 8, ended.stderr
    assert ended.line()
    assert publisher.run("cat", kept, "--no-lan").text == "kept"
    assert publisher.run("add", "large.bin").code == 0


def test_a_full_disk_while_getting(publisher: Person, reader: Person) -> None:
    (publisher.home / "large.bin").write_bytes(random.Random(1).randbytes(16 * MEBIBYTE))
    _, ready = publisher.share("large.bin")
    link = ready["shared"][0]["link"]
    ended = reader.get(link, preexec_fn=limited)
    assert ended.code == 8, ended.stderr
    assert not (reader.home / "large.bin").exists()
    assert reader.get(link).code == 0
    assert (reader.home / "large.bin").read_bytes() == (publisher.home / "large.bin").read_bytes()


@pytest.mark.parametrize("option", ["--http", "--quic"])
def test_a_port_in_use(publisher: Person, option: str) -> None:
    kind = socket.SOCK_STREAM if option == "--http" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if option == "--http":
            taken.listen()
        port = taken.getsockname()[1]
        options = {"--http": "127.0.0.1:0", "--quic": "127.0.0.1:0"} | {option: f"127.0.0.1:{port}"}
        ended = publisher.run("up", "--no-lan", *(word for pair in options.items() for word in pair))
    assert ended.code == 10, ended.stderr
    assert str(port) in ended.line()


def test_a_store_that_another_process_has(publisher: Person) -> None:
    (publisher.home / "page.html").write_text("<p>")
    with Store.open(publisher.data_dir, quota_bytes=1 << 30, clock=SystemClock()):
        for command in (("add", "page.html"), ("up", "--no-lan"), ("status",), ("ls", CID)):
            ended = publisher.run(*command)
            assert ended.code == 7, ended.stderr
            assert str(os.getpid()) in ended.line()
    assert publisher.run("add", "page.html").code == 0


def test_a_file_that_changed_after_it_was_shared(publisher: Person, reader: Person) -> None:
    film = publisher.home / "film.mp4"
    film.write_bytes(random.Random(1).randbytes(3 * MEBIBYTE))
    sharing, ready = publisher.share("film.mp4")
    film.write_bytes(random.Random(2).randbytes(3 * MEBIBYTE))
    got = reader.get(ready["shared"][0]["link"])
    assert got.code in (3, 4, 5), got.stderr
    assert "was changed after it was shared" in got.line()
    assert not (reader.home / "film.mp4").exists()
    assert sharing.end().code == 0
    here = publisher.run("cat", f"{ready['shared'][0]['cid']}/film.mp4", "--no-lan")
    assert here.code == 9, here.stderr
    assert "film.mp4" in here.line()


@contextmanager
def datagrams(answer: bytes | None) -> Iterator[str]:
    """Something on UDP that answers everything with `answer`, or never; its `host:port`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.bind(("127.0.0.1", 0))
        stopped = threading.Event()

        def answering() -> None:
            while True:
                _, sender = endpoint.recvfrom(65536)
                if stopped.is_set():
                    return
                if answer is not None:
                    endpoint.sendto(answer, sender)

        thread = threading.Thread(target=answering)
        thread.start()
        host, port = endpoint.getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            stopped.set()
            endpoint.sendto(b"", (host, port))
            thread.join()


@pytest.mark.parametrize("answer", [b"\xff" * 1200, b"", None], ids=["garbage", "empty", "nothing"])
def test_a_peer_that_is_no_node_at_all(reader: Person, answer: bytes | None) -> None:
    with datagrams(answer) as address:
        ended = reader.get(f"nearcast://{new_identity().endpoint_id.hex()}@{address}/{CID}")
    assert ended.code in (3, 4), ended.stderr
    assert CID in ended.line()


class Stranger:
    """A real QUIC node that accepts every connection and stream, and answers each with the same bytes, or never."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._ready = threading.Event()
        self._stopped: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.peer = ""

    def __enter__(self) -> str:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._ready.wait(30)
        return self.peer

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._stopped is not None
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _run(self) -> None:
        endpoint = await IrohEndpoint.bind(new_identity(), listen="127.0.0.1:0")
        self.peer = format_peer(endpoint.address())
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(self._accept(endpoint, tasks))
            await self._stopped.wait()
            accepting.cancel()
            await endpoint.close()

    async def _accept(self, endpoint: Endpoint, tasks: asyncio.TaskGroup) -> None:
        while True:
            tasks.create_task(self._serve(await endpoint.accept()))

    async def _serve(self, connection: Connection) -> None:
        kept: list[Stream] = []
        try:
            while True:
                stream = await connection.accept_stream()
                kept.append(stream)  # a stream that is let go of is reset, and this one is to stay silent
                if self._answer is not None:
                    await stream.send.write(self._answer)
                    await stream.send.finish()
        except NearcastError:
            return


@pytest.mark.parametrize(
    "answer",
    [b"\xff" * 5000, b"\0\0\0\3\xff\xff\xff", b"\0\0", b"", None],
    ids=["an absurd length", "no message", "cut short", "an empty stream", "nothing"],
)
def test_a_node_that_answers_nonsense(reader: Person, answer: bytes | None) -> None:
    with Stranger(answer) as peer:
        ended = reader.get(f"nearcast://{peer}/{CID}")
    assert ended.code in (3, 4, 5), ended.stderr
    assert CID in ended.line()
    assert not list(reader.home.glob("baf*"))


@contextmanager
def web_server(body: bytes) -> Iterator[str]:
    """A web server that answers every GET with the same bytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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


def test_a_gateway_that_lies(reader: Person) -> None:
    with web_server(b"not what was asked for") as url:
        ended = reader.get(f"{url}/ipfs/{CID}")
    assert ended.code in (4, 5), ended.stderr
    assert ended.stderr.count("nearcast: ") == 1
    assert not list(reader.home.glob("baf*"))


def test_a_wallet_that_was_named_and_is_not_there(reader: Person) -> None:
    ended = reader.run("get", CID, "copy", "--no-lan", "--wallet", "gone.json")
    assert ended.code == 14
    assert "gone.json" in ended.line()


def test_nobody_to_ask(reader: Person) -> None:
    ended = reader.get(CID)
    assert ended.code in (3, 4)
    assert CID in ended.line()


def test_a_destination_in_a_folder_that_is_not_there(reader: Person) -> None:
    ended = reader.get(CID, str(Path("no", "such", "place")))
    assert ended.code == 3
    assert "mkdir" in ended.stderr


@pytest.mark.parametrize("text", ["", "-", "a-b", "5", "9-5", "1-2-3"])
def test_a_range_that_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        wanted(CID, Path("-"), [], text, overwrite=False)


def test_a_range_that_ends_before_it_starts(reader: Person) -> None:
    ended = reader.get(CID, "-", "--range", "9-5")
    assert (ended.code, ended.line()) == (2, "nearcast: --range: '9-5' ends before it starts")


@pytest.mark.parametrize("command", ["up", "status", "id", "earnings"])
def test_a_data_folder_that_is_a_file(publisher: Person, command: str) -> None:
    publisher.data_dir.write_text("mine")
    ended = publisher.run(command)
    assert (ended.code, ended.line()) == (6, f"nearcast: the data folder {publisher.data_dir} is a file")
    assert "--data-dir" in ended.stderr.splitlines()[1]


def test_a_configuration_that_makes_no_sense(publisher: Person) -> None:
    publisher.data_dir.mkdir()
    (publisher.data_dir / "config.toml").write_text("[store]\nquota = 5\n")
    ended = publisher.run("up")
    assert ended.code == 2
    assert "store.quota" in ended.line()
    assert "config.toml" in ended.line()


def test_nothing_that_lies_beside_the_destination_is_trusted(publisher: Person, reader: Person) -> None:
    """A folder that came from strangers may hold symlinks, and a store full of lies."""
    content = random.Random(5).randbytes(3 << 20)
    (publisher.home / "film").write_bytes(content)
    _sharing, ready = publisher.share("film")
    link = ready["shared"][0]["link"]
    forged = reader.home / ".film.nearcast"
    copied = reader.run("--data-dir", str(forged), "get", link, "--no-lan")
    assert copied.code == 0, copied.stderr
    (reader.home / "film").unlink()
    for stored in forged.rglob("*.data"):
        stored.chmod(0o600)
        stored.write_bytes(bytes(len(content)))
    victim = reader.home / "precious"
    victim.write_text("mine")
    (reader.home / ".film.part").symlink_to(victim)
    assert reader.get(link).code == 0
    assert (reader.home / "film").read_bytes() == content
    assert reader.get(link, "part", "--range", "0-9").code == 0
    (reader.home / "film").unlink()
    assert reader.get(link, "film", "--range", "0-9").code == 0
    assert (reader.home / "film").read_bytes() == content[:10]
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("mode", [[], ["--quiet"]])
def test_a_name_in_a_link_cannot_steer_the_terminal(publisher: Person, reader: Person, mode: list[str]) -> None:
    (publisher.home / "folder").mkdir()
    (publisher.home / "folder" / "a").write_text("a")
    _sharing, ready = publisher.share("folder")
    link = ready["shared"][0]["link"].partition("#")[0] + "#%1B%5D0%3Btitle%07%C2%9B31m"
    got = reader.get(link, *mode)
    assert got.code == 0, got.stderr
    assert not set(got.text) & set("\x1b\x07\x9b")
