"""Telling a running node what to do, from the same machine."""
