"""The names of topics: who hears what.

    global         every node
    region/xx      the nodes of one region

A topic is its own overlay: its own neighbours and its own tree. Names come from strangers, so they are short and plain.
"""

import re
from typing import Any

from nearcast.errors import RemoteError

GLOBAL_TOPIC = "global"
REGION_PREFIX = "region/"
REGION_CHARACTERS_MAX = 16  # guess: "eu", "us-west-2", "ap-southeast-1" have at most 14
TOPIC_CHARACTERS_MAX = 64  # guess: room for topics of feeds later
TOPICS_MAX = 16  # that one node takes part in; guess: two now, each costs views and a tree

_TOPIC = re.compile(r"[a-z0-9-]{1,32}(/[a-z0-9-]{1,31})?")
_REGION = re.compile(rf"[a-z0-9-]{{1,{REGION_CHARACTERS_MAX}}}")


def region_topic(region: str) -> str:
    """The topic of a region. Raises RemoteError when that is no region's name."""
    return REGION_PREFIX + parse_region(region)


def parse_topic(value: Any) -> str:
    """Raises RemoteError."""
    if not isinstance(value, str) or len(value) > TOPIC_CHARACTERS_MAX or not _TOPIC.fullmatch(value):
        raise RemoteError("malformed gossip: a topic is a short name in small letters")
    return value


def parse_region(value: Any) -> str:
    """Raises RemoteError."""
    if not isinstance(value, str) or not _REGION.fullmatch(value):
        raise RemoteError("malformed gossip: a region is a short name in small letters")
    return value
