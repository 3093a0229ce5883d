"""Nearcast: a peer-to-peer content delivery network."""

__version__ = "0.1.0"
