"""What to call a file's bytes: from its name where it has one, else from the first bytes.

The names come from this table and from Python's own, never from the machine's mime.types: the same file has the same
type on every node. Sniffing knows only signatures that no other format shares (https://mimesniff.spec.whatwg.org).
"""

import mimetypes
from pathlib import PurePosixPath

SNIFF_BYTES = 512  # what the WHATWG sniffing standard looks at is 1445; no signature below needs more than this
UNKNOWN = "application/octet-stream"
_TEXT_LIKE = frozenset({"application/javascript", "application/json", "application/xml", "image/svg+xml"})
_OF_SUFFIX = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".csv": "text/csv",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".jxl": "image/jxl",
    ".log": "text/plain",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".mpd": "application/dash+xml",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".py": "text/x-python",
    ".rs": "text/plain",
    ".svg": "image/svg+xml",
    ".tar": "application/x-tar",
    ".toml": "application/toml",
    ".ts": "video/mp2t",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}
_PYTHONS_OWN = mimetypes.MimeTypes()
_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBPVP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"OggS\x00", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"(\xb5/\xfd", "application/zstd"),
    (0, b"\x00asm", "application/wasm"),
    (0, b"wOF2", "font/woff2"),
    (0, b"<svg", "image/svg+xml"),
)
# The control characters that no text holds ("binary data bytes" in the sniffing standard).
_BINARY = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0C, 0x0D, 0x1B})


def needs_sniffing(name: str) -> bool:
    """Whether only the first bytes can tell what a file of this name is."""
    return type_of_name(name) is None


def content_type(name: str, head: bytes = b"") -> str:
    """The Content-Type of a file by its `name` ("" when it has none), else by `head`, its first SNIFF_BYTES bytes."""
    found = type_of_name(name) or _sniff(head)
    if found.startswith("text/") or found in _TEXT_LIKE:
        return found + "; charset=utf-8"
    return found


def type_of_name(name: str) -> str | None:
    """The bare type that a file's name tells, or None."""
    suffix = PurePosixPath(name).suffix.lower()
    return _OF_SUFFIX.get(suffix) or _PYTHONS_OWN.types_map[True].get(suffix)


def _sniff(head: bytes) -> str:
    for offset, signature, found in _SIGNATURES:
        if head.startswith(signature, offset):
            return found
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "text/html"
    return "text/plain" if _is_text(head) else UNKNOWN


def _is_text(head: bytes) -> bool:
    if head.translate(None, _BINARY) != head:
        return False
    for cut in range(4):  # the last character of a long file may be cut in the middle
        try:
            head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            if len(head) < SNIFF_BYTES:
                return False
        else:
            return True
    return False
