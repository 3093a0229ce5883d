"""Where the words of a command go.

    people   stdout: the result, in words.         stderr: progress and warnings
    --quiet  stdout: the one essential line.       stderr: errors only
    --json   stdout: one JSON object per result.   stderr: nothing but bars

A command says the same thing in all three ways with one call, `result`. Bars appear only when stderr is a terminal.
Text that came from strangers (names of files, of peers, messages) passes `printable`, so it cannot steer a terminal.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

CONSOLE_COLUMNS_WITHOUT_TERMINAL = 100


class Mode(Enum):
    PEOPLE = "people"
    QUIET = "quiet"
    JSON = "json"


def printable(text: str) -> str:
    """The text with control characters (and lone surrogates of undecodable file names) shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


@dataclass
class Output:
    """What a command prints with."""

    mode: Mode = Mode.PEOPLE
    stdout: IO[str] = field(default_factory=lambda: sys.stdout)
    stderr: IO[str] = field(default_factory=lambda: sys.stderr)

    @property
    def shows_bars(self) -> bool:
        return self.mode is not Mode.QUIET and self.stderr.isatty()

    def result(self, value: Mapping[str, Any], *, lines: Iterable[str], essential: Iterable[str]) -> None:
        """One result: as JSON, as words for people, or as its essential lines."""
        if self.mode is Mode.JSON:
            self._print(json.dumps(value, ensure_ascii=False))
            return
        for line in essential if self.mode is Mode.QUIET else lines:
            self._print(line)

    def live(self, value: Mapping[str, Any], *, line: str) -> None:
        """Something that happened while serving: a line for people, a JSON line for programs."""
        if self.mode is Mode.JSON:
            self._print(json.dumps(value, ensure_ascii=False))
        elif self.mode is Mode.PEOPLE:
            self._print(line)

    def note(self, line: str) -> None:
        """Something worth knowing on the way; for people only."""
        if self.mode is Mode.PEOPLE:
            print(line, file=self.stderr, flush=True)

    def bytes(self, data: bytes) -> None:
        """Content on stdout, as it is."""
        self.stdout.flush()
        self.stdout.buffer.write(data)  # type: ignore[attr-defined]  # IO[str] of a real process is a TextIOWrapper

    def console(self) -> "Console":
        """rich, on stderr: it costs 0.1 s to import, so only who draws bars or tables asks for it."""
        from rich.console import Console

        width = None if self.stderr.isatty() else CONSOLE_COLUMNS_WITHOUT_TERMINAL
        return Console(file=self.stderr, width=width, highlight=False)

    def _print(self, line: str) -> None:
        print(line, file=self.stdout, flush=True)
