"""The store against a model of it: dictionaries and sets, and the meaning of "held" spelled out as a walk."""

import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.content.store.suite import Shelf, dag_of, linking_block, raw_block
from tests.depth import by_day

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import Cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store

QUOTA_BYTES = 3000
LEAVES = [raw_block(bytes([each]) * (each * 37 % 900)) for each in range(8)]
FOLDERS = [linking_block(LEAVES[0][0], LEAVES[1][0]), linking_block(LEAVES[1][0], LEAVES[2][0], LEAVES[3][0])]
FOLDERS += [linking_block(FOLDERS[0][0], LEAVES[4][0]), linking_block(FOLDERS[0][0], FOLDERS[1][0])]
BLOCKS = dict(LEAVES + FOLDERS)
LINKS = {
    FOLDERS[0][0]: [LEAVES[0][0], LEAVES[1][0]],
    FOLDERS[1][0]: [LEAVES[1][0], LEAVES[2][0], LEAVES[3][0]],
    FOLDERS[2][0]: [FOLDERS[0][0], LEAVES[4][0]],
    FOLDERS[3][0]: [FOLDERS[0][0], FOLDERS[1][0]],
}
FILES = {dag_of(data).root: data for data in (b"f" * 2000, b"g" * (LEAF_BYTES + 3))}
NAMES = [*BLOCKS, *FILES]
SOME = st.lists(st.sampled_from(NAMES), max_size=4)


class StoreMachine(RuleBasedStateMachine):
    """Every rule acts on both; the invariants compare them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.shelf = Shelf(Path(self.folder.name), quota_bytes=QUOTA_BYTES)
        self.store: Store = self.shelf.open()
        self.here: set[Cid] = set()
        self.pins: dict[Cid, str] = {}

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def held(self) -> set[Cid]:
        """What is reachable from a pin through what is here."""
        found: set[Cid] = set()
        pending = list(self.pins)
        while pending:
            cid = pending.pop()
            if cid not in found:
                found.add(cid)
                pending += LINKS.get(cid, []) if cid in self.here else []
        return found

    def parents(self, cid: Cid) -> set[Cid]:
        return {parent for parent, children in LINKS.items() if cid in children and parent in self.here}

    @rule(cids=st.lists(st.sampled_from(list(BLOCKS)), max_size=6), pinned=SOME)
    def put_blocks(self, cids: list[Cid], pinned: list[Cid]) -> None:
        with self.store.batch() as batch:
            for cid in cids:
                batch.put_block(cid, BLOCKS[cid])
            for cid in pinned:
                batch.pin(cid, "batch")
        self.here |= set(cids)
        self.pins |= dict.fromkeys(pinned, "batch")

    @rule(cid=st.sampled_from(list(FILES)))
    def put_file(self, cid: Cid) -> None:
        self.shelf.put_flat(self.store, FILES[cid])
        self.here.add(cid)

    @rule(cid=st.sampled_from(list(FILES)))
    def download(self, cid: Cid) -> None:
        dag = dag_of(FILES[cid])
        with self.store.open_partial(dag) as partial:
            for first, count in partial.missing():
                for index in range(first, first + count):
                    start, size = dag.leaves.span(index)
                    partial.put_leaf(index, FILES[cid][start : start + size])
            partial.complete()
        self.here.add(cid)

    @rule(cid=st.sampled_from(NAMES), name=st.text(max_size=5))
    def pin(self, cid: Cid, name: str) -> None:
        self.store.pin(cid, name)
        self.pins[cid] = name

    @rule(cid=st.sampled_from(NAMES))
    def unpin(self, cid: Cid) -> None:
        self.store.unpin(cid)
        self.pins.pop(cid, None)

    @rule(cids=SOME)
    def remove(self, cids: list[Cid]) -> None:
        for cid in cids:
            self.pins.pop(cid, None)
        before = set(self.here)
        pending = [cid for cid in set(cids) if cid in self.here and cid not in self.held()]
        self.here -= set(pending)
        while pending:
            for child in LINKS.get(pending.pop(), []):
                if child in self.here and child not in self.held() and not self.parents(child):
                    self.here.discard(child)
                    pending.append(child)
        assert self.store.remove(cids) == len(before) - len(self.here)

    @rule()
    def evict(self) -> None:
        self.store.evict()
        there = {cid for cid in NAMES if self.store.has(cid)}
        assert there <= self.here
        assert self.here & self.held() <= there
        assert self.store.usage().cached_bytes <= QUOTA_BYTES
        self.here = there

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.shelf.open()

    @rule(live=st.booleans())
    def rebuild(self, live: bool) -> None:
        if live:
            self.store.rebuild()
            return
        self.store.close()
        self.shelf.data_dir.joinpath("index.sqlite").unlink()
        self.store = self.shelf.open()

    @rule()
    def upkeep(self) -> None:
        self.store.compact_some(1 << 20)
        assert self.store.scrub_some(1 << 24).bad == ()

    @invariant()
    def what_is_here_is_served_and_nothing_else(self) -> None:
        for cid, data in BLOCKS.items():
            assert self.store.has(cid) == (cid in self.here)
            if cid in self.here:
                assert self.store.get_block(cid) == data
            else:
                try:
                    self.store.get_block(cid)
                except MissingBlockError:
                    continue
                raise AssertionError("a block that is not here was served")
        for cid in FILES:
            if cid in self.here:
                assert self.store.read_file(cid, 1990, 2100) == FILES[cid][1990:2100]
            else:
                assert self.store.locate(cid) is None

    @invariant()
    def held_is_reachable_from_a_pin(self) -> None:
        assert {pin.root: pin.name for pin in self.store.pins()} == self.pins
        held = self.held()
        for cid in self.here:
            stat = self.store.stat(cid)
            assert stat is not None
            assert stat.held == (cid in held)
        assert self.store.usage().objects == len(self.here)


StoreMachine.TestCase.settings = by_day(30, stateful_step_count=25)
TestStore = StoreMachine.TestCase
