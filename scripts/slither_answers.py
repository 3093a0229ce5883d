"""Holds slither's findings against the answers in contracts/README.md: `slither_answers.py findings.json README.md`.

Ends with 1 when a finding has no answer or an answer no finding. A row's second cell names the contract and
function, or `*` for all of the detector's findings.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HEADING = "## What slither says, and our answers"
EVERYWHERE = "*"

Key = tuple[str, str]  # the detector, and where


def main() -> int:
    findings = json.loads(Path(sys.argv[1]).read_text())
    if not findings["success"]:
        print(f"slither failed: {findings['error']}", file=sys.stderr)
        return 2
    answers = set(read_answers(Path(sys.argv[2]).read_text()))
    found = {key_of(finding): finding["description"] for finding in findings["results"].get("detectors", [])}
    open_ones = [key for key in found if not answers & {key, (key[0], EVERYWHERE)}]
    for detector, where in open_ones:
        print(f"not answered: {detector} | {where}\n{found[detector, where]}", file=sys.stderr)
    idle = [(d, where) for d, where in answers if not any(d == k[0] and where in (k[1], EVERYWHERE) for k in found)]
    for detector, where in idle:
        print(f"an answer to nothing: {detector} | {where}", file=sys.stderr)
    print(f"slither: {len(found)} findings, {len(found) - len(open_ones)} answered")
    return 1 if open_ones or idle else 0


def read_answers(text: str) -> Iterator[Key]:
    """The rows of the table under the heading, without its head."""
    section = text.split(HEADING, 1)[1].split("\n## ", 1)[0]
    for row in re.findall(r"^\| *([\w-]+) *\| *([^|]+?) *\|[^|]+\|$", section, re.MULTILINE):
        if row[0] not in ("detector", "---"):
            yield row


def key_of(finding: Mapping[str, Any]) -> Key:
    """The detector and the function, variable or event that the finding is about first."""
    first = finding["elements"][0]
    names = [first["name"]]
    while (first := first.get("type_specific_fields", {}).get("parent", {})) and first["type"] != "file":
        names.insert(0, first["name"])
    return finding["check"], ".".join(names)


if __name__ == "__main__":
    sys.exit(main())
