"""From an address to a backend that can be read. obstore takes 30 ms to import: only when it is used."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

from nearcast.content.backends.address import CREDENTIALS, BackendAddress
from nearcast.content.backends.base import Backend
from nearcast.content.backends.folder import FolderBackend
from nearcast.errors import NotFoundError, RefusedError, UnavailableError, UsageError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

CONNECT_TIMEOUT_S = 5  # as obstore's own default
READ_TIMEOUT_S = 20  # no byte for so long; guess: a store under load answers within some seconds
REQUEST_TIMEOUT_H = 24  # of a whole answer: an object may be large and the way slow, READ_TIMEOUT_S notices silence
RETRIES_MAX = 3  # of what fails with a 5xx or breaks off, 0.1 to 2 s apart; guess: more belongs to whoever asked
RETRY_TIMEOUT_S = 30

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")  # in obstore's order


@dataclass(frozen=True, slots=True)
class Opened:
    """A backend, and `only`: the one key that it is about, where the address names a file."""

    backend: Backend
    only: str | None


async def open_new(
    address: BackendAddress, keys: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ
) -> Opened:
    """Finds out what the address names. `keys`: what a web server's folder holds, since it does not tell.

    Raises NotFoundError when nothing is there, UsageError, RefusedError, UnavailableError.
    """
    if address.kind == "folder":
        return _folder_or_file(address)
    if address.kind == "http":
        is_file = keys is None and not address.url.endswith("/")
        only = unquote(address.url.rpartition("/")[2]) if is_file else None
        opened = Opened(reopen(address, only, keys, environment), only)
        if only is None and keys is None and not await _lists(opened.backend):
            raise UsageError(
                "that web server does not tell what it has", fix="name its files: --keys FILE, a key a line"
            )
        return opened
    whole = reopen(address, None, keys, environment)
    if keys is not None or not address.path or await _holds_something(whole):
        return Opened(whole, None)
    only = address.path.rpartition("/")[2]
    opened = Opened(reopen(address, only, None, environment), only)
    if address.url.endswith("/"):
        raise NotFoundError("there is nothing below that address")
    try:
        await opened.backend.find(only)
    except NotFoundError:
        raise NotFoundError("there is nothing at that address", fix="check the bucket and the prefix") from None
    return opened


def reopen(
    address: BackendAddress,
    only: str | None,
    keys: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Backend:
    """The backend at an address that is known already. Nothing is asked of it. Raises UsageError."""
    if address.kind == "folder":
        return FolderBackend(os.path.dirname(address.path) if only is not None else address.path, only)
    from obstore.exceptions import BaseError

    from nearcast.content.backends.objects import ObjectBackend

    try:
        store = _store(address, only, environment)
    except (BaseError, ValueError) as error:
        line = str(error).partition("\n")[0]
        raise UsageError(f"cannot use that address: {line}", fix=CREDENTIALS.get(address.kind)) from None
    return ObjectBackend(store, [only] if only is not None else keys)


def _folder_or_file(address: BackendAddress) -> Opened:
    if os.path.isdir(address.path):
        return Opened(reopen(address, None), None)
    if os.path.isfile(address.path):
        only = os.path.basename(address.path)
        return Opened(reopen(address, only), only)
    raise NotFoundError(f"there is no file or folder {address.path}")


async def _lists(backend: Backend) -> bool:
    """Whether a web server speaks WebDAV; most do not, and answer with a page or an error."""
    try:
        return await _holds_something(backend)
    except (UnavailableError, RefusedError, NotFoundError):
        return False


async def _holds_something(backend: Backend) -> bool:
    entries = backend.entries()
    try:
        async for _ in entries:
            return True
        return False
    finally:
        await entries.aclose()


def _store(address: BackendAddress, only: str | None, environment: Mapping[str, str]) -> "ObjectStore":
    from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

    retry = _retries()
    if address.kind == "http":
        url = address.url.rstrip("/") if only is None else address.url.rpartition("/")[0]  # it adds a slash itself
        return HTTPStore(url, client_options=_client(allow_http=url.startswith("http:")), retry_config=retry)
    path = address.path if only is None else address.path.rpartition("/")[0]
    prefix = path or None
    match address.kind:
        case "s3":
            endpoint = address.endpoint or next((environment[n] for n in _ENDPOINT_VARIABLES if environment.get(n)), "")
            chosen = {"endpoint": endpoint, "region": address.region}
            return S3Store(
                address.container,
                prefix=prefix,
                client_options=_client(allow_http=endpoint.startswith("http:")),
                retry_config=retry,
                config={key: value for key, value in chosen.items() if value},  # type: ignore[arg-type]
            )
        case "gs":
            return GCSStore(address.container, prefix=prefix, client_options=_client(), retry_config=retry)
        case _:
            return AzureStore(address.container, prefix=prefix, client_options=_client(), retry_config=retry)


def _client(*, allow_http: bool = False) -> "ClientConfig":
    """No proxy is put in by us: the environment's are obeyed."""
    return {
        "allow_http": allow_http,
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "read_timeout": timedelta(seconds=READ_TIMEOUT_S),
        "timeout": timedelta(hours=REQUEST_TIMEOUT_H),
        "user_agent": "nearcast",
    }


def _retries() -> "RetryConfig":
    return {
        "max_retries": RETRIES_MAX,
        "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
    }
