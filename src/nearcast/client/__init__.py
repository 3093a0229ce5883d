"""Getting content by name: from here if it is here, from whoever is near if not."""

from nearcast.client.access import Client
from nearcast.client.finding import Finder

__all__ = ["Client", "Finder"]
