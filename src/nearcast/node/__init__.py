"""A running node: the one place that wires everything together."""

from nearcast.node.assembly import run_node
from nearcast.node.running import Node

__all__ = ["Node", "run_node"]
