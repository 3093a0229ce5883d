"""Content is found with no address in the link, by real processes: a name, and one node that does not have it."""

import filecmp
import time
from pathlib import Path
from random import Random

from tests.cli.conftest import DEADLINE_S, People, Person

from nearcast.cli.keeping import open_store
from nearcast.config import Config
from nearcast.overlay.peers import parse_peer
from nearcast.overlay.remembered import FILE_NAME, write_contacts


def a_film(person: Person) -> Path:
    film = person.home / "film.mp4"
    film.write_bytes(Random(1).randbytes(3 << 20))
    return film


def told_the_overlay(person: Person) -> str:
    """Once its node has told others of what it has: its name. Each look is a process, so it needs no pause."""
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        status = person.run("status", "--json").json
        if status["counters"].get("overlay_records_published"):
            return str(status["endpoint_id"][:8])
        assert time.monotonic() < deadline_s, status


def test_a_name_alone_is_enough_where_one_node_is_known(people: People, publisher: Person, reader: Person) -> None:
    """The publisher knows `first`, and so does `second`; the reader knows `second`, which knows no publisher."""
    first, second = people("first"), people("second")
    _, first_ready = first.up()
    _, second_ready = second.up("--peer", first_ready["peer"])
    film = a_film(publisher)
    _, shared = publisher.share("film.mp4", "--peer", first_ready["peer"])
    holder = told_the_overlay(publisher)
    name = shared["shared"][0]["cid"] + "/film.mp4"
    got = reader.get(name, "film.mp4", "--peer", second_ready["peer"], "--json")
    assert got.code == 0, got.stderr
    assert filecmp.cmp(reader.home / "film.mp4", film, shallow=False)
    assert list(got.json["sources"]) == [holder], "not by a relay: the hash table named the publisher"


def test_a_name_alone_is_enough_for_who_remembers_a_node(people: People, publisher: Person, reader: Person) -> None:
    """Also where another command of the reader has its store open, so that this one fetches into one of its own."""
    first = people("first")
    _, first_ready = first.up()
    film = a_film(publisher)
    _, shared = publisher.share("film.mp4", "--peer", first_ready["peer"])
    told_the_overlay(publisher)
    name = shared["shared"][0]["cid"] + "/film.mp4"
    reader.data_dir.mkdir()
    with open_store(Config(reader.data_dir)):
        unknown = reader.get(name, "film.mp4", "--json")
        assert unknown.code != 0
        write_contacts(reader.data_dir / FILE_NAME, [parse_peer(first_ready["peer"])])
        got = reader.get(name, "film.mp4", "--json")
    assert got.code == 0, got.stderr
    assert filecmp.cmp(reader.home / "film.mp4", film, shallow=False)
