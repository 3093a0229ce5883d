"""What a payee gives to others so that they can claim for it: its newest vouchers, and its word that anybody may.

A file holds a channel a line, as JSON, each complete in itself, so that files can be joined with `cat`:

    {"nearcast": "claim", "v": 1, "chain", "settlement", "config", "voucher", "authorization"}

`config` and `voucher` are as x402 writes them. `authorization` is the receiver's authorizer's signature of a batch of
this one row with all of the voucher claimed. Nothing in it is secret in the sense of a key: whoever has the file can
make the payee richer, by exactly what it earned, and learn who paid it.

A watchtower reads files of strangers: every line is bounded and checked, and both signatures must be right.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from nearcast.chain.bindings.settlement import Claim
from nearcast.chain.durable import write_private
from nearcast.chain.eip712 import Domain
from nearcast.chain.fields import hex_field, object_of, uint_field
from nearcast.chain.signing import SIGNATURE_BYTES, Signer, is_signed_by
from nearcast.chain.vouchers import (
    ChannelConfig,
    Voucher,
    channel_id,
    claim_batch_digest,
    parse_channel_config,
    parse_voucher,
    settlement_domain,
    verify_voucher,
    voucher_as_json,
)
from nearcast.errors import NearcastError, RefusedError, RemoteError, StoreError

KIND: Final = "claim"
VERSION: Final = 1
LINE_BYTES_MAX: Final = 4_096  # one takes about 1,150
LINE_PIECES_MAX: Final = 256  # 1 MiB of a bad line is passed over
LINES_MAX: Final = 100_000  # channels of one payee; about 15 s of checking
_FIELDS: Final = frozenset(("nearcast", "v", "chain", "settlement", "config", "voucher", "authorization"))


@dataclass(frozen=True, slots=True)
class SignedClaim:
    """A claim that anybody may submit. `signature`: the payer's, of the voucher; `authorization`: the payee's."""

    config: ChannelConfig
    voucher: Voucher
    signature: bytes
    authorization: bytes

    @property
    def channel_id(self) -> bytes:
        return self.voucher.channel_id

    @property
    def units(self) -> int:
        return self.voucher.max_claimable_units

    def claim(self) -> Claim:
        """The row that the authorization is about."""
        return Claim(self.config, self.voucher, self.signature, self.units)


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """What was read. `faults`: of each line that is no good, its number (from 1) and why."""

    claims: dict[bytes, SignedClaim] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)

    def add(self, claim: SignedClaim) -> None:
        """Keep it, unless there is one over as much of the same channel."""
        present = self.claims.get(claim.channel_id)
        if present is None or present.units < claim.units:
            self.claims[claim.channel_id] = claim


def authorize(domain: Domain, config: ChannelConfig, voucher: Voucher, signature: bytes, key: Signer) -> SignedClaim:
    """Let anybody claim this voucher. RefusedError when `key` is not the channel's receiver's authorizer."""
    if config.receiver_authorizer != key.address:
        raise RefusedError(f"the claims of channel 0x{voucher.channel_id.hex()} are signed by another key")
    digest = claim_batch_digest(domain, [(voucher, voucher.max_claimable_units)])
    return SignedClaim(config, voucher, signature, key.sign(digest))


def claim_line(chain_id: int, settlement: bytes, claim: SignedClaim) -> bytes:
    """Its line, with the end of line."""
    value = {
        "nearcast": KIND,
        "v": VERSION,
        "chain": chain_id,
        "settlement": f"0x{settlement.hex()}",
        "config": claim.config.as_json(),
        "voucher": voucher_as_json(claim.voucher, claim.signature),
        "authorization": f"0x{claim.authorization.hex()}",
    }
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def parse_claim_line(line: bytes, chain_id: int, settlement: bytes) -> SignedClaim:
    """A stranger's line, checked in full. RemoteError, saying why, for anything that could not be claimed there."""
    given = object_of(_json(line), _FIELDS)
    if given["nearcast"] != KIND or uint_field(given["v"], 8, "v") != VERSION:
        raise RemoteError(f"this is not a claim of version {VERSION}")
    told_chain = uint_field(given["chain"], 63, "chain")
    if told_chain != chain_id or hex_field(given["settlement"], 20, "settlement") != settlement:
        raise RemoteError(f"it is for another contract, on chain {told_chain}")
    config = parse_channel_config(given["config"])
    voucher, signature = parse_voucher(given["voucher"])
    authorization = hex_field(given["authorization"], SIGNATURE_BYTES, "authorization")
    domain = settlement_domain(chain_id, settlement)
    if channel_id(domain, config) != voucher.channel_id:
        raise RemoteError("the voucher is for another channel")
    if not verify_voucher(domain, voucher, signature, config.voucher_signer):
        raise RemoteError("the voucher is not signed by the channel's payer")
    digest = claim_batch_digest(domain, [(voucher, voucher.max_claimable_units)])
    if not is_signed_by(config.receiver_authorizer, digest, authorization):
        raise RemoteError("the payee has not authorized it")
    return SignedClaim(config, voucher, signature, authorization)


def write_claim_file(path: Path, lines: Iterable[bytes]) -> None:
    """Replace the file at once, mode 0600. StoreError when the disk will not."""
    try:
        write_private(path, b"".join(lines), replace=True)
    except OSError as error:
        raise StoreError(f"the claim file {path} cannot be written: {error.strerror}") from error


def read_claim_file(path: Path, chain_id: int, settlement: bytes) -> ClaimFile:
    """Every good line of a file, the newest of each channel; bad ones are told of and harm no other.

    StoreError when it cannot be read or holds more than LINES_MAX lines.
    """
    read = ClaimFile()
    try:
        with path.open("rb") as file:
            for number in range(1, LINES_MAX + 2):
                line = file.readline(LINE_BYTES_MAX + 1)
                if not line:
                    return read
                if number > LINES_MAX:
                    break
                if len(line) > LINE_BYTES_MAX:
                    _skip_line(file, line, path)
                    read.faults.append((number, f"it is longer than {LINE_BYTES_MAX} bytes"))
                    continue
                try:
                    read.add(parse_claim_line(line, chain_id, settlement))
                except NearcastError as error:
                    read.faults.append((number, error.message))
    except OSError as error:
        raise StoreError(f"the claim file {path} cannot be read: {error.strerror}") from error
    raise StoreError(f"the claim file {path} has more than {LINES_MAX:,} lines", fix="split it into several")


def _skip_line(file: BinaryIO, line: bytes, path: Path) -> None:
    """Go to the end of a line that is too long, but not to the end of the world."""
    for _ in range(LINE_PIECES_MAX):
        if line.endswith(b"\n") or not line:
            return
        line = file.readline(LINE_BYTES_MAX)
    raise StoreError(f"{path} is no claim file: it has a line of more than {LINE_PIECES_MAX * LINE_BYTES_MAX} bytes")


def _json(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RemoteError("it is not JSON") from error
