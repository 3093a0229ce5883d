"""A file on its way."""

from typing import Protocol

from nearcast.content.leaves import LeafTable
from nearcast.content.store.bitmap import Bitmap


class PartialFile(Protocol):
    bitmap: Bitmap
    table: LeafTable
