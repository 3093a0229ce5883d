"""Writing past the page cache gives the same bytes, whatever their size and place, and on every file system."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nearcast.content.store.direct import ALIGNMENT_BYTES, BUFFER_BYTES, DirectWriter

pieces = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([1, 511, ALIGNMENT_BYTES, 3 * ALIGNMENT_BYTES, 5000])), max_size=8
)


def opened(path: Path) -> tuple[int, DirectWriter]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    return descriptor, DirectWriter(path, descriptor)


@given(pieces)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, writes: list[tuple[int, int]]) -> None:
    path = tmp_path / "file"
    path.unlink(missing_ok=True)
    descriptor, writer = opened(path)
    expected = bytearray()
    for number, (page, size_bytes) in enumerate(writes, 1):
        data, offset = bytes([number]) * size_bytes, page * ALIGNMENT_BYTES
        expected.extend(bytes(max(0, offset + size_bytes - len(expected))))
        expected[offset : offset + size_bytes] = data
        writer.write(data, offset)
    writer.close()
    os.close(descriptor)
    assert path.read_bytes() == bytes(expected)


def test_threads_have_a_buffer_each(tmp_path: Path) -> None:
    descriptor, writer = opened(tmp_path / "file")
    threads = [
        threading.Thread(target=writer.write, args=(bytes([n]) * BUFFER_BYTES, n * BUFFER_BYTES)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"".join(bytes([n]) * BUFFER_BYTES for n in range(8))


def test_a_file_system_without_the_flag_is_written_the_ordinary_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def refuse(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        writer = DirectWriter(path, descriptor)
    writer.write(b"x" * ALIGNMENT_BYTES, 0)
    writer.close()
    os.close(descriptor)
    assert path.read_bytes() == b"x" * ALIGNMENT_BYTES
