"""How a command ends when it cannot do what it was asked: one clear line, one fix if there is one, one exit code.

docs/exit-codes.md lists the codes; errors.py gives each class of error its own.
"""

import errno
import json
import os
import sys
import traceback
from collections.abc import Iterator
from typing import IO

from nearcast.cli.output import printable
from nearcast.errors import DiskFullError, NearcastError, StoreError

EXIT_USAGE = 2  # what shells and option parsers use
EXIT_INTERRUPTED = 130  # 128 + SIGINT, what shells report
EXIT_UNEXPECTED = 1
TRACEBACK_VARIABLE = "NEARCAST_TRACEBACK"


class InterruptedByUserError(NearcastError):
    """Ctrl-C, before the command was done."""

    exit_code = EXIT_INTERRUPTED


_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def explained(error: BaseException) -> NearcastError:
    """The error in our own terms: the first cause of a group, a translated OSError, or a bug with a hint."""
    error = _first_of_group(error)
    if isinstance(error, KeyboardInterrupt):
        return InterruptedByUserError("interrupted", fix="run it again: what was done so far is kept")
    if isinstance(error, NearcastError):
        return error
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return DiskFullError(f"the disk is full: {_os_text(error)}", fix="free some space and run the command again")
    if isinstance(error, OSError) and error.errno is not None:
        return StoreError(_os_text(error))
    return NearcastError(
        f"unexpected {type(error).__name__}: {_one_line(str(error))}",
        fix=f"this is a bug in nearcast; run it again with {TRACEBACK_VARIABLE}=1 and report what it prints",
    )


def report(error: NearcastError, *, as_json: bool, stdout: IO[str], stderr: IO[str]) -> None:
    """Say it: an object on stdout for programs, else a line on stderr with its fix below."""
    if as_json:
        text = {"type": type(error).__name__, "message": error.message, "fix": error.fix, "exit_code": error.exit_code}
        print(json.dumps({"error": text}, ensure_ascii=False), file=stdout, flush=True)
        return
    print(f"nearcast: {_one_line(error.message)}", file=stderr)
    if error.fix:
        print(f"  fix: {_one_line(error.fix)}", file=stderr)
    stderr.flush()


def show_traceback(error: BaseException) -> bool:
    """Print where it happened, if the environment asks for it."""
    if not os.environ.get(TRACEBACK_VARIABLE):
        return False
    traceback.print_exception(error, file=sys.stderr)
    return True


def is_closed_pipe(error: BaseException) -> bool:
    """The reader of our output has gone (`| head`): nothing is wrong. typer makes an exit with code 1 of it."""
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return cause is not None and isinstance(_first_of_group(cause), BrokenPipeError)


def _first_of_group(error: BaseException) -> BaseException:
    """A group of a TaskGroup's errors has one that people want to hear: one of ours, if any is."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = list(_leaves(error))
    return next((leaf for leaf in leaves if isinstance(leaf, NearcastError)), leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _os_text(error: OSError) -> str:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return f"{error.filename}: {reason}" if error.filename is not None else reason


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
