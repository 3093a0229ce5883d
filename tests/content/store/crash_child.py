"""The process that gets killed. Started as a script; it forks one session for each line of its input.

A session opens the store and does random things to it for as long as it lives: imports, downloads, removals,
evictions. It says what it did on its output *after* the call returned; what it is about to destroy it says before.
"""

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from nearcast.clock import SystemClock
from nearcast.content.cid import Cid, dag_pb_cid, raw_cid
from nearcast.content.dag import FileDag, build_file_dag
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.leaves import LEAF_BYTES, leaf_table
from nearcast.content.store import Store, core, disk, flat, guard_of, pack, pinlog

STEPS_MAX = 2_000  # a session that nobody kills ends all the same
QUOTA_BYTES = 60_000  # so that cached content is always being evicted
PART_BYTES = 4096


def say(**fields: Any) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


def node_over(children: list[Cid]) -> tuple[Cid, bytes]:
    data = encode_node(PbNode(tuple(PbLink(child, str(index), 0) for index, child in enumerate(children)), None))
    return dag_pb_cid(sha256(data).digest()), data


def small_blocks(rng: random.Random) -> list[tuple[Cid, bytes]]:
    contents = [rng.randbytes(rng.randrange(1, 3000)) for _ in range(rng.randrange(1, 60))]
    return [(raw_cid(sha256(data).digest()), data) for data in contents]


def arriving(seed: str) -> tuple[FileDag, list[bytes]]:
    """A file of many small leaves: made anew from its seed by every session that goes on with it."""
    rng = random.Random(seed)
    leaves = [rng.randbytes(PART_BYTES) for _ in range(rng.randrange(2, 30))]
    digests = [sha256(leaf).digest() for leaf in leaves]
    root = node_over([raw_cid(digest) for digest in digests])
    return FileDag(root[0], leaf_table(b"".join(digests), [PART_BYTES] * len(leaves)), (root,)), leaves


class Session:
    """One life of the store."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.eagerness = 0.7
        self.store = Store.open(folder / "data", quota_bytes=QUOTA_BYTES, clock=SystemClock())

    def run(self) -> None:
        acts = [self.import_blocks, self.import_file, self.share_file, self.download, self.cache, self.remove]
        acts += [self.download, self.evict, self.compact]
        for _ in range(STEPS_MAX):
            self.rng.choice(acts)()

    def import_blocks(self) -> None:
        blocks = small_blocks(self.rng)
        root = node_over([cid for cid, _ in blocks])
        with self.store.batch() as batch:
            for cid, data in [*blocks, root]:
                batch.put_block(cid, data)
            batch.pin(root[0], "blocks")
        self.held(root[0], [cid for cid, _ in [*blocks, root]])

    def import_file(self) -> None:
        data = self.rng.randbytes(self.rng.choice([70_000, LEAF_BYTES + 10]))
        dag = self.dag_of(data)
        path, file = self.store.temporary_file()
        with file:
            file.write(data)
        with self.store.batch() as batch:
            batch.put_file(dag, path)
            batch.pin(dag.root, "file")
        self.held_file(dag)

    def share_file(self) -> None:
        path = self.folder / f"user-{self.rng.randrange(1 << 40)}"
        path.write_bytes(self.rng.randbytes(self.rng.choice([50_000, LEAF_BYTES + 10])))
        dag = self.dag_of(path.read_bytes())
        with self.store.batch() as batch:
            batch.put_reference(dag, path, guard_of(path.stat()))
            batch.pin(dag.root, "reference")
        self.held_file(dag)

    def download(self) -> None:
        """Goes on with a download, or begins one; some leaves, a checkpoint, perhaps the end."""
        begun = [pin.name for pin in self.store.pins() if pin.name.startswith("partial ")]
        seed = self.rng.choice([f"partial {self.rng.randrange(1 << 40)}", *begun])
        dag, leaves = arriving(seed)
        self.store.pin(dag.root, seed)
        with self.store.open_partial(dag) as partial:
            for first, count in partial.missing():
                for index in range(first, first + count):
                    if self.rng.random() < self.eagerness:
                        partial.put_leaf(index, leaves[index])
            partial.checkpoint()
            here = [str(dag.leaves.cid(index)) for index in range(len(leaves)) if partial.has(index)]
            say(op="arrived", root=str(dag.root), blocks=here)
            if not partial.missing():
                partial.complete()
                self.held_file(dag)

    def cache(self) -> None:
        blocks = small_blocks(self.rng)
        with self.store.batch() as batch:
            for cid, data in blocks:
                batch.put_block(cid, data)
        say(op="cached", blocks=[str(cid) for cid, _ in blocks])

    def remove(self) -> None:
        pins = self.store.pins()
        roots = [pin.root for pin in self.rng.sample(pins, min(len(pins), self.rng.randrange(4)))]
        say(op="removing", roots=[str(root) for root in roots])
        self.store.remove(roots)
        say(op="removed", roots=[str(root) for root in roots])

    def evict(self) -> None:
        self.store.evict()
        say(op="evicted")

    def compact(self) -> None:
        self.store.compact_some(1 << 20)
        self.store.scrub_some(1 << 18)
        say(op="compacted")

    def held(self, root: Cid, blocks: list[Cid]) -> None:
        say(op="held", root=str(root), blocks=[str(cid) for cid in blocks])

    def held_file(self, dag: FileDag) -> None:
        leaves = [dag.leaves.cid(index) for index in range(len(dag.leaves))]
        self.held(dag.root, [*leaves, *(cid for cid, _ in dag.nodes)])

    def dag_of(self, data: bytes) -> FileDag:
        leaves = [data[start : start + LEAF_BYTES] for start in range(0, len(data), LEAF_BYTES)]
        return build_file_dag(b"".join(sha256(leaf).digest() for leaf in leaves), len(data))

    def run_once(self) -> None:
        """Every act, in an order that leaves each something to work on."""
        self.eagerness = 1
        self.import_blocks()
        self.cache()
        self.import_file()
        self.share_file()
        for _ in range(2):
            self.download()
        self.remove()
        self.evict()
        self.compact()
        self.remove()
        self.compact()


def die_at(step: int) -> None:
    """This process ends just before its `step`-th call that changes what is on disk, as if it were killed there."""
    left = [step]

    def armed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*values, **options)

        return call

    for name in ("fsync", "fdatasync", "rename", "replace", "unlink", "ftruncate", "mkdir"):
        setattr(os, name, armed(getattr(os, name)))
    disk.write_all = armed(disk.write_all)
    for module in (pack, flat, pinlog):
        vars(module)["write_all"] = disk.write_all
    core.Change.save = armed(core.Change.save)  # type: ignore[method-assign]  # just before a commit
    core.Core._apply = armed(core.Core._apply)  # type: ignore[method-assign]  # and just after it


def main() -> None:
    for line in sys.stdin:
        folder, seed, step = json.loads(line)
        begun, begin = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(begun, 1)  # its first word comes after its process id
            if step is None:
                Session(Path(folder), seed).run()
            else:
                die_at(step)
                Session(Path(folder), seed).run_once()
            os._exit(0)
        say(pid=pid)
        os.write(begin, b"\n")
        os.close(begin)
        os.close(begun)
        _, status = os.waitpid(pid, 0)
        say(gone=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
