"""Conditional requests (RFC 9110, section 13): what the client already has.

An entity tag here is made from a CID, so two equal tags mean equal bytes, for ever.
"""

import re

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def none_match(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names `etag` (the weak comparison: W/ makes no difference), so that the answer is 304."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return _opaque(etag) in {_opaque(tag) for tag in _TAG.findall(header)}


def range_applies(if_range: str | None, etag: str) -> bool:
    """Whether If-Range lets the Range header count: the strong comparison. A date never does: our files carry none."""
    return if_range is None or (if_range.strip() == etag and not etag.startswith("W/"))


def _opaque(tag: str) -> str:
    return tag.removeprefix("W/")
