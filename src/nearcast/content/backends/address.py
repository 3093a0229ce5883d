"""What an operator types to name a backend, checked before anything is asked of it.

Secrets never come this way: a URL is kept in a file, shown by `backend ls`, and typed into shells that remember it.
So one with a password or a query (signed URLs carry their secret there) is refused; credentials come from the
environment, as every provider's own tools take them.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from nearcast.errors import UsageError

Kind = Literal["folder", "http", "s3", "gs", "az"]

_KINDS: dict[str, Kind] = {"http": "http", "https": "http", "s3": "s3", "gs": "gs", "az": "az"}
CREDENTIALS: dict[Kind, str] = {
    "http": "a web server that asks for a password cannot be a backend yet",
    "s3": "give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, "
    "or AWS_SKIP_SIGNATURE=true where the bucket is public",
    "gs": "give them as GOOGLE_APPLICATION_CREDENTIALS in the environment",
    "az": "give them as AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY in the environment",
}


@dataclass(frozen=True, slots=True)
class BackendAddress:
    """A checked address. `url` has no slash at the end unless the operator said with it "this is a folder"."""

    kind: Kind
    url: str
    endpoint: str = ""  # s3 only: another server than Amazon's; empty: the environment's, or Amazon's
    region: str = ""

    @property
    def container(self) -> str:
        """The bucket or host."""
        return urlsplit(self.url).netloc

    @property
    def path(self) -> str:
        """The path of a folder, the prefix of an object store or web server; no slashes around it but a folder's."""
        if self.kind == "folder":
            return self.url.removeprefix("file://")
        return urlsplit(self.url).path.strip("/")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The words that must never leave this machine; for those who check that."""
        words = (self.url, self.container, self.path, self.endpoint, urlsplit(self.endpoint).netloc)
        return tuple(dict.fromkeys(word for word in words if word.strip("/")))


def parse_backend(text: str, *, endpoint: str = "", region: str = "") -> BackendAddress:
    """A folder's path, `file://`, `http(s)://host/path`, `s3://bucket/prefix`, `gs://…`, `az://container/prefix`.

    Raises UsageError, naming what is wrong and never repeating a password.
    """
    text = text.strip()
    scheme, found, _ = text.partition("://")
    if not found:
        return _folder(text, endpoint, region)
    if scheme.lower() == "file":
        return _folder(unquote(text[len("file://") :]), endpoint, region)
    kind = _KINDS.get(scheme.lower())
    if kind is None:
        raise UsageError(
            f"no backend is called {scheme[:20]!r}", fix="a folder, or a URL with http, https, s3, gs or az"
        )
    _check_no_secrets(_parts(text), kind)
    if kind == "s3" and endpoint:
        _check_endpoint(endpoint)
    elif endpoint or (region and kind != "s3"):
        raise UsageError("--endpoint and --region are for s3:// only")
    return BackendAddress(kind, text, endpoint.rstrip("/"), region)


def _folder(text: str, endpoint: str, region: str) -> BackendAddress:
    if endpoint or region:
        raise UsageError("--endpoint and --region are for s3:// only")
    if not text or "\0" in text:
        raise UsageError("a backend's folder has no name")
    return BackendAddress("folder", f"file://{os.path.realpath(Path(text).expanduser())}")


def _parts(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises on an impossible port
    except ValueError:
        raise UsageError("that is not a URL", fix="it looks like https://host/path or s3://bucket/prefix") from None
    if not parts.hostname:
        raise UsageError(
            "that URL names no host or bucket", fix="it looks like https://host/path or s3://bucket/prefix"
        )
    return parts


def _check_no_secrets(parts: SplitResult, kind: Kind) -> None:
    if parts.username is not None or parts.password is not None:
        raise UsageError("a backend's URL must not contain a name or password", fix=CREDENTIALS[kind])
    if parts.query or parts.fragment:
        raise UsageError("a backend's URL must not contain ? or #: signatures stand there", fix=CREDENTIALS[kind])


def _check_endpoint(endpoint: str) -> None:
    parts = _parts(endpoint)
    if parts.scheme not in ("http", "https"):
        raise UsageError("--endpoint is an http or https URL")
    _check_no_secrets(parts, "s3")
