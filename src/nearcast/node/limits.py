"""What the operating system allows this process."""

import resource

DESCRIPTORS_WANTED = 65_536  # an HTTP answer from a large file takes four, a download two, a busy node has thousands


def raise_descriptor_limit() -> int:
    """As many open files as the hard limit allows, up to DESCRIPTORS_WANTED; returns the limit that now holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS caps it lower than it says: what there is will do
        return soft
    return wanted
