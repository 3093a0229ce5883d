"""A link between two network namespaces that holds every packet for a while, where the kernel has no netem.

    python -m bench.delay_line NAMESPACE-A NAMESPACE-B DELAY_S

Each namespace gets a TUN device; what one sends, this process hands to the other after the delay, in order. Packets
cross as the kernel segments them last (64 KiB with UDP's segmentation offload), so that one Python process keeps up
with what two cores can encrypt. It ends when its stdin does, and the devices with it.
"""

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque

MTU_BYTES = 1500
QUEUE_BYTES_MAX = 64 << 20  # what is on its way in one direction: 1 s at 500 Mbit/s; more is dropped, as by a router
READ_BYTES = (64 << 10) + 64
BATCH_PACKETS = 64  # read at a time from one side before the other has its turn
DEVICE = "near0"
ADDRESSES = ("10.77.0.1", "10.77.0.2")

# linux/if_tun.h, linux/sched.h
_TUNSETIFF, _TUNSETOFFLOAD, _TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
_F_CSUM, _F_TSO4, _F_USO4, _F_USO6 = 0x01, 0x02, 0x20, 0x40
_VNET_HEADER_BYTES = 10
_CLONE_NEWNET = 0x40000000


class Direction:
    """From one device to the other: what was read and when it is due."""

    def __init__(self, source: int, target: int, delay_s: float) -> None:
        self.source = source
        self.target = target
        self.delay_s = delay_s
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.waiting_bytes = 0

    def take(self, now_s: float) -> None:
        """Read what is there."""
        for _ in range(BATCH_PACKETS):
            try:
                packet = os.read(self.source, READ_BYTES)
            except BlockingIOError:
                return
            if self.waiting_bytes + len(packet) <= QUEUE_BYTES_MAX:
                self.waiting.append((now_s + self.delay_s, packet))
                self.waiting_bytes += len(packet)

    def give(self, now_s: float) -> None:
        """Hand over what is due."""
        while self.waiting and self.waiting[0][0] <= now_s:
            _, packet = self.waiting.popleft()
            self.waiting_bytes -= len(packet)
            try:
                os.write(self.target, packet)
            except BlockingIOError:
                continue  # the receiver's queue is full: lost, as on any link

    def due_s(self) -> float:
        return self.waiting[0][0] if self.waiting else float("inf")


def open_device(namespace: str, address: str) -> int:
    """A TUN device in a namespace that was made by `ip netns add`; the descriptor of its other end."""
    enter(f"/run/netns/{namespace}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR))
    fcntl.ioctl(device, _TUNSETVNETHDRSZ, struct.pack("i", _VNET_HEADER_BYTES))
    fcntl.ioctl(device, _TUNSETOFFLOAD, _F_CSUM | _F_TSO4 | _F_USO4 | _F_USO6)
    for command in (f"addr add {address}/24 dev {DEVICE}", f"link set {DEVICE} mtu {MTU_BYTES} txqueuelen 10000 up"):
        subprocess.run(["ip", *command.split()], check=True)
    return device


def enter(path: str) -> None:
    """Go on in the namespace of this file."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")
    finally:
        os.close(descriptor)


def relay(first: int, second: int, delay_s: float) -> None:
    """Until stdin ends."""
    there, back = Direction(first, second, delay_s), Direction(second, first, delay_s)
    poll = select.epoll()
    for descriptor in (first, second, sys.stdin.fileno()):
        poll.register(descriptor, select.EPOLLIN)
    while True:
        wait_s = min(there.due_s(), back.due_s()) - time.monotonic()
        ready = [descriptor for descriptor, _ in poll.poll(max(0.0, min(wait_s, 1.0)))]
        if sys.stdin.fileno() in ready:
            return
        now_s = time.monotonic()
        for direction in (there, back):
            if direction.source in ready:
                direction.take(now_s)
            direction.give(now_s)


def main() -> None:
    first, second, delay_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
    near, far = open_device(first, ADDRESSES[0]), open_device(second, ADDRESSES[1])
    print("ready", flush=True)
    relay(near, far, delay_s)


if __name__ == "__main__":
    main()
