"""The numbers of the hash table, each with its source. What bounds memory or work per peer is here, too."""

from dataclasses import dataclass

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class KademliaSettings:
    """All durations in seconds. The defaults are the product's."""

    # Kademlia (Maymounkov and Mazieres, IPTPS 2002): k = 20, alpha = 3, refresh after an hour.
    bucket_contacts_max: int = 20
    paths: int = 3  # S/Kademlia's disjoint paths, one request each at a time: together Kademlia's alpha
    refresh_s: float = HOUR_S

    # State.
    siblings_max: int = 40  # 2k: whoever stores near us is known to us, with room for liars among them; guess
    contacts_max: int = 300  # 20 per bucket, about log2(n / k) of them, and the siblings: 220 in a network of 10,000
    spares_per_bucket_max: int = 5  # replacement cache; guess: a bucket loses few contacts between two checks
    spares_max: int = 80  # of all buckets: with contacts_max under the 400 that a node may know

    # Ids made close to one key all lie in one part of one bucket. A bucket is cut into 8 parts, of which each may have
    # twice its share, so that such ids are a quarter of it at most. (And lookups gain up to 3 bits per hop.) Guess.
    part_bits: int = 3
    same_part_per_bucket_max: int = 5

    # Who shares an address or a prefix (/24, /48). The measure of eMule's Kad is 2 of a /24 per bucket, 10 per table
    # (Cholez et al. 2010); guesses for one address: several nodes behind one home router are fine.
    same_address_per_bucket_max: int = 2
    same_address_per_table_max: int = 4
    same_prefix_per_bucket_max: int = 2
    same_prefix_per_table_max: int = 10
    unplaced_per_bucket_max: int = 10  # without a public address (behind a relay): half a bucket at most

    # Requests. A dial takes two or three round trips, the slowest round trips on the Internet some 0.4 s.
    patience_s: float = 1.0  # after this a path goes on with somebody else; an answer that comes later still counts
    timeout_s: float = 4.0  # after this the contact has failed
    failures_max: int = 2  # in a row, then it is forgotten; after one if a spare waits for its place
    doubtful_max: int = 32  # failed once, to be asked again at the next check
    deaf_s: float = 180.0  # who hears nothing at all for so long blames its own link, not its contacts; guess

    # Lookups.
    lookups_max: int = 64  # of this node at once; guess
    lookup_s_max: float = 30.0
    requests_per_lookup_max: int = 160  # about 30 are usual; liars that name the dead cost the rest
    region_requests_max: int = 64  # answers awaited from around a crowded key: 20 honest ones among 44 others
    crowd_max: int = 14  # contacts where 5 are expected: P(Poisson(5) > 14) = 0.0002, then the key looks besieged
    clustered_max: int = 3  # of the k closest so few in the nearer half: P(Binomial(19, 1/2) <= 3) = 0.002, a cluster
    outsiders_max: int = 20  # k: as many beyond the cluster are asked whether it is one; guess
    dead_ends_max: int = 3  # contacts of one referrer that fail before anything else it named is left aside

    # Joining.
    seeds_max: int = 32
    rejoin_s: float = 2.0  # after an attempt that found nobody; doubles up to rejoin_s_max; guess
    rejoin_s_max: float = 60.0
    filling_contacts: int = 6  # sought for a bucket; as many find us. With 10, lookups in 1,000 nodes were no better
    filling_checks_max: int = 40  # pings to those who were named for it, under way
    filling_max: int = 3  # neighbours at once that are asked for a bucket; guess

    # Upkeep. A check is a ping to whom we heard from least recently; the pause between two adapts, so that about one in
    # ten finds a dead contact: `check_failed_factor` and `check_passed_factor` balance there (0.5^0.1 * 1.08^0.9 = 1).
    check_s_min: float = 10.0
    check_s_max: float = 60.0
    check_failed_factor: float = 0.5
    check_passed_factor: float = 1.08
    fresh_s: float = 300.0  # heard from within this: not checked
    checks_max: int = 8  # pings under way

    # Records. IPFS: 20 holders, 48 h. Ours are published more often, since half of all nodes may leave within an hour:
    # then all 20 holders are gone after 1, 2, 3 hours with 1e-6, 0.3 %, 7 %.
    record_life_s: float = 24 * HOUR_S
    republish_s: float = HOUR_S
    republish_s_max: float = 10 * HOUR_S  # a provider of very many roots: each is published twice in a record's life
    publish_spacing_s: float = 2.0  # 1,800 roots in an hour; with more the period grows
    cached_s: float = 600.0  # a copy that a lookup left behind; guess
    clock_skew_s: float = 600.0  # how far clocks may be apart; guess
    records_max: int = 20_000  # about 0.6 KB each
    records_per_key_max: int = 64
    records_per_provider_max: int = 5_000
    providers_per_answer_max: int = 16  # guess: an answer with contacts stays under 10 KB
    provided_max: int = 200_000  # keys that this node provides
    publishing_max: int = 8  # publications under way; guess
    copies_per_lookup_max: int = 2  # records that a lookup leaves with each of two that lacked them; guess
    records_per_network_max: int = 5_000  # of a /24, a /48 or no network: no fewer than four of them fill a store
