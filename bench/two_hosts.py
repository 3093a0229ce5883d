"""Two hosts in two network namespaces of this machine, with a long way between them.

The link is a pair of veth devices with netem where the kernel has it, else bench/delay_line.py. It needs root, or a
user who may make namespaces. Everything is removed at the end; what a killed run left is removed by the next one.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from bench.delay_line import ADDRESSES, enter

PREFIX = "nearcast-bench-"
NETEM_PACKETS = 100_000  # netem's own queue of 1,000 would be lost packets at 25 ms and 200 MB/s
PIECE_BYTES = 64 << 10


@dataclass(frozen=True)
class Host:
    """One side. `prefix` goes before a command that is to run there."""

    namespace: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.namespace)


def can_make_hosts() -> bool:
    """Whether this user may."""
    return os.geteuid() == 0 and os.path.exists("/dev/net/tun")


@contextmanager
def two_hosts(delay_s: float) -> Iterator[tuple[Host, Host, str]]:
    """Both hosts, with `delay_s` each way, and by what the way is made long: "netem" or "a delay line"."""
    _remove_old()
    hosts = [Host(f"{PREFIX}{os.getpid()}-{side}", address) for side, address in zip("ab", ADDRESSES, strict=True)]
    with ExitStack() as stack:
        for host in hosts:
            _ip("netns", "add", host.namespace)
            stack.callback(_ip, "netns", "del", host.namespace)
            _ip("-n", host.namespace, "link", "set", "lo", "up")
        how = "netem" if _veth(hosts, delay_s) else _line(hosts, delay_s, stack)
        yield hosts[0], hosts[1], how


def _veth(hosts: list[Host], delay_s: float) -> bool:
    """Whether the kernel knows netem; then the link is there."""
    names = [host.namespace for host in hosts]
    made = _ip("-n", names[0], "link", "add", "near0", "type", "veth", "peer", "near0", "netns", names[1], check=False)
    if made:
        return False
    for host in hosts:
        _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "near0")
        _ip("-n", host.namespace, "link", "set", "near0", "up")
        netem = ["tc", "qdisc", "add", "dev", "near0", "root", "netem", "delay", f"{delay_s * 1e3:g}ms", "limit"]
        done = subprocess.run([*host.prefix, *netem, str(NETEM_PACKETS)], capture_output=True)
        if done.returncode:
            _ip("-n", names[0], "link", "del", "near0")
            return False
    return True


def _line(hosts: list[Host], delay_s: float, stack: ExitStack) -> str:
    command = [sys.executable, "-m", "bench.delay_line", *(host.namespace for host in hosts), str(delay_s)]
    process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    assert process.stdin is not None
    assert process.stdout is not None
    stack.callback(process.stdin.close)  # it ends with its stdin
    if process.stdout.readline() != b"ready\n":
        raise RuntimeError("the delay line could not be laid")
    return "a delay line"


def _ip(*arguments: str, check: bool = True) -> int:
    return subprocess.run(["ip", *arguments], check=check, capture_output=not check).returncode


def _remove_old() -> None:
    """Namespaces of runs that were killed."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    for name in (line.split()[0] for line in listed.splitlines() if line.startswith(PREFIX)):
        if not os.path.exists(f"/proc/{name.removeprefix(PREFIX).partition('-')[0]}"):
            _ip("netns", "del", name)


@contextmanager
def chain_near(host: Host, port: int) -> Iterator[None]:
    """The chain that listens on 127.0.0.1:port of this machine listens there on the host, too, without a delay."""
    listener = _listener_in(host, port)
    thread = threading.Thread(target=_forward_all, args=(listener, port))
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        listener.close()
        thread.join()


def _listener_in(host: Host, port: int) -> socket.socket:
    """A socket belongs to the namespace that it was made in, whoever uses it: so a thread makes it there."""
    made: list[socket.socket] = []

    def make() -> None:
        enter(f"/run/netns/{host.namespace}")
        made.append(socket.create_server(("127.0.0.1", port)))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


def _forward_all(listener: socket.socket, port: int) -> None:
    threads: list[threading.Thread] = []
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            break
        far = socket.create_connection(("127.0.0.1", port))
        threads += [threading.Thread(target=_copy, args=pair, daemon=True) for pair in ((near, far), (far, near))]
        for thread in threads[-2:]:
            thread.start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with closing(target):
        try:
            while piece := source.recv(PIECE_BYTES):
                target.sendall(piece)
        except OSError:
            return
