"""What a serving node tells."""

from datetime import UTC, datetime

from nearcast.cli.traffic import Served, Traffic, shortened

CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
NOON = datetime(2026, 1, 2, 12, 0, 7, tzinfo=UTC)


def request(what: str = f"/ipfs/{CID}/index.html", who: str = "192.168.1.33") -> Served:
    return Served(who, "GET", what, "200", 4100, 0.0008)


def test_a_line_has_time_reader_thing_status_size_and_duration() -> None:
    words = request().line(NOON, 100).split()
    assert words == ["12:00:07", "192.168.1.33", "GET", "bafk…52zy/index.html", "200", "4.10", "kB", "0.8", "ms"]


def test_a_line_fits_whatever_is_asked_for() -> None:
    assert len(request("/ipfs/" + CID + "/deep" * 200).line(NOON, 100)) == 100


def test_a_hostile_path_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in request("/\x1b[2J").line(NOON, 100)


def test_a_long_path_keeps_its_end() -> None:
    text = shortened("a/" * 100 + "picture.png", 40)
    assert len(text) == 40
    assert text.endswith("picture.png")
    assert "…" in text


def test_the_summary_counts_requests_bytes_and_readers() -> None:
    traffic = Traffic()
    assert traffic.summary(2.0) == "Nobody asked for anything in 2.0 s."
    traffic.add(request())
    traffic.add(request())
    traffic.add(request(who="10.0.0.1"))
    assert traffic.summary(2.0) == "Served 3 requests, 12.3 kB, to 2 readers in 2.0 s."
    assert traffic.fields(2.0) == {"event": "stopped", "requests": 3, "size": 12300, "readers": 2, "seconds": 2.0}


def test_parts_of_one_download_are_one_line() -> None:
    joined = request().joined(request())
    assert joined is not None
    assert (joined.size_bytes, joined.what) == (8200, request().what)
    assert request().joined(request(who="10.0.0.1")) is None
