"""`nearcast backend`, as people type it: added while a node runs or not, fetched by another, checked, removed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Person
from tests.content.backends_world import MIB, S3_ENVIRONMENT, Bucket, noise, s3_server, write_folder

FILES = {"index.html": b"<h1>origin</h1>", "films/one.webm": noise(3 * MIB + 1), ".hidden": b"no"}
VISIBLE_BYTES = sum(len(data) for key, data in FILES.items() if key != ".hidden")


@pytest.fixture
def person(publisher: Person) -> Person:
    return publisher


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "secret-site", FILES)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with s3_server() as server:
        yield server


def test_a_folder_is_added_listed_checked_and_removed(person: Person, site: Path) -> None:
    added = person.run("backend", "add", str(site), "--json")
    assert (added.code, added.stderr) == (0, "")
    expected = person.run("add", str(site), "--json").json
    fields = added.json
    assert (fields["cid"], fields["files"], fields["size"]) == (expected["cid"], 2, VISIBLE_BYTES)
    assert (fields["name"], fields["read_files"], fields["url"]) == ("backend-1", 2, None)
    assert fields["link"] == f"nearcast:///{fields['cid']}"
    (listed,) = person.run("backend", "ls", "--json").json["backends"]
    assert (listed["address"], listed["cid"], listed["kind"]) == (f"file://{site}", fields["cid"], "folder")
    assert person.run("backend", "check").code == 0
    (site / "index.html").write_bytes(b"<h1>news</h1>")
    (site / "new.txt").write_bytes(b"new")
    checked = person.run("backend", "check", "--json")
    assert checked.code == 9
    (report,) = checked.json["backends"]
    assert report["changed"] == {"count": 1, "keys": ["index.html"]}
    assert report["new"]["keys"] == ["new.txt"]
    words = person.run("backend", "check", "backend-1")
    assert words.code == 9
    assert "changed  index.html" in words.text
    again = person.run("backend", "add", str(site), "--name", "docs", "--json").json
    assert (again["name"], again["read_files"]) == ("docs", 2)
    assert again["link"].endswith("#docs")
    assert person.run("backend", "rm", "docs", "--quiet").text == "docs\n"
    assert person.run("backend", "ls", "--json").json == {"backends": []}
    gone = person.run("backend", "rm", "docs")
    assert (gone.code, gone.line()) == (3, "nearcast: no backend is called 'docs'")


def test_the_link_and_the_words_of_a_running_node(person: Person, site: Path, tmp_path: Path) -> None:
    started, ready = person.up()
    fields = person.run("backend", "add", str(site), "--json").json
    assert fields["url"].startswith(ready["url"])
    assert fields["link"].startswith("nearcast://" + ready["id"])
    for said in (fields["link"], fields["url"]):
        assert "secret" not in said
        assert str(tmp_path) not in said
    started.end()


def test_a_bucket_is_added_with_the_credentials_of_the_environment(person: Person, bucket: Bucket) -> None:
    for key, data in FILES.items():
        bucket.put(f"site/{key}", data)
    person.environment |= S3_ENVIRONMENT
    fields = person.run("backend", "add", bucket.url("site"), "--endpoint", bucket.endpoint, "--json").json
    assert (fields["files"], fields["size"]) == (2, VISIBLE_BYTES)
    kept = [path for path in person.data_dir.iterdir() if path.is_file()]
    for secret in (S3_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], S3_ENVIRONMENT["AWS_ACCESS_KEY_ID"]):
        assert not any(secret.encode() in path.read_bytes() for path in kept), "credentials are not kept"
    assert oct((person.data_dir / "backends.sqlite3").stat().st_mode & 0o777) == "0o600"


def test_secrets_on_the_command_line_are_refused(person: Person) -> None:
    for url in ("https://me:sesame@host/x", "s3://key:sesame@bucket", "https://host/x?sig=sesame"):
        refused = person.run("backend", "add", url)
        assert refused.code == 2
        assert "sesame" not in refused.stderr
        assert "fix:" in refused.stderr
    assert person.run("backend", "ls", "--json").json == {"backends": []}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add", "nowhere"], 3, "no file or folder"),
        (["add", "ftp://host/x"], 2, "no backend is called 'ftp'"),
        (["add", ".", "--keys", "keys.txt"], 2, "--keys is for web servers"),
        (["add", "https://127.0.0.1:1/x/", "--keys", "none.txt"], 6, "none.txt: No such file"),
        (["add", "http://127.0.0.1:1/x"], 4, "the backend failed"),
        (["check", "nobody"], 3, "no backend is called 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_one_line(person: Person, arguments: list[str], code: int, words: str) -> None:
    failed = person.run("backend", *arguments)
    assert failed.code == code
    assert words in failed.line()


def test_an_interrupted_add_goes_on_where_it_was(person: Person, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "site", {f"{number}.txt": noise(100, number) for number in range(2500)})
    (folder / "later").mkdir()
    os.mkfifo(folder / "later" / "pipe")
    assert "pipe is neither a file" in person.run("backend", "add", str(folder)).line()
    (folder / "later" / "pipe").unlink()
    fields = person.run("backend", "add", str(folder), "--json").json
    assert fields["files"] == 2500
    assert fields["read_files"] < 2000, "what was read before the failure is not read again"


def test_keys_of_a_web_server_are_named_once(person: Person, tmp_path: Path) -> None:
    import functools
    import threading
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    site = write_folder(tmp_path / "www", FILES)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        keys = "/index.html\nfilms/one.webm\n\n"
        fields = person.run("backend", "add", url, "--keys", "-", "--json", input=keys.encode()).json
        assert fields["cid"] == person.run("add", str(site), "--json").json["cid"]
        again = person.run("backend", "add", url, "--json").json
        assert (again["cid"], again["files"]) == (fields["cid"], 2)
        assert person.run("backend", "check", "--read-all").code == 0
        listed = person.run("backend", "add", url + "films/")
        assert listed.code == 2
        assert "--keys" in listed.stderr
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_quiet_says_the_link_alone(person: Person, site: Path) -> None:
    said = person.run("backend", "add", str(site), "--quiet").text
    assert said.startswith("nearcast:///baf")
    assert said.count("\n") == 1
    assert json.loads(person.run("backend", "ls", "--json").text)["backends"][0]["cid"] in said
