"""Revert data as a sentence: why a contract refuses, and what to do about it.

Knows every custom error of the packaged contracts, the reasons that `require` gives, and the compiler's panics. What a
contract says is somebody else's text: it is cut, and stripped of what is not printable.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from nearcast.chain.abi import SELECTOR_BYTES, Decoded, Entry, contract
from nearcast.chain.abi_types import decode, parse_tuple
from nearcast.chain.address_text import address_text
from nearcast.chain.artifacts import artifact_names
from nearcast.chain.revert_sentences import PANICS, SENTENCES, TEXT_FIXES
from nearcast.errors import ChainError, RevertedError

_ERROR, _PANIC = bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")  # Error(string), Panic(uint256)
_TEXT_CHARACTERS_MAX = 200


class ContractRevertError(RevertedError):
    """A contract refuses what was asked of it. Nothing was changed; what it cost is the fee.

    `error_name` is the custom error's name, `Error`, `Panic` or "" when it gave no reason; `arguments` are its
    arguments, `data` is what it returned.
    """

    def __init__(self, message: str, *, fix: str | None, reason: Decoded, data: bytes) -> None:
        super().__init__(message, fix=fix)
        self.error_name = reason.name
        self.arguments = reason.arguments
        self.data = data


def revert_error(data: bytes) -> ContractRevertError:
    """The error to raise for this revert data. Never fails, whatever the data."""
    reason = decode_revert(data)
    message, fix = _sentence(reason, data)
    return ContractRevertError(f"refused: {message}", fix=fix, reason=reason, data=data)


def decode_revert(data: bytes) -> Decoded:
    """The name and arguments in revert data; the name is "" when it has none that we know."""
    try:
        if data[:SELECTOR_BYTES] == _ERROR:
            return Decoded("Error", {"reason": decode(parse_tuple([{"type": "string"}]), data[SELECTOR_BYTES:])[0]})
        if data[:SELECTOR_BYTES] == _PANIC:
            return Decoded("Panic", {"code": decode(parse_tuple([{"type": "uint256"}]), data[SELECTOR_BYTES:])[0]})
        entry = _known_errors().get(data[:SELECTOR_BYTES])
        values = () if entry is None else decode(entry.inputs, data[SELECTOR_BYTES:])
    except ChainError:
        return Decoded("", {})
    return Decoded("", {}) if entry is None else Decoded(entry.name, dict(zip(entry.inputs.names, values, strict=True)))


@cache
def _known_errors() -> Mapping[bytes, Entry]:
    """Every custom error of every packaged contract, by selector."""
    return {selector: entry for name in artifact_names() for selector, entry in contract(name).errors.items()}


def _sentence(reason: Decoded, data: bytes) -> tuple[str, str | None]:
    if reason.name == "Error":
        text = printable(str(reason.arguments["reason"]))
        fixes = (fix for part, fix in TEXT_FIXES.items() if part in text)
        return f"the contract says {text!r}", next(fixes, None)
    if reason.name == "Panic":
        code = int(reason.arguments["code"])
        return f"the contract stopped on a defect of its own: {PANICS.get(code, f'panic {code:#x}'[:40])}", None
    if reason.name in SENTENCES:
        sentence, fix = SENTENCES[reason.name]
        return sentence.format_map({name: _shown(value) for name, value in reason.arguments.items()}), fix
    if reason.name:
        return f"the contract says {reason.name}", None
    if data:
        return f"the contract gives a reason that we do not know (0x{data[:SELECTOR_BYTES].hex()})", None
    return "the contract gives no reason", "check that the right contract stands at that address"


def _shown(value: Any) -> str:
    """An argument for people: addresses checksummed, regions as letters, other bytes as hexadecimal."""
    if not isinstance(value, bytes):
        return printable(str(value))
    if len(value) == 20:
        return address_text(value)
    return value.decode() if len(value) == 2 and value.isalpha() else "0x" + value.hex()


def printable(text: str) -> str:
    """Somebody else's text, fit for one line of ours: cut, and without control characters."""
    cleaned = "".join(letter if letter.isprintable() else "?" for letter in text[:_TEXT_CHARACTERS_MAX])
    return cleaned + ("…" if len(text) > _TEXT_CHARACTERS_MAX else "")
