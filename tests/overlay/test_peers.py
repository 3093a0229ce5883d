"""The book of known peers: its order, its bounds and its back-off, and peers as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day

from nearcast.errors import UsageError
from nearcast.overlay.peers import (
    ADDRESSES_MAX,
    BACK_OFF_CONFIGURED_S_MAX,
    BACK_OFF_S,
    BACK_OFF_S_MAX,
    PEERS_MAX,
    PeerBook,
    format_peer,
    parse_peer,
)
from nearcast.transport.base import PeerAddress


def peer(number: int, *addresses: str) -> PeerAddress:
    return PeerAddress(number.to_bytes(32, "big"), addresses or (f"192.0.2.1:{number}",))


def test_the_operators_come_first_then_near_ones_then_the_most_recent() -> None:
    book = PeerBook()
    book.add(peer(1), "config", 0)
    book.add(peer(2), "link", 1)
    book.add(peer(3), "link", 2)
    book.add(peer(4), "lan", 0)
    assert book.candidates(10) == [peer(1), peer(4), peer(3), peer(2)]


def test_addresses_from_several_places_are_merged_newest_first() -> None:
    book = PeerBook()
    book.add(peer(1, "a:1", "b:1"), "link", 0)
    book.add(peer(1, "c:1", "a:1"), "lan", 1)
    assert book.candidates(1) == [peer(1, "c:1", "a:1", "b:1")]
    book.add(peer(1, *(f"host-{number}:1" for number in range(50))), "link", 2)
    assert len(book.candidates(2)[0].addresses) == ADDRESSES_MAX


def test_a_peer_is_forgotten_when_nobody_knows_it_any_more() -> None:
    book = PeerBook()
    book.add(peer(1), "link", 0)
    book.add(peer(1), "lan", 0)
    book.gone(peer(1).endpoint_id, "lan")
    assert [known.as_json()["known_from"] for known in book.known()] == [["link"]]
    book.gone(peer(1).endpoint_id, "link")
    book.gone(peer(2).endpoint_id, "link")
    assert book.known() == []


def test_failures_back_off_and_news_forgives_them() -> None:
    book = PeerBook()
    book.add(peer(1), "link", 0)
    now_s, waits_s = 0.0, []
    for _ in range(12):
        book.failed(peer(1).endpoint_id, now_s)
        assert book.candidates(now_s) == []
        (known,) = book.known()
        waits_s.append(known.retry_s - now_s)
        now_s = known.retry_s
        assert book.candidates(now_s) == [peer(1)]
    assert waits_s[:3] == [BACK_OFF_S, 2 * BACK_OFF_S, 4 * BACK_OFF_S]
    assert waits_s[-1] == BACK_OFF_S_MAX
    book.failed(peer(1).endpoint_id, now_s)
    book.add(peer(1), "lan", now_s)
    assert book.candidates(now_s) == [peer(1)]
    book.failed(peer(1).endpoint_id, now_s)
    book.answered(peer(1).endpoint_id)
    book.answered(peer(9).endpoint_id)  # a stranger's answer is no entry either
    assert book.candidates(now_s) == [peer(1)]
    book.failed(peer(1).endpoint_id, now_s)
    assert book.known()[0].retry_s - now_s == BACK_OFF_S, "failures count in a row only"
    book.failed(peer(9).endpoint_id, now_s)  # a stranger's failure is no entry
    assert len(book.known()) == 1


def test_the_operators_own_are_never_left_alone_for_long() -> None:
    book = PeerBook()
    book.add(peer(1), "config", 0)
    book.add(peer(2), "lan", 0)
    for each in (1, 2):
        for _ in range(5):
            book.failed(peer(each).endpoint_id, 100.0)
    assert book.next_retry_s(100.0) == 100.0 + BACK_OFF_CONFIGURED_S_MAX
    assert book.candidates(100.0 + BACK_OFF_CONFIGURED_S_MAX) == [peer(1)]
    assert book.next_retry_s(100.0 + BACK_OFF_S_MAX) == float("inf")


def test_the_book_is_bounded_and_keeps_what_the_operator_named() -> None:
    book = PeerBook()
    book.add(peer(1), "config", 0)
    for number in range(2, PEERS_MAX + 50):
        book.add(peer(number), "lan", number)
    ids = {known.address.endpoint_id for known in book.known()}
    assert len(ids) == PEERS_MAX
    assert peer(1).endpoint_id in ids
    assert peer(2).endpoint_id not in ids


def test_peers_as_text() -> None:
    text = f"{'ab' * 32}@192.0.2.1:4001,cdn.example:4002,[2001:db8::1]:4003"
    assert parse_peer(text) == PeerAddress(b"\xab" * 32, ("192.0.2.1:4001", "cdn.example:4002", "[2001:db8::1]:4003"))
    assert format_peer(parse_peer(text)) == text
    relayed = f"{'ab' * 32}@@https://relay.example/"
    assert parse_peer(relayed) == PeerAddress(b"\xab" * 32, (), "https://relay.example/")
    assert format_peer(parse_peer(relayed)) == relayed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "192.0.2.1:4001",
        f"{'ab' * 32}",
        f"{'ab' * 32}@",
        f"{'ab' * 31}@192.0.2.1:1",
        f"{'zz' * 32}@192.0.2.1:1",
        f"{'ab' * 32}@192.0.2.1",
        f"{'ab' * 32}@192.0.2.1:99999",
        f"{'ab' * 32}@192.0.2.1:x",
        f"{'ab' * 32}@192.0.2.1:²",
        f"{'ab' * 32}@:1",
        f"{'ab' * 32}@2001:db8::1:4003",
        f"{'a b' * 22}@192.0.2.1:1",
        f"{'ab ' * 32}@192.0.2.1:1",
        f"{'ab' * 32}@a b:1",
        f"{'ab' * 32}@192.0.2.1:1@http://relay.example",
        f"{'ab' * 32}@" + ",".join(["192.0.2.1:1"] * (ADDRESSES_MAX + 1)),
    ],
)
def test_a_mistyped_peer_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_peer(text)


@by_day(200)
@given(st.text(max_size=200) | st.text(max_size=30).map(lambda rest: f"{'ab' * 32}@{rest}"))
def test_any_text_is_a_peer_or_a_usage_error(text: str) -> None:
    try:
        parsed = parse_peer(text)
    except UsageError:
        return
    assert parse_peer(format_peer(parsed)) == parsed
