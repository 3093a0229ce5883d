"""What is told to others to be here: pins and whole objects that nothing links to."""

from tests.content.store.suite import Shelf, linking_block, raw_block

from nearcast.content.store import Store

ONE, TWO, THREE = (raw_block(text) for text in (b"one", b"two", b"three"))


def test_pins_come_first_and_what_is_below_another_does_not_count(store: Store, shelf: Shelf) -> None:
    folder, cached = linking_block(ONE[0]), linking_block(TWO[0])
    shelf.put(store, ONE, folder, pin=folder[0])
    shelf.put(store, TWO)
    shelf.put(store, cached)
    shelf.put(store, THREE)
    assert store.roots(10) == [folder[0], THREE[0], cached[0]]
    assert store.roots(1) == [folder[0]]


def test_what_is_pinned_and_not_here_is_not_told(store: Store, shelf: Shelf) -> None:
    store.pin(ONE[0], "wanted")
    assert store.roots(10) == []
    shelf.put(store, ONE)
    assert store.roots(10) == [ONE[0]]
    store.remove([ONE[0]])
    assert store.roots(10) == []
