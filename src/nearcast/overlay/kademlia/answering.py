"""What a node answers to requests of the hash table. Cheap checks come before the signature, which costs 0.1 ms."""

from nearcast.overlay.kademlia.keys import key_number
from nearcast.overlay.kademlia.messages import PROVIDERS, VALUE, Find, Kept, Nodes, Store
from nearcast.overlay.kademlia.records import ProviderRecord, Record, Verify, is_genuine
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.store import RecordStore
from nearcast.overlay.kademlia.table import Table


def answer_find(
    message: Find,
    asker: bytes,
    table: Table,
    store: RecordStore,
    settings: KademliaSettings,
    unix_s: float,
    back: int | None = None,
) -> Nodes:
    """The closest contacts that did not fail lately, the asker left out, and the records that it wants."""
    count = settings.bucket_contacts_max
    near = key_number(message.key if message.near is None else message.near)
    own = table.get(asker)
    contacts = [
        contact.address
        for contact in table.closest(near, count + 2)  # the asker and a failed one may be among them
        if contact.failures == 0 and contact is not own
    ]
    records: tuple[Record, ...] = ()
    if message.what == PROVIDERS:
        records = store.providers(message.key, settings.providers_per_answer_max, unix_s)
    elif message.what == VALUE:
        value = store.value(message.key, unix_s)
        records = () if value is None else (value,)
    return Nodes(message.request_id, tuple(contacts[:count]), records, back)


def answer_store(
    message: Store, sender: bytes, store: RecordStore, verify: Verify, unix_s: float, back: int | None = None
) -> Kept:
    """Keep a record: for long only if its provider sent it itself."""
    record = message.record
    is_copy = message.is_copy or (isinstance(record, ProviderRecord) and sender != record.owner)
    if store.has(record) and not store.has_room(record, is_copy=is_copy, unix_s=unix_s):
        return Kept(message.request_id, True, back)
    is_kept = (
        store.has_room(record, is_copy=is_copy, unix_s=unix_s)
        and (store.has(record) or is_genuine(record, verify))
        and store.add(record, is_copy=is_copy, unix_s=unix_s)
    )
    return Kept(message.request_id, is_kept, back)
