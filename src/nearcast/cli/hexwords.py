"""Addresses, hashes and regions as people type and read them; inside they are raw bytes.

An address is printed with the capitals of EIP-55, and one typed with capitals is held against them: a mistyped letter
would send money to nobody.
"""

import re

from nearcast.errors import UsageError

_ADDRESS = re.compile(r"0x([0-9a-fA-F]{40})")
_DIGEST_BYTES = 32
_WORD = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


def address_text(address: bytes) -> str:
    """0x and 40 digits, some of them capitals."""
    from nearcast.chain import address_text  # it hashes: only who prints an address pays for the import

    return address_text.address_text(address)


def parse_address(text: str, what: str = "an address") -> bytes:
    """20 bytes. UsageError when it is not an address, or its capitals say that a letter is wrong."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise UsageError(f"{what} is 0x and 40 hexadecimal digits, not {text!r}")
    address = bytes.fromhex(match[1])
    if match[1] not in (match[1].lower(), match[1].upper()) and text != address_text(address):
        raise UsageError(f"{what} has a mistyped letter: the capitals of {text} do not fit", fix="copy it again")
    return address


def hash_text(value: bytes) -> str:
    """0x and the digits."""
    return "0x" + value.hex()


def parse_hash(text: str, what: str = "a hash") -> bytes:
    """32 bytes. UsageError when it is not one."""
    match = _WORD.fullmatch(text)
    if match is None:
        raise UsageError(f"{what} is 64 hexadecimal digits, not {text!r}")
    return bytes.fromhex(match[1])


def parse_digest(text: str) -> bytes:
    """The SHA-256 of some content: of a CID or link, or as 64 digits. UsageError when it is neither."""
    if _WORD.fullmatch(text):
        return parse_hash(text)
    from nearcast.naming.link import parse_link

    link = parse_link(text)
    if link.path or len(link.root.digest) != _DIGEST_BYTES:
        raise UsageError(f"what is listed is one file or folder, by its own CID, not {text!r}", fix="nearcast ls LINK")
    return link.root.digest


def parse_region(text: str) -> bytes:
    """A region's two capital letters (ISO 3166-1), typed in either case. UsageError when it is something else."""
    if not re.fullmatch("[A-Za-z]{2}", text):
        raise UsageError(f"a region is two letters such as DE, not {text!r}")
    return text.upper().encode()


def region_text(scope: bytes) -> str:
    """`DE`, or `everywhere` for the scope that is no region."""
    return scope.decode("ascii", "replace") if any(scope) else "everywhere"
