"""The numbers of gossip, each with its source."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MembershipSettings:
    """HyParView's. "Paper": Leitão, Pereira, Rodrigues, HyParView, DSN 2007, section 5.1."""

    active_max: int = 5  # paper: log10(10,000) + 1
    passive_max: int = 30  # paper: six times the active view
    walk_hops: int = 6  # paper: ARWL
    walk_passive_hops: int = 3  # paper: PRWL
    shuffle_active: int = 3  # paper: ka
    shuffle_passive: int = 4  # paper: kp
    shuffle_period_s: float = 60.0  # the paper's cycle has no length; iroh-gossip: 60 s
    shuffle_first_s: float = 10.0  # while the passive view is less than half full; guess: full within a minute
    # Shuffles of strangers answered: each is a dial to wherever their bearer says. Of honest ones as many end at a node
    # as a node sends, one per `shuffle_period_s`, six times that while views fill. Guess: five times the latter.
    strangers_answered_per_s: float = 0.5
    strangers_answered_burst: float = 10.0  # guess: what may come together after a pause of ours
    stranger_addresses_max: int = 4  # that such a dial tries; guess: most nodes have no more, and one answer is no loss
    answer_timeout_s: float = 10.0  # guess: a dial of 5 s and a slow round trip
    settle_s: float = 2.0  # after a join; guess: six hops of walk at 100 ms, and back, twice
    repair_s: float = 0.5  # pause after the first refusal; doubles; guess
    repair_s_max: float = 120.0  # guess: nodes with a place to spare find each other within minutes
    lonely_repair_s_max: float = 15.0  # the same without any neighbour; guess: what a person waits
    refused_s: float = 60.0  # who refused is not asked again for so long; guess: a shuffle's period
    welcomes_per_s: float = 1.0  # neighbours replaced by newcomers; guess: links last, whoever knocks
    welcomes_burst: float = 5.0  # a whole view
    protected: int = 2  # oldest neighbours that no newcomer replaces; guess: an eclipse needs them to fail
    passive_per_source_max: int = 10  # a third of the view
    seeds_max: int = 16  # kept for when all else is lost; guess
    listeners_max: int = 64  # clients pushed to; guess: at 1 KB/s together less than one download
    listener_links: int = 2  # nodes that a client listens to: one may fail


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """Plumtree's. "Paper": Leitão, Pereira, Rodrigues, Epidemic Broadcast Trees, SRDS 2007."""

    have_batch_s: float = 4.0  # announcements gather so long; measured, see bench/README.md
    have_hurry_s: float = 0.25  # the same for `hurry_s` after a neighbour in the tree failed; guess: two round trips
    hurry_s: float = 30.0  # guess: detection and repair are over by then
    missing_s: float = 1.0  # from the first announcement to the graft: what is on its way may arrive; measured
    missing_hurry_s: float = 0.25  # the same after a loss
    missing_next_s: float = 1.0  # to the graft towards the next announcer; guess: a slow round trip
    optimise_hops: int = 7  # paper's threshold, the value of iroh-gossip: swap for a path so much shorter
    optimise_pause_s: float = 60.0  # between two swaps of one node; guess: what the last did is seen first
    recent_s: float = 90.0  # how long a payload is kept for grafts; guess: all repair is over
    recent_max: int = 128  # payloads; 64 KiB of announcements
    told_again_s: float = 60.0  # a new neighbour hears what is younger; guess: a failure's detection and repair
    missing_max: int = 256  # ids announced and not come; per link a quarter; guess
    broken_promises_max: int = 10  # in a row, then the announcer is shunned; guess: an honest one keeps most


@dataclass(frozen=True, slots=True)
class AnnouncingSettings:
    """How often a node announces itself. The load per node stays the same however many nodes there are."""

    per_s_max: float = 0.25  # announcements of all nodes of a topic; two topics: 0.4 KB/s, measured
    period_s_min: float = 60.0  # of one node in a small topic; guess: price and load are stale after that
    memory_s: float = 300.0  # over which nodes are counted; 75 announcements at the limit, so within 12 %
    tick_s: float = 30.0  # how often the rate is looked at
    lifetimes: float = 3.0  # periods until an announcement expires: two may be lost
    lifetime_s_min: float = 180.0  # three periods of a small topic
    burst_s: float = 30.0  # over which a crowd of newcomers is noticed; guess
    burst_per_s: float = 0.5  # with more than these a newcomer waits for its turn like anybody: twice `per_s_max`


@dataclass(frozen=True, slots=True)
class GossipSettings:
    """All of them, and the bounds of one peer."""

    membership: MembershipSettings = field(default_factory=MembershipSettings)
    tree: TreeSettings = field(default_factory=TreeSettings)
    announcing: AnnouncingSettings = field(default_factory=AnnouncingSettings)
    sender_per_s: float = 20.0  # cost units of messages from one peer; a payload costs one; guess: 20 × the usual
    sender_burst: float = 200.0
    senders_max: int = 64  # peers whose allowance is remembered; guess: neighbours, listeners, passers-by
    origin_per_minute: int = 12  # broadcasts of one origin that are handed on; guess: five seconds apart
    origins_max: int = 2048  # counted in one minute
    fresh_s: float = 180.0  # a broadcast older than this is not handed on; guess: 99.9 % arrive in 30 s
    skew_s: float = 120.0  # a clock may be so far ahead; guess: machines without NTP drift seconds per day
    seen_max: int = 4096  # ids remembered per generation; twice the fresh ones at ten times the usual rate
    directory_max: int = 1024  # nodes whose newest announcement is kept; about 1 KB each
    bans_max: int = 256
    ban_s: float = 600.0  # guess: long enough to be pointless, short enough for a node that was repaired
