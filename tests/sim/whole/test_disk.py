"""The disk: what was synced survives every crash, what was not may be kept, lost or torn, and all three happen."""

import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nearcast.clock import SystemClock
from nearcast.content.cid import Cid
from nearcast.content.importer import import_path
from nearcast.content.store import Store
from nearcast.errors import DiskFullError
from nearcast.sim.whole.crash_image import make_image
from nearcast.sim.whole.disk import Disk
from nearcast.sim.whole.volume import Volume

SECTOR = 512


@contextmanager
def watched(root: Path, seed: int = 1) -> Iterator[Volume]:
    folder = root / "node"
    folder.mkdir(exist_ok=True)
    disk = Disk(root)
    volume = disk.volumes["node"] = Volume(folder, root / "attic", random.Random(seed))
    with disk.watched():
        yield volume


def outcomes(root: Path, act: Callable[[Path], None], look: Callable[[Path], object], tries: int = 60) -> set[object]:
    """What is found after crashes right after `act`, over many seeds."""
    found = set()
    for seed in range(tries):
        home = root / str(seed)
        home.mkdir()
        with watched(home, seed) as volume:
            act(volume.folder)
        make_image(volume, home / "image")
        found.add(look(home / "image"))
    return found


def put(path: Path, data: bytes, *, sync: bool, sync_folder: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, data)
    if sync:
        os.fsync(descriptor)
    os.close(descriptor)
    if sync_folder:
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def size_of(name: str) -> Callable[[Path], object]:
    return lambda image: (image / name).stat().st_size if (image / name).exists() else None


def test_what_was_synced_is_there(tmp_path: Path) -> None:
    found = outcomes(
        tmp_path,
        lambda folder: put(folder / "a", b"x" * 4 * SECTOR, sync=True, sync_folder=True),
        lambda image: (image / "a").read_bytes(),
    )
    assert found == {b"x" * 4 * SECTOR}


def test_a_name_that_was_not_synced_may_be_gone(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        put(folder / "a", b"x" * SECTOR, sync=True, sync_folder=False)

    assert outcomes(tmp_path, act, size_of("a")) == {None, SECTOR}


def test_bytes_that_were_not_synced_are_kept_lost_or_torn(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        put(folder / "a", b"x" * 4 * SECTOR, sync=False, sync_folder=True)

    assert outcomes(tmp_path, act, size_of("a")) == {0, SECTOR, 2 * SECTOR, 3 * SECTOR, 4 * SECTOR}


def test_bytes_over_others_are_new_or_old_by_sector(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        put(folder / "a", b"old." * SECTOR, sync=True, sync_folder=True)
        descriptor = os.open(folder / "a", os.O_WRONLY)
        os.pwrite(descriptor, b"new!" * (SECTOR // 2), SECTOR)
        os.close(descriptor)

    def look(image: Path) -> object:
        data = (image / "a").read_bytes()
        assert len(data) == 4 * SECTOR
        return tuple(data[at : at + 4] for at in range(0, 4 * SECTOR, SECTOR))

    old, new = b"old.", b"new!"
    found = outcomes(tmp_path, act, look)
    assert found == {(old, old, old, old), (old, new, old, old), (old, new, new, old)}


def test_a_file_that_is_cut_may_be_whole_again(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        put(folder / "a", b"x" * 100, sync=True, sync_folder=True)
        os.truncate(folder / "a", 7)

    assert outcomes(tmp_path, act, size_of("a")) == {100, 7}


def test_a_rename_happens_or_not(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        put(folder / "a", b"old", sync=True, sync_folder=True)
        put(folder / "b", b"newer", sync=True, sync_folder=True)
        (folder / "b").replace(folder / "a")

    def look(image: Path) -> object:
        return {path.name: path.read_bytes() for path in sorted(image.iterdir())}.__repr__()

    assert outcomes(tmp_path, act, look) == {"{'a': b'newer'}", "{'a': b'old', 'b': b'newer'}"}


def test_an_unlink_may_not_have_happened(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        put(folder / "a", b"x", sync=True, sync_folder=True)
        (folder / "a").unlink()

    assert outcomes(tmp_path, act, size_of("a")) == {None, 1}


def test_what_python_writes_itself_is_safe_only_once_synced(tmp_path: Path) -> None:
    def act(folder: Path) -> None:
        with (folder / "a").open("wb") as file:
            file.write(b"x" * 1000)
            file.flush()
            os.fsync(file.fileno())
            file.write(b"y" * 1000)

    sizes = {size for size in outcomes(tmp_path, act, size_of("a")) if isinstance(size, int)}
    assert {1000, 2000} < sizes
    assert min(sizes) == 1000


def test_the_power_goes_before_the_chosen_operation(tmp_path: Path) -> None:
    with watched(tmp_path) as volume:
        volume.on_crash = lambda: make_image(volume, tmp_path / "image")
        put(volume.folder / "a", b"x", sync=True, sync_folder=True)
        volume.crash_at = volume.operations + 1
        put(volume.folder / "b", b"x", sync=True, sync_folder=True)
    assert [path.name for path in (tmp_path / "image").iterdir()] == ["a"]
    assert (volume.folder / "b").exists()


def test_a_disk_that_is_full_says_so(tmp_path: Path) -> None:
    with watched(tmp_path) as volume:
        put(volume.folder / "a", b"x", sync=True, sync_folder=True)
        volume.failing, volume.failing_share = errno.ENOSPC, 1.0
        with pytest.raises(OSError, match="No space"):
            put(volume.folder / "b", b"x", sync=True, sync_folder=True)
        volume.failing = 0
        put(volume.folder / "b", b"x", sync=True, sync_folder=True)
    assert volume.failures == 1


def test_others_files_are_left_alone(tmp_path: Path) -> None:
    with watched(tmp_path) as volume:
        put(tmp_path / "elsewhere", b"x", sync=True, sync_folder=True)
        assert volume.operations == 0
    real = os.open(tmp_path / "elsewhere", os.O_RDONLY)
    os.close(real)
    assert os.open.__module__ == "posix"


def test_a_store_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """A crash before each tenth operation of two imports; what had been pinned before is there, whole."""
    sources = []
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(random.Random(name).randbytes((2 << 20) + 5))
        sources.append(tmp_path / name)
    crashes = 0
    for at in range(1, 1000, 10):
        home = tmp_path / f"run-{at}"
        home.mkdir()
        acknowledged = _imported_until(home, sources, at)
        if acknowledged is None:
            break
        crashes += 1
        with Store.open(home / "image", quota_bytes=1 << 30, clock=SystemClock()) as store:
            for cid, source in acknowledged:
                assert store.read_file(cid, 0, 3 << 20) == source.read_bytes()
            assert store.scrub_some(1 << 30).bad == ()
    assert crashes > 3


class _PowerGoneError(Exception):
    pass


def _imported_until(home: Path, sources: list[Path], at: int) -> "list[tuple[Cid, Path]] | None":
    """What was acknowledged before the crash at that operation; None where there was none."""
    done: list[tuple[Cid, Path]] = []

    with watched(home, at) as volume:

        def crash() -> None:
            make_image(volume, home / "image")
            raise _PowerGoneError

        volume.on_crash = crash
        volume.crash_at = at
        try:
            with Store.open(volume.folder, quota_bytes=1 << 30, clock=SystemClock()) as store:
                for source in sources:
                    imported = import_path(store, source, in_place=False, hidden=False, wrap=False)
                    done.append((imported.root, source))
        except _PowerGoneError:
            return done
    return None


def test_a_store_on_a_full_disk_refuses(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(3 << 20))
    with watched(tmp_path) as volume, Store.open(volume.folder, quota_bytes=1 << 30, clock=SystemClock()) as store:
        volume.failing, volume.failing_share = errno.ENOSPC, 1.0
        with pytest.raises(DiskFullError):
            import_path(store, tmp_path / "source", in_place=False, hidden=False, wrap=False)
        volume.failing = 0
