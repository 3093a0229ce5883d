"""Keeping content: add, pins, removal, archives; by the command itself, and by the running node that has the store."""

import json
import random
import signal
import stat
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.cli.conftest import Person

MEBIBYTE = 1 << 20


def tree(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "page.html").write_text("<p>")
    (folder / "deep" / "data.bin").write_bytes(random.Random(7).randbytes(3 * MEBIBYTE))
    return folder


@pytest.mark.parametrize("running", [False, True], ids=["by itself", "by the running node"])
def test_add_pin_look_remove(publisher: Person, *, running: bool) -> None:
    tree(publisher.home / "tree")
    if running:
        publisher.up()
    added = publisher.run("add", "tree", "--json")
    assert added.code == 0, added.stderr
    cid = added.json["cid"]
    assert (added.json["files"], added.json["size"]) == (2, 3 * MEBIBYTE + 3)
    assert [pin["cid"] for pin in publisher.run("pin", "ls", "--json").json["pins"]] == [cid]
    listed = publisher.run("ls", cid, "--no-lan", "--json")
    assert [(entry["name"], entry["kind"]) for entry in listed.json["entries"]] == [
        ("deep", "folder"),
        ("page.html", "file"),
    ]
    assert publisher.run("cat", f"{cid}/page.html", "--no-lan").stdout == b"<p>"
    data = publisher.run("cat", f"{cid}/deep/data.bin", "--no-lan").stdout
    assert data == (publisher.home / "tree/deep/data.bin").read_bytes()
    assert publisher.run("pin", "rm", cid).code == 0
    assert publisher.run("pin", "rm", cid).code == 3
    assert publisher.run("pin", "add", cid, "--name", "again").code == 0
    status = publisher.run("status", "--json")
    assert (status.json["running"], status.json["pins"]) == (running, 1)
    assert publisher.run("rm", cid, "--json").json["cids"] == [cid]
    assert publisher.run("rm", cid).code == 3
    assert publisher.run("cat", f"{cid}/page.html", "--no-lan").code == 3


@pytest.mark.parametrize("running", [False, True], ids=["by itself", "by the running node"])
def test_an_archive_goes_out_and_in(publisher: Person, reader: Person, *, running: bool) -> None:
    tree(publisher.home / "tree")
    cid = publisher.run("add", "tree", "--quiet").text.strip()
    if running:
        publisher.up()
        reader.up()
    exported = publisher.run("export", cid, "tree.car", "--json")
    assert exported.code == 0, exported.stderr
    archive = publisher.home / "tree.car"
    assert exported.json == {"cid": cid, "path": str(archive), "size": archive.stat().st_size}
    assert publisher.run("export", cid, "tree.car").code == 2, "it is not overwritten"
    assert publisher.run("export", cid, "-").stdout == archive.read_bytes()
    imported = reader.run("import", str(archive), "--json")
    assert imported.code == 0, imported.stderr
    assert imported.json["cids"] == [cid]
    assert reader.run("cat", f"{cid}/page.html", "--no-lan").stdout == b"<p>"
    again = reader.run("import", "-", "--quiet", input=archive.read_bytes())
    assert (again.code, again.text) == (0, f"{cid}\n")


def test_what_was_got_is_served_by_a_later_up(publisher: Person, reader: Person) -> None:
    tree(publisher.home / "tree")
    sharing, ready = publisher.share("tree")
    assert reader.get(ready["shared"][0]["link"]).code == 0
    sharing.end()
    _, up = reader.up()
    with urllib.request.urlopen(f"{up['url']}/ipfs/{ready['shared'][0]['cid']}/page.html") as answer:
        assert answer.read() == b"<p>"


def test_get_works_while_a_node_has_the_store(publisher: Person, reader: Person) -> None:
    tree(publisher.home / "tree")
    _, ready = publisher.share("tree")
    reader.up()
    got = reader.get(ready["shared"][0]["link"], "copy")
    assert got.code == 0, got.stderr
    assert (reader.home / "copy" / "page.html").read_text() == "<p>"
    assert sorted(path.name for path in reader.home.iterdir()) == ["copy", "data"], "its private store is gone"


def test_get_asks_the_running_node_first_of_all(publisher: Person) -> None:
    tree(publisher.home / "tree")
    _, ready = publisher.share("tree")
    got = publisher.get(ready["shared"][0]["cid"], "copy")
    assert got.code == 0, got.stderr
    assert (publisher.home / "copy" / "page.html").read_text() == "<p>"


def test_get_of_what_is_here_asks_nobody(publisher: Person) -> None:
    tree(publisher.home / "tree")
    cid = publisher.run("add", "tree", "--quiet").text.strip()
    got = publisher.get(cid, "copy", "--json")
    assert got.code == 0, got.stderr
    assert (got.json["verified"], got.json["sources"]) == (0, {})
    assert (publisher.home / "copy" / "page.html").read_text() == "<p>"


def test_the_control_door_is_closed_to_others(publisher: Person) -> None:
    _, up = publisher.up()
    leading = publisher.data_dir / "running.json"
    assert stat.S_IMODE(leading.stat().st_mode) == 0o600
    request = urllib.request.Request(f"{up['url']}/api/v0/pins", b"{}", {"authorization": "Bearer guess"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403
    assert "access-control-allow-origin" not in refused.value.headers
    refused.value.close()
    token = json.loads(leading.read_text())["token"]
    request = urllib.request.Request(f"{up['url']}/api/v0/pins", b"{}", {"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        assert json.loads(answer.read()) == {"pins": []}


def test_the_way_to_the_node_goes_with_it(publisher: Person) -> None:
    running, _ = publisher.up()
    assert (publisher.data_dir / "running.json").exists()
    assert running.end(signal.SIGTERM).code == 0
    assert not (publisher.data_dir / "running.json").exists()
    assert publisher.run("status", "--json").json["running"] is False


def test_what_a_killed_node_left_behind_is_no_obstacle(publisher: Person) -> None:
    running, _ = publisher.up()
    running.end(signal.SIGKILL)
    assert (publisher.data_dir / "running.json").exists()
    (publisher.home / "page.html").write_text("<p>")
    assert publisher.run("add", "page.html").code == 0
    assert publisher.up()[1]["event"] == "ready"


def test_the_id_stays_the_same(publisher: Person) -> None:
    first = publisher.run("id", "--quiet").text.strip()
    _, up = publisher.up()
    assert len(bytes.fromhex(first)) == 32
    assert up["id"] == first
    assert publisher.run("id", "--json").json == {"id": first}
