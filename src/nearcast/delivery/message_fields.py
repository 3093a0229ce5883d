"""Fields that only delivery's messages have, read as strictly as those of fields.py."""

from typing import Any

from nearcast.content.cid import Cid, decode_cid
from nearcast.errors import RemoteError, UsageError

PATH_BYTES_MAX = 4096  # PATH_MAX of Linux


def path_of(value: Any) -> str:
    """A path inside the content. Raises RemoteError."""
    if type(value) is not str or len(value.encode(errors="surrogatepass")) > PATH_BYTES_MAX:
        raise RemoteError(f"malformed message: its path is not a text of at most {PATH_BYTES_MAX} bytes")
    return value


def cid_of(value: Any) -> Cid:
    """A CID from its bytes. Raises RemoteError."""
    if type(value) is not bytes:
        raise RemoteError("malformed message: a CID in it is not bytes")
    try:
        return decode_cid(value)
    except UsageError as error:
        raise RemoteError(error.message) from error
