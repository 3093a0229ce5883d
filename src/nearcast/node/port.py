"""A node that may listen at any port takes the one it had before: links, routers and other nodes know it by that.

The port is kept in a file of its own. Where it is taken, or the file is lost, any other will do.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from nearcast.config import QuicConfig
from nearcast.errors import AddressInUseError
from nearcast.keys import Identity
from nearcast.tasks import in_thread
from nearcast.transport.base import Endpoint, PeerAddress
from nearcast.transport.resolving import PORT_MAX

FILE_NAME: Final = "quic-port"
_ANY: Final = ":0"
_DIGITS_MAX: Final = 5

Bind = Callable[[Identity, QuicConfig], Awaitable[Endpoint]]


async def bind_as_before(bind: Bind, identity: Identity, config: QuicConfig, file: Path) -> Endpoint:
    """Listen as the configuration says; at the port in `file` where it leaves that open. Raises what `bind` does."""
    if not config.listen.endswith(_ANY):
        return await bind(identity, config)
    endpoint: Endpoint | None = None
    port = await in_thread(_read, file)
    if port is not None:
        with suppress(AddressInUseError):
            endpoint = await bind(identity, replace(config, listen=f"{config.listen.removesuffix(_ANY)}:{port}"))
    if endpoint is None:
        endpoint = await bind(identity, config)
    now = _port_of(endpoint.address(), config.listen)
    if now is not None and now != port:
        await in_thread(_write, file, now)
    return endpoint


def _port_of(address: PeerAddress, listen: str) -> int | None:
    """That of the last address of the family asked for, which is the socket's own: the first ones may be a router's."""
    own = [place for place in address.addresses if place.startswith("[") == listen.startswith("[")]
    return _parse(own[-1].rpartition(":")[2]) if own else None


def _read(file: Path) -> int | None:
    try:
        with file.open("rb") as opened:
            return _parse(opened.read(_DIGITS_MAX + 1).decode("ascii", "replace").strip())
    except OSError:
        return None


def _parse(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        return None
    return int(text) if 0 < int(text) <= PORT_MAX else None


def _write(file: Path, port: int) -> None:
    with suppress(OSError):  # a full disk costs the port after the next restart
        file.write_text(f"{port}\n")
