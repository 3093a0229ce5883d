"""What the tests publish: files and trees from seeds, and how two trees are compared."""

import os
import random
from hashlib import sha256
from pathlib import Path

KIB, MIB = 1 << 10, 1 << 20


def random_file(path: Path, size_bytes: int, seed: int) -> Path:
    """A file of random bytes, so that no two leaves are alike."""
    rng = random.Random(seed)
    with path.open("wb") as file:
        for start in range(0, size_bytes, MIB):
            file.write(rng.randbytes(min(MIB, size_bytes - start)))
    return path


def sparse_file(path: Path, size_bytes: int) -> Path:
    """A large file that takes little disk: each MiB starts with its own number and goes on with zeros."""
    with path.open("wb") as file:
        for start in range(0, size_bytes, MIB):
            os.pwrite(file.fileno(), start.to_bytes(8, "big")[: size_bytes - start], start)
        file.truncate(size_bytes)
    return path


def small_tree(folder: Path) -> Path:
    """Nested folders, an empty one, an empty file, names in several scripts, symlinks, one file twice."""
    deep = folder / "docs" / "a b" / "deep"
    deep.mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>Sample</title><p>Hello\n")
    (folder / "nothing").touch()
    (folder / "docs" / "Füße & 50% #1?.txt").write_text("umlauts and what URLs trip over\n")
    (folder / "docs" / "日本語.txt").write_text("こんにちは\n")
    (folder / "docs" / "🌍.bin").write_bytes(bytes(range(256)))
    (folder / "docs" / "zz").write_text("sorted by bytes, Z before a\n")
    (folder / "docs" / "Zz").write_text("sorted by bytes, Z before a\n")
    random_file(deep / "large.bin", 2 * MIB + 17, seed=1)
    (deep / "copy.bin").write_bytes((deep / "large.bin").read_bytes())
    (folder / "link-to-file").symlink_to("docs/zz")
    (folder / "docs" / "link-up").symlink_to("../index.html")
    (folder / "docs" / "dangling").symlink_to("no/such/thing")
    return folder


def crowded_folder(folder: Path, files: int, inner: int) -> Path:
    """Many files with long names, from 2600 on a HAMT in our profile, and in it another such folder."""
    for place, count in ((folder, files), (folder / "inner", inner)):
        place.mkdir(parents=True)
        for index in range(count):
            (place / f"{index:05} {'né'[index % 2]} {sha256(bytes([index % 251])).hexdigest()[:40]}.txt").write_text(
                f"{index}\n"
            )
    return folder


def contents(place: Path) -> dict[str, str]:
    """Everything below a path, by relative name: a digest, where a symlink points, or that it is a folder."""
    found: dict[str, str] = {}
    for path in [place, *sorted(place.rglob("*"))] if place.is_dir() else [place]:
        name = str(path.relative_to(place))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        else:
            found[name] = "folder" if path.is_dir() else sha256(path.read_bytes()).hexdigest()
    return found
