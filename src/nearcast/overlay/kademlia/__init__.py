"""Who has this content, with no centre: a distributed hash table. `machine.py` is the door; start there."""

from nearcast.overlay.kademlia.events import Found, Joined, ProviderFound, Stored, ValueFound
from nearcast.overlay.kademlia.machine import Kademlia
from nearcast.overlay.kademlia.records import ProviderRecord, ValueRecord
from nearcast.overlay.kademlia.settings import KademliaSettings

__all__ = [
    "Found",
    "Joined",
    "Kademlia",
    "KademliaSettings",
    "ProviderFound",
    "ProviderRecord",
    "Stored",
    "ValueFound",
    "ValueRecord",
]
