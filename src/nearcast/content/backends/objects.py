"""Object stores and web servers as backends, through obstore: S3 and what speaks like it, GCS, Azure, plain HTTP.

A range is one GET; connecting, retrying and signing are obstore's. A web server that ignores ranges is read from its
file's beginning up to what was wanted, as far as that makes sense. What obstore raises is long and names the address:
it is cut to its first line here, and never leaves this machine.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nearcast.content.backends.address import CREDENTIALS, Kind
from nearcast.content.backends.base import BackendEntry, BackendFolder, BackendObject
from nearcast.content.backends.folder import changed
from nearcast.errors import NearcastError, NotFoundError, RefusedError, UnavailableError, UsageError

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta
    from obstore.store import ObjectStore

PIECE_BYTES = 1 << 20  # asked of obstore's stream; a leaf
LIST_CHUNK = 1000  # what S3 gives per page
SKIP_BYTES_MAX = 64 << 20  # read and thrown away from a server that ignores ranges; beyond it, it is of no use
RESUMES_MAX = 3  # in a row without a byte, on top of obstore's own retries
_RANGE_NOT_SATISFIABLE = "status code: 416"  # RFC 9110, 15.5.17: the object is shorter than it was
# Where a machine of a cloud gets the credentials of its role: asked by obstore when the environment has none.
_ROLES = "http://169.254.169.254/"
_STORES: dict[str, Kind] = {"Generic S3 ": "s3", "Generic GCS ": "gs", "Generic MicrosoftAzure ": "az"}  # obstore's
_NO_BUCKET = "status code: 404"  # what a listing of a bucket that is not there says


class ObjectBackend:
    """Backend of base.py over a store of obstore. `keys`: just these (a web server tells nobody what it holds)."""

    def __init__(self, store: "ObjectStore", keys: Sequence[str] | None = None) -> None:
        self._store = store
        self._keys = keys

    async def entries(self) -> AsyncGenerator[BackendEntry]:
        if self._keys is not None:
            for key in self._keys:
                yield await self.find(key)
            return
        with _translated("listing"):
            async for some in self._store.list(chunk_size=LIST_CHUNK):
                for meta in some:
                    yield await self._listed(_object(meta))

    async def find(self, key: str) -> BackendObject:
        with _translated(key):
            return _object(await self._store.head_async(key))

    async def read(self, wanted: BackendObject, start: int, end: int) -> bytes:
        if start == end:
            return b""
        is_whole = start == 0 and end == wanted.size_bytes
        with _translated(wanted.key):
            try:
                result = await self._store.get_async(wanted.key, options={} if is_whole else {"range": (start, end)})
            except _range_ignored():
                return await self._read_from_the_beginning(wanted, start, end)
            return await _exactly(result, wanted, (start, end))

    async def stream(self, wanted: BackendObject) -> AsyncGenerator[bytes]:
        position, resumes = 0, 0
        while position < wanted.size_bytes:
            try:
                async for piece in self._rest(wanted, position):
                    position, resumes = position + len(piece), 0
                    yield piece
                if position < wanted.size_bytes:
                    raise changed(wanted.key)
            except UnavailableError:
                resumes += 1
                if resumes > RESUMES_MAX:
                    raise

    async def _rest(self, wanted: BackendObject, position: int) -> AsyncGenerator[bytes]:
        """The object's bytes from `position` on; never more than it has."""
        with _translated(wanted.key):
            result = await self._store.get_async(
                wanted.key, options={"range": (position, wanted.size_bytes)} if position else {}
            )
            if _object(result.meta) != wanted:
                raise changed(wanted.key)
            async for piece in result.stream(min_chunk_size=PIECE_BYTES):
                position += len(piece)
                if position > wanted.size_bytes:
                    raise changed(wanted.key)
                yield bytes(piece)

    async def _read_from_the_beginning(self, wanted: BackendObject, start: int, end: int) -> bytes:
        if start > SKIP_BYTES_MAX:
            raise UnavailableError(f"the web server ignores byte ranges, and {wanted.key} is too large to start over")
        result = await self._store.get_async(wanted.key)
        _check_size(result, wanted)
        kept = bytearray()
        position = 0
        async for piece in result.stream(min_chunk_size=PIECE_BYTES):
            kept += memoryview(piece)[max(start - position, 0) : max(end - position, 0)]
            position += len(piece)
            if position >= end:
                return bytes(kept)
        raise changed(wanted.key)

    async def _listed(self, found: BackendObject) -> BackendEntry:
        """Consoles write an empty object `name/` for an empty folder, which listings give as `name`."""
        if found.size_bytes:
            return found
        try:
            return await self.find(found.key)
        except NotFoundError:
            return BackendFolder(found.key)


async def _exactly(result: "GetResult", wanted: BackendObject, span: tuple[int, int]) -> bytes:
    """The answer's bytes; a wrong number of them is not believed to be the file, and not read on and on."""
    _check_size(result, wanted)
    if result.range != span:
        raise changed(wanted.key)
    pieces: list[bytes] = []
    missing_bytes = span[1] - span[0]
    async for piece in result.stream(min_chunk_size=PIECE_BYTES):
        missing_bytes -= len(piece)
        if missing_bytes < 0:
            break
        pieces.append(bytes(piece))
    if missing_bytes:
        raise changed(wanted.key)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _check_size(result: "GetResult", wanted: BackendObject) -> None:
    if result.meta["size"] != wanted.size_bytes:
        raise changed(wanted.key)


def _object(meta: "ObjectMeta") -> BackendObject:
    """Without an entity tag or a time (1970 stands for none) there is no version: such an object is read anew.

    Azure's listings leave out the quotes that its answers have.
    """
    tag = (meta["e_tag"] or "").replace('"', "")
    unix_s = meta["last_modified"].timestamp()
    return BackendObject(meta["path"], meta["size"], tag or (f"{meta['size']}-{unix_s:.6f}" if unix_s else ""))


def _range_ignored() -> type[Exception]:
    from obstore.exceptions import NotSupportedError

    return NotSupportedError


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """obstore's errors as ours; the first line only, since the others repeat it with everything around."""
    from obstore.exceptions import BaseError

    try:
        yield
    except NearcastError:
        raise
    except (BaseError, FileNotFoundError, ValueError) as error:
        raise _error_of(what, error) from None


def _error_of(what: str, error: Exception) -> NearcastError:
    from obstore import exceptions

    line = str(error).partition("\n")[0].strip()[:500]
    match error:
        case FileNotFoundError():
            return NotFoundError(f"the backend has no {what} (any more)")
        case exceptions.PermissionDeniedError() | exceptions.UnauthenticatedError():
            return RefusedError(
                f"the backend refuses {what}: {line}",
                fix="give credentials that may read and list it (docs/origins.md)",
            )
        case _ if _ROLES in line:
            why = line.rpartition(" - ")[2]
            return RefusedError(
                f"no credentials are in the environment, and this machine has no role that gives any ({why})",
                fix=next((CREDENTIALS[kind] for start, kind in _STORES.items() if line.startswith(start)), None),
            )
        case exceptions.InvalidPathError():
            return UsageError(f"{what}: {line}", fix="rename the object: no folder can hold that name")
        case _ if _RANGE_NOT_SATISFIABLE in line:
            return changed(what)
        case _ if _NO_BUCKET in line:
            return NotFoundError(f"the backend has no {what}: is there such a bucket, or such a server's folder?")
        case _:
            return UnavailableError(f"the backend failed at {what}: {line}")
