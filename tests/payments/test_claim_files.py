"""Claim files: what one writes another reads, and nothing that could not be claimed gets through."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.payments.claim_stage import DOMAIN, HOT, PAYER_HOT, RECEIVER, TERMS, WATCHER, config_of, held, id_of

from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher, sign_voucher
from nearcast.errors import RefusedError, RemoteError, StoreError
from nearcast.payments.claim_export import ClaimExport
from nearcast.payments.claim_files import (
    LINE_BYTES_MAX,
    SignedClaim,
    authorize,
    claim_line,
    parse_claim_line,
    read_claim_file,
    write_claim_file,
)
from nearcast.payments.watched_files import WatchedFiles

HOT_KEY, STRANGER = Signer(HOT.secret), Signer(WATCHER.secret)


def signed(number: int = 1, units: int = 5) -> SignedClaim:
    config = config_of(number)
    voucher = Voucher(id_of(config), units)
    return authorize(DOMAIN, config, voucher, sign_voucher(DOMAIN, voucher, PAYER_HOT), HOT_KEY)


def line_of(claim: SignedClaim) -> bytes:
    return claim_line(TERMS.chain_id, TERMS.settlement, claim)


def parse(line: bytes) -> SignedClaim:
    return parse_claim_line(line, TERMS.chain_id, TERMS.settlement)


def read(path: Path) -> dict[bytes, int]:
    found = read_claim_file(path, TERMS.chain_id, TERMS.settlement)
    return {channel: claim.units for channel, claim in found.claims.items()}


def test_a_line_is_read_as_it_was_written() -> None:
    line = line_of(signed())
    assert parse(line) == signed()
    assert len(line) < LINE_BYTES_MAX // 3


def test_only_the_key_that_the_channel_names_can_authorize() -> None:
    claim = signed()
    with pytest.raises(RefusedError, match="signed by another key"):
        authorize(DOMAIN, claim.config, claim.voucher, claim.signature, STRANGER)


def _changed(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda value: value.update(changes)


def _in(part: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda value: value[part].update(changes)


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "another chain": (_changed(chain=1), "another contract, on chain 1"),
    "another contract": (_changed(settlement="0x" + "11" * 20), "another contract"),
    "another kind": (_changed(nearcast="wish"), "not a claim"),
    "a later version": (_changed(v=2), "not a claim of version 1"),
    "a version that is true": (_changed(v=True), "v is not a number"),
    "no authorization": (lambda value: value.pop("authorization"), "authorization is missing"),
    "a short authorization": (_changed(authorization="0x00"), "authorization is not 65 bytes"),
    "somebody else's authorization": (_changed(authorization="0x" + "11" * 64 + "1b"), "has not authorized"),
    "more than signed": (_in("voucher", maxClaimableAmount="6"), "not signed by the channel's payer"),
    "an amount of 300 bits": (_in("voucher", maxClaimableAmount=str(1 << 300)), "not a number of 128 bits"),
    "another channel's voucher": (_in("voucher", channelId="0x" + "22" * 32), "for another channel"),
    "another receiver": (_in("config", receiver="0x" + WATCHER.address.hex()), "for another channel"),
    "a delay that the contract refuses": (_in("config", withdrawDelay=1), "withdraw delay"),
    "a config that is a list": (_changed(config=[]), "an object was expected"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_could_not_be_claimed_is_refused(kind: str) -> None:
    change, said = HOSTILE[kind]
    value = json.loads(line_of(signed()))
    change(value)
    with pytest.raises(RemoteError, match=said):
        parse(json.dumps(value).encode())


@given(some.binary(max_size=200) | some.text(max_size=200).map(str.encode))
def test_garbage_is_an_error_of_ours(line: bytes) -> None:
    with pytest.raises(RemoteError):
        parse(line)


@given(some.integers(0, 1_100), some.integers(0, 255))
def test_a_changed_byte_changes_nothing_or_is_found(place: int, byte: int) -> None:
    line = bytearray(line_of(signed()))
    line[place % len(line)] = byte
    try:
        read_back = parse(bytes(line))
    except RemoteError:
        return
    assert read_back == signed()


def test_deep_json_is_refused() -> None:
    with pytest.raises(RemoteError):
        parse(b"[" * LINE_BYTES_MAX)


def test_bad_lines_harm_no_good_ones_and_the_newest_wins(tmp_path: Path) -> None:
    path = tmp_path / "claims.jsonl"
    lines = [line_of(signed(1, 5)), b"nonsense\n", b"x" * (LINE_BYTES_MAX + 9) + b"\n", line_of(signed(2, 7))]
    path.write_bytes(b"".join([*lines, line_of(signed(1, 9)), line_of(signed(1, 6))]))
    found = read_claim_file(path, TERMS.chain_id, TERMS.settlement)
    assert {channel: claim.units for channel, claim in found.claims.items()} == {
        signed(1).channel_id: 9,
        signed(2).channel_id: 7,
    }
    assert [number for number, _ in found.faults] == [2, 3]


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        read(tmp_path / "nothing")
    (tmp_path / "zeros").write_bytes(bytes(2 << 20))
    with pytest.raises(StoreError, match="is no claim file"):
        read(tmp_path / "zeros")


def test_a_file_is_replaced_whole_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "out" / "claims.jsonl"
    write_claim_file(path, [line_of(signed(1, 5))])
    path.chmod(0o644)
    write_claim_file(path, [line_of(signed(1, 6))])
    assert path.stat().st_mode & 0o777 == 0o600
    assert read(path) == {signed().channel_id: 6}
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        write_claim_file(tmp_path / "file" / "claims", [])


def test_an_export_holds_what_others_can_claim(tmp_path: Path) -> None:
    export = ClaimExport(tmp_path / "claims", TERMS, HOT_KEY)
    by_wallet = config_of(3, receiver_authorizer=RECEIVER.address)
    assert export.update([held(config_of(1), 5), held(config_of(2), 0), held(by_wallet, 9)]) == 1
    assert read(tmp_path / "claims") == {id_of(config_of(1)): 5}
    assert export.update([]) == 0
    assert read(tmp_path / "claims") == {}


def test_files_are_read_again_when_they_change_and_forgotten_never(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    folder, single = tmp_path / "payees", tmp_path / "claims"
    folder.mkdir()
    files = WatchedFiles(
        [folder, single],
        TERMS.chain_id,
        TERMS.settlement,
        tell=lambda path, line, why: told.append((path.name, line)),
    )
    assert files.read() == {}
    assert told == [("claims", 0)]
    write_claim_file(single, [line_of(signed(1, 5))])
    write_claim_file(folder / "one", [line_of(signed(2, 7)), b"?\n"])
    (folder / "two.123.new").write_bytes(b"half a li")
    (folder / ".hidden").write_bytes(b"?")
    assert {claim.units for claim in files.read().values()} == {5, 7}
    assert told[1:] == [("one", 2)]
    files.read()
    assert len(told) == 2  # what has not changed is not read again
    write_claim_file(single, [line_of(signed(1, 4))])
    (folder / "one").unlink()
    assert {claim.units for claim in files.read().values()} == {5, 7}
    write_claim_file(single, [line_of(signed(1, 8))])
    assert {claim.units for claim in files.read().values()} == {8, 7}


def test_a_voucher_over_another_amount_than_the_authorization_is_not_mixed_up() -> None:
    small, large = signed(1, 5), signed(1, 6)
    mixed = replace(large, authorization=small.authorization)
    with pytest.raises(RemoteError, match="has not authorized"):
        parse(line_of(mixed))
