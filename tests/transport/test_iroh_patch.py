"""The repairs of the iroh wheel: still needed, in place, and right."""

import ctypes
import importlib.util
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import iroh
import pytest
from iroh import iroh_ffi as _typed

from nearcast.transport import iroh_patch

iroh_ffi: Any = _typed


@pytest.fixture(scope="module")
def untouched() -> ModuleType:
    """A second copy of the wheel's module, straight from its file."""
    assert iroh.__file__
    spec = importlib.util.spec_from_file_location("iroh.untouched_iroh_ffi", Path(iroh.__file__).parent / "iroh_ffi.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built_with(write: Any, values: list[Any]) -> bytes:
    """What a Rust buffer holds after writing `values` with `write`."""
    builder = iroh_ffi._UniffiRustBufferBuilder()
    for value in values:
        write(builder, value)
    buffer = builder.finalize()
    data: bytes = ctypes.string_at(buffer.data, buffer.len)
    buffer.free()
    return data


def test_the_wheel_still_needs_the_repair(untouched: ModuleType) -> None:
    assert iroh_patch.is_needed(untouched._UniffiRustBufferBuilder), "the wheel copies well by itself: drop iroh_patch"


def test_the_repair_is_in_place() -> None:
    iroh_patch.apply()
    assert iroh_patch.is_applied()
    assert "memmove" in inspect.getsource(iroh_ffi._UniffiRustBufferBuilder.write)


@pytest.mark.parametrize(
    "values",
    [
        [b""],
        [b"x"],
        [b"short", b"", b"then longer than the sixteen bytes it starts with"],
        [bytearray(b"abc" * 1000), memoryview(b"read-only"), memoryview(bytearray(b"writable"))],
        [memoryview(b"0123456789")[3:7], bytes(range(256)) * 5000],
    ],
)
def test_it_writes_what_the_wheel_would_have_written(untouched: ModuleType, values: list[Any]) -> None:
    ours = built_with(iroh_ffi._UniffiRustBufferBuilder.write, values)
    assert ours == built_with(untouched._UniffiRustBufferBuilder.write, values) == b"".join(map(bytes, values))


def test_a_wheel_that_looks_different_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strange:
        def write(self, value: bytes) -> None:
            for i, byte in enumerate(value):
                raise AssertionError(i, byte)

    class NoSuchFields:
        _fields_ = ()

    monkeypatch.setattr(iroh_patch, "_state", {"applied": False})
    monkeypatch.setattr(iroh_ffi, "_UniffiRustBufferBuilder", Strange)
    monkeypatch.setattr(iroh_ffi, "_UniffiRustBuffer", NoSuchFields)
    original = Strange.write
    iroh_patch.apply()
    assert Strange.write is original
    assert not iroh_patch.is_applied()
