"""Where things lie in the data folder, and which format they have.

format                   "nearcast-store 1"
lock                     flock, holds the pid
index.sqlite             rows; can be rebuilt from everything below
objects/ab/<root>.data   a file, contiguous, immutable        (ab: the first byte of the digest in hex)
objects/ab/<root>.dag    its leaf digests and inner nodes (outboard.py); not needed where the root is a raw leaf
objects/ab/<root>.part   a file on its way, sparse, and .bits: which leaves have arrived
packs/00000001.car       small blocks, append only (pack.py); .dead: which of them were removed;
                             .retired: all of it was copied to other packs
pins.log                 every pin and unpin, append only (pinlog.py)
temporary/               files that are being written, and intents (commit.py); emptied when the store opens
"""

from pathlib import Path

from nearcast.content.cid import decode_cid, parse_cid
from nearcast.content.store.disk import sync_folder, write_synced
from nearcast.errors import StoreError, UsageError

FORMAT = "nearcast-store 1"


class Layout:
    """The paths of one store."""

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir
        self.format = data_dir / "format"
        self.lock = data_dir / "lock"
        self.index = data_dir / "index.sqlite"
        self.suspect = data_dir / "index.suspect"  # its presence asks the next opening for a rebuild
        self.objects = data_dir / "objects"
        self.packs = data_dir / "packs"
        self.pin_log = data_dir / "pins.log"
        self.temporary = data_dir / "temporary"

    def create(self) -> None:
        """Makes the folders; for whoever has the lock. Raises StoreError when what is there has another format."""
        for folder in (self.root, self.objects, self.packs, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        if not self.format.exists():
            fresh = self.temporary / "format"
            write_synced(fresh, f"{FORMAT}\n".encode())
            fresh.replace(self.format)
            sync_folder(self.root)
        elif (found := self.format.read_text(errors="replace").strip()) != FORMAT:
            raise StoreError(
                f"the store in {self.root} has the format {found[:40]!r}, this program reads {FORMAT!r}",
                fix="use a newer nearcast, or another --data-dir",
            )

    def object(self, key: bytes, suffix: str) -> Path:
        """The path of an object's file; `key` is its CIDv1 in binary."""
        cid = decode_cid(key)
        return self.objects / cid.digest[:1].hex() / f"{cid}{suffix}"

    def pack(self, number: int) -> Path:
        return self.packs / f"{number:08d}.car"

    def dead(self, number: int) -> Path:
        return self.packs / f"{number:08d}.dead"

    def retired(self, number: int) -> Path:
        return self.packs / f"{number:08d}.retired"

    def pack_numbers(self) -> list[int]:
        names = (path.stem for path in self.packs.glob("*.car"))
        return sorted(int(name) for name in names if name.isdigit())


def key_of_name(name: str) -> bytes | None:
    """The key of an object's file name; None when it is not one of ours."""
    try:
        return parse_cid(name).v1.to_bytes()
    except UsageError:
        return None
