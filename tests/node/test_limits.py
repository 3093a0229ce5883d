"""A node takes as many descriptors as it may have."""

import subprocess
import sys

PROGRAM = """
import resource
from nearcast.node.limits import raise_descriptor_limit
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
assert raise_descriptor_limit() > 64
assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64
assert raise_descriptor_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
"""


def test_the_soft_limit_is_raised() -> None:
    assert subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode == 0
