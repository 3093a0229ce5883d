"""Two repairs to the iroh wheel's generated Python, applied once at import of nearcast.transport.iroh.

1. `_UniffiRustBufferBuilder.write` copies what is sent byte by byte in a Python loop: 7.5 MB/s. We copy the whole
   buffer at once, straight from the caller's bytes, bytearray or memoryview: over 300 MB/s.
2. `_uniffi_continuation_callback` runs on Rust's threads and calls into the event loop. When the loop has just been
   closed it raises inside a C callback, which prints a traceback at the end of an otherwise clean program. Nobody waits
   for that future any more, so we drop it.

The repairs touch private names of a generated file; the wheel's version is pinned, every name is checked before it is
replaced, and tests/transport/test_iroh_patch.py fails when the wheel no longer needs them.
"""

import contextlib
import ctypes
import inspect
from typing import Any

from iroh import iroh_ffi as _typed

iroh_ffi: Any = _typed  # its private parts carry no types

_BYTE_LOOP = "for i, byte in enumerate(value)"  # the line in the wheel's source that repair 1 is about
_state = {"applied": False}


def is_needed(builder: type) -> bool:
    """Whether the wheel's own `write` still has the byte loop; `builder` is the class as the wheel's source has it."""
    return _BYTE_LOOP in inspect.getsource(builder.__dict__["write"])


def is_applied() -> bool:
    """Whether the copying in use is ours."""
    return _state["applied"]


def apply() -> None:
    """Repair the wheel, if it is the one we know; any other is left as it is (slower, but right)."""
    if _state["applied"]:
        return
    builder = getattr(iroh_ffi, "_UniffiRustBufferBuilder", None)
    if builder is not None and _looks_as_expected(builder):
        builder.write = _write
        _state["applied"] = True
    if hasattr(iroh_ffi, "_uniffi_continuation_callback") and hasattr(iroh_ffi, "_UniffiContinuationHandleMap"):
        prototype = iroh_ffi._UNIFFI_RUST_FUTURE_CONTINUATION_CALLBACK
        iroh_ffi._uniffi_continuation_callback = prototype(_continue)


def _looks_as_expected(builder: Any) -> bool:
    buffer = getattr(iroh_ffi, "_UniffiRustBuffer", None)
    names = [name for name, *_ in getattr(buffer, "_fields_", ())]
    return names == ["capacity", "len", "data"] and hasattr(buffer, "reserve") and is_needed(builder)


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


def _continue(handle: int, poll_code: int) -> None:
    """Wake the coroutine that waits for a Rust future. Called on any thread."""
    loop, future = iroh_ffi._UniffiContinuationHandleMap.remove(handle)
    with contextlib.suppress(RuntimeError):  # the loop is closed: its tasks are gone, nobody is waiting
        loop.call_soon_threadsafe(iroh_ffi._uniffi_set_future_result, future, poll_code)
