"""Contacts over a restart."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nearcast.overlay.remembered import CONTACTS_MAX, read_contacts, write_contacts
from nearcast.transport.base import PeerAddress


def contact(number: int, *addresses: str, relay_url: str | None = None) -> PeerAddress:
    return PeerAddress(number.to_bytes(32), addresses or ("192.0.2.1:4",), relay_url)


def test_what_was_kept_is_there_again_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "contacts"
    kept = [contact(1, "192.0.2.1:4", "[2001:db8::1]:5"), contact(2, relay_url="https://relay.example")]
    write_contacts(path, [*kept, PeerAddress(bytes(32))])
    assert read_contacts(path) == kept
    assert path.stat().st_mode & 0o777 == 0o600
    write_contacts(path, kept[1:])
    assert read_contacts(path) == kept[1:]
    assert [each.name for each in tmp_path.iterdir()] == ["contacts"]


def test_it_is_bounded_and_a_missing_file_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "contacts"
    assert read_contacts(path) == []
    write_contacts(path, [contact(number) for number in range(1, 3 * CONTACTS_MAX)])
    assert read_contacts(path) == [contact(number) for number in range(1, CONTACTS_MAX + 1)]


@given(st.binary(max_size=300))
def test_damage_costs_lines_and_nothing_else(tmp_path_factory: object, noise: bytes) -> None:
    path = tmp_path_factory.mktemp("remembered") / "contacts"  # type: ignore[attr-defined]
    write_contacts(path, [contact(1)])
    path.write_bytes(path.read_bytes() + noise)
    assert read_contacts(path)[:1] == [contact(1)]
