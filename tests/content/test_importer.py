"""Files and trees go in through a real store and come out byte for byte; what goes wrong is named."""

import mmap
import os
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.content.conftest import Keystream, open_store
from tests.depth import by_day

from nearcast.clock import SystemClock
from nearcast.content import batches as batches_module
from nearcast.content import progress as progress_module
from nearcast.content.cid import RAW, parse_cid
from nearcast.content.importer import SMALL_FILE_BYTES_MAX, import_path
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.nodes import DirectoryNode, SymlinkNode
from nearcast.content.progress import PROGRESS_INTERVAL_S
from nearcast.content.reader import entries, file_size, read_range, resolve
from nearcast.content.store import Store
from nearcast.errors import ChangedError, NotFoundError, StoreError, UsageError

BOUNDARIES = [0, SMALL_FILE_BYTES_MAX, LEAF_BYTES, 2 * LEAF_BYTES, 3 * LEAF_BYTES + 70_000]


def read_back(store: Store, root: object, path: str = "") -> bytes:
    cid = resolve(store.get_block, parse_cid(str(root)), path).cid
    return b"".join(read_range(store.get_block, cid, 0, file_size(store.get_block, cid)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shared"
    made.mkdir()
    return made


@by_day(20)
@given(boundary=st.sampled_from(BOUNDARIES), by=st.integers(-2, 2), in_place=st.booleans())
def test_any_size_around_a_boundary_comes_back(boundary: int, by: int, in_place: bool) -> None:
    data = Keystream("sizes").read(max(0, boundary + by))
    with TemporaryDirectory() as folder, open_store(Path(folder, "data")) as store:
        path = Path(folder, "file")
        path.write_bytes(data)
        imported = import_path(store, path, in_place=in_place)
        assert read_back(store, imported.root) == data
        assert (imported.files, imported.size_bytes) == (1, len(data))
        assert (imported.root.codec == RAW) == (len(data) <= LEAF_BYTES)
        path.unlink()
        if in_place and len(data) > SMALL_FILE_BYTES_MAX:
            with pytest.raises(ChangedError):
                read_back(store, imported.root)
        else:
            assert read_back(store, imported.root) == data


def test_published_vectors_through_the_store(store: Store, folder: Path) -> None:
    (folder / "hello").write_bytes(b"hello world")
    (folder / "v1").write_bytes(Keystream("chunk-v1-seed").read(LEAF_BYTES + 1))
    hello, large = (import_path(store, folder / name, in_place=True).root for name in ("hello", "v1"))
    assert str(hello) == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    assert str(large) == "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"


def make_tree(folder: Path) -> dict[str, bytes]:
    files = {
        "a.txt": b"small",
        "b/large.bin": Keystream("large").read(2 * LEAF_BYTES + 5),
        "b/middle.bin": Keystream("middle").read(SMALL_FILE_BYTES_MAX + 1),
        "b/c/ünïcode.txt": b"",
        "z.bin": Keystream("z").read(100_000),
    }
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("b/large.bin")
    (folder / "broken link").symlink_to("/nowhere/at all")
    (folder / ".hidden").write_bytes(b"secret")
    (folder / "b" / ".git").mkdir()
    (folder / "b" / ".git" / "config").write_bytes(b"secret")
    return files


@pytest.mark.parametrize("in_place", [True, False])
def test_a_tree(store: Store, folder: Path, in_place: bool) -> None:
    files = make_tree(folder)
    imported = import_path(store, folder, in_place=in_place)
    for path, data in files.items():
        assert read_back(store, imported.root, path) == data
    names = {entry.name for entry in entries(store.get_block, imported.root)}
    assert names == {"a.txt", "b", "broken link", "empty", "link", "z.bin"}
    assert {entry.name for entry in entries(store.get_block, resolve(store.get_block, imported.root, "b").cid)} == {
        "c",
        "large.bin",
        "middle.bin",
    }
    assert resolve(store.get_block, imported.root, "link").node == SymlinkNode("b/large.bin")
    assert resolve(store.get_block, imported.root, "empty").node == DirectoryNode(())
    assert (imported.files, imported.folders, imported.symlinks) == (5, 4, 2)
    assert imported.size_bytes == sum(map(len, files.values()))
    assert [(pin.root, pin.name) for pin in store.pins()] == [(imported.root, "shared")]
    stat = store.locate(resolve(store.get_block, imported.root, "b/large.bin").cid)
    assert stat is not None
    assert (stat.path == folder / "b" / "large.bin") == in_place


def test_the_root_depends_on_the_content_alone(store: Store, folder: Path) -> None:
    make_tree(folder)
    (folder / "again").mkdir()
    one = import_path(store, folder, in_place=True)
    two = import_path(store, folder, in_place=False, name="second")
    assert one.root == two.root
    assert [pin.name for pin in store.pins()] == ["second"]


def test_hidden_files_on_request(store: Store, folder: Path) -> None:
    make_tree(folder)
    imported = import_path(store, folder, in_place=True, hidden=True)
    assert read_back(store, imported.root, ".hidden") == b"secret"
    assert read_back(store, imported.root, "b/.git/config") == b"secret"


@pytest.mark.parametrize("size_bytes", [4, LEAF_BYTES + 1])
def test_wrapping_keeps_the_name(store: Store, folder: Path, size_bytes: int) -> None:
    path = folder / "song.ogg"
    path.write_bytes(bytes(size_bytes))
    wrapped = import_path(store, path, in_place=True, wrap=True)
    assert read_back(store, wrapped.root, "song.ogg") == bytes(size_bytes)
    assert wrapped.name == "song.ogg"
    bare = import_path(store, path, in_place=True)
    assert resolve(store.get_block, wrapped.root, "song.ogg").cid == bare.root


def test_a_link_given_by_name_is_followed(store: Store, folder: Path) -> None:
    (folder / "file").write_bytes(b"x")
    (folder / "link").symlink_to("file")
    imported = import_path(store, folder / "link", in_place=True)
    assert read_back(store, imported.root) == b"x"
    assert imported.name == "file"


def test_many_commits_and_a_sharded_folder(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "BATCH_BLOCKS_MAX", 100)
    wanted = {f"a rather long name of a file, number {number:05}" for number in range(3200)}
    for name in wanted:
        (folder / name).write_bytes(name.encode())
    imported = import_path(store, folder, in_place=True)
    assert {entry.name for entry in entries(store.get_block, imported.root)} == wanted
    name = "a rather long name of a file, number 01234"
    assert len(resolve(store.get_block, imported.root, name).way) > 1
    assert read_back(store, imported.root, name) == name.encode()


def test_it_survives_closing_the_store(tmp_path: Path, folder: Path) -> None:
    files = make_tree(folder)
    with open_store(tmp_path / "data") as store:
        imported = import_path(store, folder, in_place=True)
    with open_store(tmp_path / "data") as store:
        for path, data in files.items():
            assert read_back(store, imported.root, path) == data


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("change", ["append", "truncate", "rewrite", "unlink", "replace"])
def test_a_file_that_changes_meanwhile(store: Store, folder: Path, change: str, in_place: bool) -> None:
    """The first report comes when the small file is done; by then the large one has been begun, and not ended."""
    large = folder / "a large.bin"
    large.write_bytes(bytes(3 * LEAF_BYTES))
    (folder / "b small.txt").write_bytes(b"x")
    reports: list[tuple[int, int]] = []

    def tamper(size_bytes: int, files: int) -> None:
        if not reports:
            match change:
                case "append":
                    with large.open("ab") as file:
                        file.write(b"more")
                case "truncate":
                    os.truncate(large, 5)
                case "rewrite":
                    with large.open("r+b") as file:
                        file.write(b"other")
                case "unlink":
                    large.unlink()
                case _:
                    (folder / "new").write_bytes(bytes(3 * LEAF_BYTES))
                    (folder / "new").rename(large)
        reports.append((size_bytes, files))

    with pytest.raises(ChangedError, match=r"a large\.bin changed while it was imported"):
        import_path(store, folder, in_place=in_place, progress=tamper)
    assert reports
    assert store.pins() == []


def test_a_missing_path(store: Store, folder: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no file or folder .*absent"):
        import_path(store, folder / "absent", in_place=True)
    (folder / "dangling").symlink_to("absent")
    with pytest.raises(NotFoundError, match="dangling"):
        import_path(store, folder / "dangling", in_place=True)


def test_an_unreadable_file_is_named(store: Store) -> None:
    """/proc/self/mem cannot be read at its start by anybody, not even by root."""
    with pytest.raises(StoreError, match="cannot read /proc/"):
        import_path(store, Path("/proc/self/mem"), in_place=True)
    assert store.pins() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_and_a_folder_without_permission(store: Store, folder: Path) -> None:
    (folder / "private").write_bytes(b"x")
    (folder / "private").chmod(0)
    with pytest.raises(StoreError, match=r"cannot read .*private: Permission denied"):
        import_path(store, folder, in_place=True)


def test_what_is_no_file(store: Store, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError, match="pipe is neither"):
        import_path(store, folder, in_place=True)
    with pytest.raises(UsageError, match="pipe is neither"):
        import_path(store, folder / "pipe", in_place=True)
    (folder / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        with pytest.raises(UsageError, match="socket"):
            import_path(store, folder, in_place=True)


def test_a_name_that_is_no_text(store: Store, folder: Path) -> None:
    try:
        (folder / "\udcff").write_bytes(b"x")
    except OSError:
        pytest.skip("this filesystem keeps no such names")
    with pytest.raises(UsageError, match="not UTF-8"):
        import_path(store, folder, in_place=True)


def test_a_symlink_to_no_text(store: Store, folder: Path) -> None:
    os.symlink(b"\xff", folder / "link")
    with pytest.raises(UsageError, match="not UTF-8"):
        import_path(store, folder, in_place=True)


def test_folders_that_lie_too_deep(store: Store, folder: Path) -> None:
    os.makedirs(folder / "/".join(["d"] * 201))
    with pytest.raises(UsageError, match="200 folders deep"):
        import_path(store, folder, in_place=True)


def test_progress_is_told_at_a_bounded_rate(store: Store, folder: Path) -> None:
    for number in range(300):
        (folder / str(number)).write_bytes(b"12")
    (folder / "large").write_bytes(bytes(5 * LEAF_BYTES))
    reports: list[tuple[int, int]] = []
    start = time.perf_counter()
    imported = import_path(store, folder, in_place=True, progress=lambda *done: reports.append(done))
    elapsed_s = time.perf_counter() - start
    assert reports[-1] == (imported.size_bytes, 301) == (600 + 5 * LEAF_BYTES, 301)
    assert len(reports) <= elapsed_s / PROGRESS_INTERVAL_S + 2
    assert reports == sorted(reports)


def test_a_full_disk_keeps_nothing(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").write_bytes(bytes(SMALL_FILE_BYTES_MAX + 1))

    def no_room(descriptor: int, data: object, offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", no_room)
    with pytest.raises(StoreError, match="no room"):
        import_path(store, folder, in_place=False)
    assert store.pins() == []


def test_eviction_in_the_middle_takes_nothing(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two commits nothing holds what is stored already; a store over its quota must leave it alone."""
    monkeypatch.setattr(batches_module, "BATCH_BLOCKS_MAX", 2)
    monkeypatch.setattr(progress_module, "PROGRESS_INTERVAL_S", 0.0)
    for number in range(20):
        (folder / str(number)).write_bytes(bytes([number]))
    with Store.open(tmp_path / "data", quota_bytes=1, clock=SystemClock()) as store:
        evicted: list[int] = []
        imported = import_path(store, folder, in_place=True, progress=lambda *_: evicted.append(store.evict()))
        assert len(evicted) > 20
        store.evict()
        for number in range(20):
            assert read_back(store, imported.root, str(number)) == bytes([number])


def tells_of_mapped_writes(path: Path) -> bool:
    """Whether this file system moves a file's times with the first write to a page that has been synced."""
    path.write_bytes(bytes(10))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[5] = 1
        os.fsync(file.fileno())
        before_ns = os.fstat(file.fileno()).st_ctime_ns
        mapped[5] = 2
        return os.fstat(file.fileno()).st_ctime_ns != before_ns


def test_a_program_that_writes_through_mapped_memory_is_noticed(store: Store, folder: Path) -> None:
    if not tells_of_mapped_writes(folder / "probe"):
        pytest.skip("this file system never tells of writes through mapped memory")
    path = folder / "image"
    path.write_bytes(bytes(3 * LEAF_BYTES))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[5] = 1  # the page is dirty from now on
        root = import_path(store, path, in_place=True).root
        assert read_back(store, root)[5] == 1
        mapped[5] = 2
        with pytest.raises(ChangedError):
            read_back(store, root)
