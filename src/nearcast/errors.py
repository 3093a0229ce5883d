"""Everything that can fail, by whose fault it is and whether trying again helps.

The first paragraph of a class's docstring says when it is raised. A message is one line: what happened and why.
`fix` is the command or act that mends it, or None. `exit_code` is what the command line ends with
(docs/exit-codes.md lists them).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class NearcastError(Exception):
    """Base of every error that Nearcast raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class UsageError(NearcastError):
    """What we were asked for makes no sense: a mistyped CID, a bad flag, a bad config value. Our caller's fault."""

    exit_code = 2


class NotFoundError(NearcastError):
    """The thing does not exist: no such path in the content, no such object here, nobody has it."""

    exit_code = 3


class UnavailableError(NearcastError):
    """It may exist, but nobody answered in time or the connection broke. Trying again may help."""

    exit_code = 4


class RemoteError(NearcastError):
    """A peer broke the protocol. Its fault; it is not asked again."""

    exit_code = 5


class IntegrityError(RemoteError):
    """Bytes do not hash to their name, or a block contradicts its own DAG."""

    exit_code = 5


class LimitError(RemoteError):
    """A named bound was exceeded by data from outside: too deep, too wide, too large."""

    exit_code = 5


class RefusedError(RemoteError):
    """The peer (or this node) will not serve this by its policy."""

    exit_code = 5


class StoreError(NearcastError):
    """The local store cannot do it: damaged, unreadable, or an unreadable file of the user's."""

    exit_code = 6


class StoreLockedError(StoreError):
    """Another process has the store open."""

    exit_code = 7


class DiskFullError(StoreError):
    """No space (or no quota) left for the bytes. Nothing that was stored before is lost."""

    exit_code = 8


class ChangedError(StoreError):
    """A file that was shared in place is no longer the file that was imported."""

    exit_code = 9


class AddressInUseError(NearcastError):
    """The port is taken by another program."""

    exit_code = 10


class ChainError(NearcastError):
    """The chain cannot be relied upon: another one than the configured, or an endpoint that contradicts itself."""

    exit_code = 11


class RevertedError(ChainError):
    """A contract refuses what was asked of it. Nothing was changed; what it cost is the fee."""

    exit_code = 12


class FundsError(ChainError):
    """The wallet holds too little of the token, or too little to pay the fee."""

    exit_code = 13


class WalletError(NearcastError):
    """The wallet's keystore cannot be used: none there, damaged, or another password."""

    exit_code = 14


@contextmanager
def one_error() -> Iterator[None]:
    """Put it around an asyncio.TaskGroup: where the group would raise a group of one error, that error is raised.

    A TaskGroup wraps even what its own body raises, and callers of ours catch NearcastError, not groups.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None
