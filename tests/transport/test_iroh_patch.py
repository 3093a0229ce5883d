"""The repairs of the iroh wheel: still needed, in place, and right."""

import asyncio
import ctypes
import gc
import importlib.util
import inspect
import os
import subprocess
import sys
import threading
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
    assert inspect.getmodule(iroh_ffi._uniffi_rust_call_async) is iroh_patch


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

    async def strange_call(future: object) -> None:
        raise AssertionError(future)

    class NoSuchFields:
        _fields_ = ()

    monkeypatch.setattr(iroh_patch, "_state", {"copying": False, "calling": False})
    monkeypatch.setattr(iroh_ffi, "_uniffi_rust_call_async", strange_call)
    monkeypatch.setattr(iroh_ffi, "_UniffiRustBufferBuilder", Strange)
    monkeypatch.setattr(iroh_ffi, "_UniffiRustBuffer", NoSuchFields)
    original = Strange.write
    iroh_patch.apply()
    assert Strange.write is original
    assert iroh_ffi._uniffi_rust_call_async is strange_call
    assert not iroh_patch.is_applied()


def test_what_is_ready_at_once_does_not_starve_the_others() -> None:
    def poll(_future: int, answer: Any, handle: int) -> None:
        answer(handle, 0)

    async def main() -> int:
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            other = tasks.create_task(take_turns())
            for _ in range(10 * iroh_patch.READY_IN_A_ROW_MAX):
                await iroh_patch._poll(1, poll)
            other.cancel()
        return turns

    assert asyncio.run(main()) >= 10


def test_an_answer_after_the_loop_is_closed_is_dropped() -> None:
    answers: list[tuple[Any, int]] = []

    async def main() -> None:
        async with asyncio.timeout(0.01):
            await iroh_patch._poll(1, lambda _future, answer, handle: answers.append((answer, handle)))

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    ((_, handle),) = answers
    iroh_patch._continue(handle, 1)  # raises nothing, and forgets the call
    with pytest.raises(iroh_ffi.InternalError):
        iroh_patch._continue(handle, 1)


def test_the_collector_may_run_while_rust_holds_a_lock() -> None:
    command = [sys.executable, "-m", "tests.transport.collecting", "800"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def described(**environment: str) -> str:
    """How a handshake that was given up describes itself, where those are set."""
    inherited = {name: value for name, value in os.environ.items() if name != "RUST_LIB_BACKTRACE"}
    command = [sys.executable, "-m", "tests.transport.broken_handshake"]
    done = subprocess.run(command, capture_output=True, timeout=60, text=True, env=inherited | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_strangers_broken_handshake_costs_no_stack_trace() -> None:
    assert "backtrace" not in described(RUST_BACKTRACE="1").lower()


def test_the_wheel_still_takes_a_stack_trace_of_each_broken_handshake() -> None:
    text = described(RUST_LIB_BACKTRACE="1").lower()  # which we leave to whoever asks for it
    assert "backtrace" in text, "its errors carry none any more: drop the fourth repair"


class Thing:
    """Like an object of Rust's."""

    def __init__(self, freed: list[str]) -> None:
        self.freed = freed

    def __del__(self) -> None:
        self.freed.append("once")


def test_what_dies_within_a_callback_is_freed_after_it_and_once() -> None:
    iroh_patch._free_later(Thing)
    freed: list[str] = []
    thing = Thing(freed)
    iroh_patch._within.add(threading.get_ident())
    try:
        del thing
        assert not freed
    finally:
        iroh_patch._within.discard(threading.get_ident())
    iroh_patch._free_dead()
    gc.collect()
    assert freed == ["once"]
    Thing(freed)
    assert freed == ["once", "once"], "and elsewhere at once"
