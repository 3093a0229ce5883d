"""Four repairs to the iroh wheel's generated Python, applied once at import of nearcast.transport.iroh.

1. `_UniffiRustBufferBuilder.write` copies what is sent byte by byte in a Python loop: 7.5 MB/s. We copy the whole
   buffer at once, straight from the caller's bytes, bytearray or memoryview: over 200 MB/s.
2. `_uniffi_rust_call_async` goes round the event loop, through its wake-up pipe, even for what is ready at once. We go
   on directly: a write of 1,000 bytes takes 86 µs instead of 160. And when the loop has just been closed, its callback
   raises on Rust's thread, which prints a traceback at the end of an otherwise clean program; ours does not.
3. Rust calls back into Python while it holds the lock of a connection. Should Python collect garbage at that moment,
   which it does at any allocation, and should a stream of the same connection be among it, its `__del__` asks Rust for
   that very lock: the thread stands still for ever, and with it the event loop as soon as it touches the connection. We
   let what dies within a callback lie until the event loop goes on.
4. Where RUST_BACKTRACE is set, as many who write Rust have it, an error that passes through Rust's `anyhow` carries a
   stack trace with names, for which the library's debug information is unpacked: 106 ms on the event loop's thread for
   each dial that is given up during its handshake, so that ten packets a second from a stranger stopped a node. Nobody
   reads those traces. RUST_LIB_BACKTRACE=0 turns them off; a panic still has its own, and whoever sets it keeps it.

The first three touch private names of a generated file; the wheel's version is pinned, every name is checked before it
is replaced, and tests/transport/test_iroh_patch.py fails when the wheel no longer needs the first or the fourth. The
third is tried with a collector that runs all the time.

What is left cannot be mended from Python: in Rust, uniffi moves a `Vec<u8>` across its border one byte at a time
(`Lift::try_read`, `Lower::lower_into_rust_buffer`), 37 % of a sender's CPU and 31 % of a receiver's by `perf`.
"""

import asyncio
import contextlib
import ctypes
import inspect
import os
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import Any

from iroh import iroh_ffi as _typed

iroh_ffi: Any = _typed  # its private parts carry no types

_BYTE_LOOP = "for i, byte in enumerate(value)"  # the line in the wheel's source that repair 1 is about
_CALL_PARAMETERS = ["rust_future", "ffi_poll", "ffi_complete", "ffi_free", "lift_func", "error_ffi_converter"]
_CALL_NAMES = (
    "_UNIFFI_RUST_FUTURE_CONTINUATION_CALLBACK",
    "_UniffiContinuationHandleMap",
    "_uniffi_rust_call_with_error",
)
READY_IN_A_ROW_MAX = 8  # calls that were ready at once before the other tasks get a turn; guess: below 1 ms of work
_state: dict[str, Any] = {"copying": False, "calling": False, "callback": None, "in_a_row": 0}
_within: set[int] = set()  # threads that are within a callback
_dead: deque[tuple[Callable[[Any], None], Any]] = deque()  # what died there, and how it is freed


def is_needed(builder: type) -> bool:
    """Whether the wheel's own `write` still has the byte loop; `builder` is the class as the wheel's source has it."""
    return _BYTE_LOOP in inspect.getsource(builder.__dict__["write"])


def is_applied() -> bool:
    """Whether the repairs are in place."""
    return bool(_state["copying"] and _state["calling"])


def apply() -> None:
    """Repair the wheel, if it is the one we know; any other is left as it is (slower, but right)."""
    os.environ.setdefault("RUST_LIB_BACKTRACE", "0")
    builder = getattr(iroh_ffi, "_UniffiRustBufferBuilder", None)
    if not _state["copying"] and builder is not None and _copies_as_expected(builder):
        builder.write = _write
        _state["copying"] = True
    if not _state["calling"] and _calls_as_expected():
        # Rust keeps the pointer: the callback must live as long as the process.
        _state["callback"] = iroh_ffi._UNIFFI_RUST_FUTURE_CONTINUATION_CALLBACK(_continue)
        iroh_ffi._uniffi_rust_call_async = _call
        for kind in list(vars(iroh_ffi).values()):
            if isinstance(kind, type) and {"__del__", "_uniffi_clone_handle"} <= vars(kind).keys():
                _free_later(kind)
        _state["calling"] = True


def _copies_as_expected(builder: Any) -> bool:
    buffer = getattr(iroh_ffi, "_UniffiRustBuffer", None)
    names = [name for name, *_ in getattr(buffer, "_fields_", ())]
    return names == ["capacity", "len", "data"] and hasattr(buffer, "reserve") and is_needed(builder)


def _calls_as_expected() -> bool:
    call = getattr(iroh_ffi, "_uniffi_rust_call_async", None)
    known = all(hasattr(iroh_ffi, name) for name in _CALL_NAMES) and iroh_ffi._UNIFFI_RUST_FUTURE_POLL_READY == 0
    return known and call is not None and list(inspect.signature(call).parameters) == _CALL_PARAMETERS


def _write(self: Any, value: Any) -> None:
    """Append `value` (any contiguous buffer of bytes) to the Rust buffer under construction."""
    size_bytes = len(value)
    if size_bytes == 0:
        return
    buffer = self.rbuf
    if buffer.len + size_bytes > buffer.capacity:
        buffer = self.rbuf = iroh_ffi._UniffiRustBuffer.reserve(buffer, size_bytes)
    start = ctypes.cast(buffer.data, ctypes.c_void_p).value + buffer.len
    if type(value) is bytes:
        ctypes.memmove(start, value, size_bytes)
    else:  # a memoryview of bytes is read-only, and ctypes takes no pointer from it; assigning a slice copies once too
        target = (ctypes.c_ubyte * size_bytes).from_address(start)
        memoryview(target).cast("B")[:] = memoryview(value).cast("B")
    buffer.len += size_bytes


def _free_later(kind: Any) -> None:
    """Let an object of Rust's that dies within a callback live until `_free_dead`; Python asks `__del__` but once."""
    free = kind.__del__

    def __del__(self: Any) -> None:  # noqa: N807 - it takes the place of the wheel's
        if get_ident() in _within:
            _dead.append((free, self))
        else:
            free(self)

    kind.__del__ = __del__


def _free_dead() -> None:
    """In the event loop, where Rust holds no lock."""
    while _dead:
        free, thing = _dead.popleft()
        free(thing)


class _Call:
    """One poll of a Rust future: the answer, and who waits for it if it did not come at once."""

    __slots__ = ("answer", "waiter")

    def __init__(self) -> None:
        self.answer: int | None = None
        self.waiter: asyncio.Future[None] | None = None


async def _call(
    rust_future: int,
    ffi_poll: Callable[..., None],
    ffi_complete: Callable[..., Any],
    ffi_free: Callable[[int], None],
    lift_func: Callable[[Any], Any],
    error_ffi_converter: Any,
) -> Any:
    """The result of a Rust future, or its error. Freeing it, also when cancelled, makes Rust let go of it."""
    try:
        while await _poll(rust_future, ffi_poll) != iroh_ffi._UNIFFI_RUST_FUTURE_POLL_READY:
            pass
        return lift_func(iroh_ffi._uniffi_rust_call_with_error(error_ffi_converter, ffi_complete, rust_future))
    finally:
        ffi_free(rust_future)


async def _poll(rust_future: int, ffi_poll: Callable[..., None]) -> int | None:
    call = _Call()
    ffi_poll(rust_future, _state["callback"], iroh_ffi._UniffiContinuationHandleMap.insert(call))
    if call.answer is None:
        call.waiter = asyncio.get_running_loop().create_future()
        if call.answer is None:  # else it came on another thread between the two lines, maybe too early to see us wait
            await call.waiter
        _state["in_a_row"] = 0
    else:
        _free_dead()
        _state["in_a_row"] += 1
        if _state["in_a_row"] >= READY_IN_A_ROW_MAX:
            _state["in_a_row"] = 0
            await asyncio.sleep(0)
    return call.answer


def _continue(handle: int, poll_code: int) -> None:
    """Rust's answer to a poll, from within it or later on any thread."""
    thread = get_ident()
    _within.add(thread)  # nothing up to here allocates what the collector counts
    try:
        call: _Call = iroh_ffi._UniffiContinuationHandleMap.remove(handle)
        call.answer = poll_code
        waiter = call.waiter
        if waiter is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: its tasks are gone, nobody is waiting
                waiter.get_loop().call_soon_threadsafe(_wake, waiter)
    finally:
        _within.discard(thread)


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():  # done: cancelled
        waiter.set_result(None)
    _free_dead()
