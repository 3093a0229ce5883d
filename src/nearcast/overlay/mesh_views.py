"""What a node of the overlay knows, for selection and for people: one contact, the nearest ones, everything."""

import math
from typing import Any

from nearcast.overlay.directory import ContactView, State
from nearcast.overlay.gossip.announcement import Announcement
from nearcast.overlay.parts import Parts

ALIVE_S = 120.0  # who spoke to us so lately is alive, watched or not; guess: twelve ticks
_STATES: dict[str, State] = {"alive": "alive", "suspect": "suspect", "dead": "dead", "left": "dead"}


def contact_view(parts: Parts, endpoint_id: bytes, now_s: float) -> ContactView | None:
    """What is known of a node; None: nothing."""
    return _view(parts, endpoint_id, parts.gossip.announcement(endpoint_id, now_s), now_s)


def nearest_views(parts: Parts, count: int, now_s: float) -> list[ContactView]:
    """The nearest nodes of all that are announced or were heard, those without any estimate last."""
    announcements = {known.contact.endpoint_id: known for known in parts.gossip.announcements(now_s)}
    endpoint_ids = dict.fromkeys(announcements)
    endpoint_ids.update(dict.fromkeys(heard.address.endpoint_id for heard in parts.heard.all()))
    endpoint_ids.pop(parts.own.endpoint_id, None)
    views = [_view(parts, endpoint_id, announcements.get(endpoint_id), now_s) for endpoint_id in endpoint_ids]
    known = [view for view in views if view is not None]
    known.sort(key=lambda view: math.inf if view.rtt_s is None else view.rtt_s)
    return known[:count]


def snapshot(parts: Parts, entered_s: float | None, now_s: float) -> dict[str, Any]:
    """Everything, as JSON."""
    own = parts.locating.coordinates.own
    members = [
        {"endpoint_id": peer.endpoint_id.hex(), "state": parts.detector.state_of(peer.endpoint_id)}
        for peer in parts.detector.members()
    ]
    return {
        "is_member": parts.is_member(),
        "member_for_s": None if entered_s is None else round(now_s - entered_s, 1),
        "is_client": parts.is_client,
        "region": parts.region,
        "dht": parts.kademlia.snapshot(),
        "gossip": parts.gossip.as_json(),
        "detector": parts.detector.snapshot() | {"cell_bits": parts.cell.bits, "states": members},
        "coordinate": {
            "system": parts.settings.coordinates,
            "vector_ms": [round(1000 * number, 3) for number in own.point.vector],
            "height_ms": round(1000 * own.point.height_s, 3),
            "error": round(own.point.error, 4),
            "cluster": None if own.cluster is None else own.cluster.hex(),
            "samples": parts.locating.samples,
        },
        "heard": len(parts.heard),
        "remembered": len(parts.doors.remembered()),
        "lost": parts.doors.lost_count,
        "received": dict(parts.received),
    }


def _view(parts: Parts, endpoint_id: bytes, announcement: Announcement | None, now_s: float) -> ContactView | None:
    heard = parts.heard.get(endpoint_id)
    contact = parts.kademlia.table.get(endpoint_id)
    if announcement is not None:
        address = announcement.contact
    elif contact is not None:
        address = contact.address
    elif heard is not None:
        address = heard.address
    else:
        return None
    facts = announcement.facts if announcement is not None else None
    measured_s = heard.rtt_s if heard is not None else None
    heard_s = [seen.heard_s for seen in (heard, contact) if seen is not None]
    return ContactView(
        address=address,
        state=_state(parts, endpoint_id, max(heard_s, default=None), now_s),
        rtt_s=measured_s if measured_s is not None else parts.locating.estimate_s(facts.coordinate if facts else None),
        is_measured=measured_s is not None,
        price=facts.price_per_gib if facts else None,
        load=facts.load_permille / 1000 if facts else None,
        mbps=facts.mbps if facts else None,
        region=facts.region or None if facts else None,
        heard_s=max(heard_s, default=None),
    )


def _state(parts: Parts, endpoint_id: bytes, heard_s: float | None, now_s: float) -> State:
    watched = _STATES.get(parts.detector.state_of(endpoint_id), "unknown")
    if watched != "unknown":
        return watched
    return "alive" if heard_s is not None and now_s - heard_s <= ALIVE_S else "unknown"
