"""The blacklist as a node of this data folder left it on disk, for imports while no node follows the chain.

It may be old: what was listed since is found by the next node that follows the list, which then does not serve it. Only
entries for everywhere are heeded here, since without a registration the folder stands in no region. Whoever never ran a
node for pay has no such file, and nothing is refused.
"""

from pathlib import Path

from nearcast.chain.bindings.blacklist import EVERYWHERE, ListedEntry
from nearcast.chain.deployment import deployment
from nearcast.config import Config
from nearcast.content.cid import SHA2_256, Cid
from nearcast.payments.list_file import FILE_NAME, read_list
from nearcast.payments.listing import import_refusal


class ListOnDisk:
    """Read when it is first needed, in whatever thread that is. `blacklist`: the contract's address."""

    def __init__(self, path: Path, blacklist: bytes) -> None:
        self._path = path
        self._blacklist = blacklist
        self._entries: dict[bytes, ListedEntry] | None = None

    def refuse(self, cid: Cid) -> None:
        """For imports. RefusedError for what is listed; StoreError when the file cannot be read."""
        if self._entries is None:
            self._entries = self._read()
        entry = self._entries.get(cid.digest) if cid.hash_code == SHA2_256 else None
        if entry is not None:
            raise import_refusal(cid, entry)

    def _read(self) -> dict[bytes, ListedEntry]:
        known = read_list(self._path, self._blacklist)
        if known is None:
            return {}
        return {
            entry.digest: entry
            for entry in known.entries
            if entry.scope == EVERYWHERE and not 0 < entry.lapses_at <= known.read_at_s
        }


def list_on_disk(config: Config) -> ListOnDisk | None:
    """The list of the configured chain, if there is one in the data folder. UsageError for an unknown chain."""
    settled = deployment(config.chain.network)
    path = config.chain_folder(settled.chain_id) / FILE_NAME
    contract = settled.contracts.get("Blacklist")
    return ListOnDisk(path, contract) if contract is not None and path.exists() else None
