"""One message of every kind that the overlay knows, for tests of whoever reads them."""

from nearcast.overlay import codec, measuring
from nearcast.overlay.failure import messages as failure
from nearcast.overlay.failure.rumours import Alive, Dead, Left, Suspect
from nearcast.overlay.gossip import messages as gossip
from nearcast.overlay.kademlia import messages as kademlia
from nearcast.overlay.kademlia.records import ProviderRecord, ValueRecord
from nearcast.transport.base import PeerAddress

ID, OTHER = bytes(range(32)), bytes(range(32, 64))
PEER = PeerAddress(ID, ("192.0.2.1:4001", "[2001:db8::1]:4001"), "https://relay.example")
CONTACTS = (PEER, PeerAddress(OTHER))
RUMOURS = (Alive(PEER, 3), Suspect(OTHER, 1, ID), Dead(OTHER, 2, ID), Left(OTHER, 9))
RECORDS = (ProviderRecord(ID, PEER, 1, 2, bytes(64)), ValueRecord(ID, b"name", b"value", 1, 2, bytes(64)))
MESSAGES: list[codec.Message] = [
    kademlia.Ping(1, PEER),
    kademlia.Pong(2),
    kademlia.Find(3, ID, kademlia.PROVIDERS, OTHER, PEER),
    kademlia.Nodes(4, CONTACTS, RECORDS),
    kademlia.Store(5, RECORDS[0], False, PEER),
    kademlia.Kept(6, True),
    gossip.Join("global", PEER),
    gossip.Walk("global", PEER, 6),
    gossip.Ask("region/eu", PEER, True),
    gossip.Answer("global", False, CONTACTS),
    gossip.Part("global", CONTACTS),
    gossip.Shuffle("global", PEER, CONTACTS, 3, bytes(8)),
    gossip.Shuffled("global", CONTACTS, bytes(8)),
    gossip.Listen("global"),
    gossip.Push("global", 4, b"payload"),
    gossip.Have("global", (bytes(16),), (4,)),
    gossip.Graft("global", (bytes(16),)),
    gossip.Prune("global"),
    gossip.Snapshot("global", (b"one", b"two"), 60.0, True),
    failure.Ping(1, 2, RUMOURS, b"there", True),
    failure.Ack(1, 2, RUMOURS, b"there"),
    failure.PingRequest(1, 2, OTHER, RUMOURS),
    failure.IndirectAck(1),
    failure.Nack(1),
    failure.Gossip(2, RUMOURS),
    failure.SyncRequest(Alive(PEER, 3), bytes(512)),
    failure.SyncAnswer(2, b"\x01\x02", RUMOURS, False),
    failure.Heartbeats(((PEER, 7), (PeerAddress(OTHER), 8))),
    measuring.Probe(1),
    measuring.Echo(1, b"there"),
]
