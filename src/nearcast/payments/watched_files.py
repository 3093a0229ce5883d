"""The claim files that a watchtower guards, read again when they change; nothing that was good in them is forgotten."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from nearcast.errors import LimitError, StoreError
from nearcast.payments.claim_files import LINES_MAX, ClaimFile, SignedClaim, read_claim_file

CLAIMS_MAX: Final = LINES_MAX  # of all files together: what a poll can look at in its time
_UNFINISHED: Final = ".new"  # what a file is called while it is being written (chain/durable.py)
_Stamp = tuple[int, int, int]


class WatchedFiles:
    """Files, and folders of files, of one chain's settlement. One thread at a time."""

    def __init__(
        self, places: Sequence[Path], chain_id: int, settlement: bytes, *, tell: Callable[[Path, int, str], None]
    ) -> None:
        """`tell(path, line, why)` hears of everything that is no good; line 0 is the file itself."""
        self._places = places
        self._chain_id = chain_id
        self._settlement = settlement
        self._tell = tell
        self._stamps: dict[Path, _Stamp] = {}
        self._best = ClaimFile()

    def read(self) -> dict[bytes, SignedClaim]:
        """The newest claim of each channel in any file, now or before: a voucher never becomes worth less.

        LimitError for more than CLAIMS_MAX channels. A file that cannot be read is told of and read the next time.
        """
        for path in self._paths():
            try:
                stamp = _stamp(path)
                if self._stamps.get(path) == stamp:
                    continue
                read = read_claim_file(path, self._chain_id, self._settlement)
            except (OSError, StoreError) as error:
                self._say(path, error)
                continue
            self._stamps[path] = stamp
            for line, why in read.faults:
                self._tell(path, line, why)
            for claim in read.claims.values():
                self._best.add(claim)
            if len(self._best.claims) > CLAIMS_MAX:
                raise LimitError(
                    f"the claim files have more than {CLAIMS_MAX:,} channels", fix="run several watchtowers"
                )
        return self._best.claims

    def _paths(self) -> Iterator[Path]:
        for place in self._places:
            try:
                yield from _files_in(place) if place.is_dir() else (place,)
            except OSError as error:
                self._say(place, error)

    def _say(self, path: Path, error: OSError | StoreError) -> None:
        reason = error.message if isinstance(error, StoreError) else f"it cannot be read: {error.strerror}"
        self._tell(path, 0, reason)


def _files_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and path.suffix != _UNFINISHED
    )


def _stamp(path: Path) -> _Stamp:
    """What differs when the file was replaced or written to."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
