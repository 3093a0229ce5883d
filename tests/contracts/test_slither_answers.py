"""`make slither` passes only when every finding has an answer and every answer a finding."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).parents[2]
README = """
## What slither says, and our answers

| detector | where | answer |
|---|---|---|
| timestamp | * | windows are long |
| unused-return | Court._convict | it is known |

## Something else

| assembly | Court._convict | in another table |
"""


def finding(detector: str, contract: str, function: str) -> dict[str, Any]:
    """In slither's form: the element, and what it is inside of."""
    parent = {"type": "contract", "name": contract, "type_specific_fields": {}}
    element = {"type": "function", "name": function, "type_specific_fields": {"parent": parent}}
    return {"check": detector, "elements": [element], "description": f"{contract}.{function} is odd"}


ANSWERED = [finding("timestamp", "Blacklist", "add"), finding("unused-return", "Court", "_convict")]


@pytest.mark.parametrize(
    ("findings", "code", "words"),
    [
        (ANSWERED, 0, "2 findings, 2 answered"),
        ([*ANSWERED, finding("assembly", "Court", "_convict")], 1, "not answered: assembly | Court._convict"),
        ([*ANSWERED, finding("unused-return", "Court", "commit")], 1, "not answered: unused-return | Court.commit"),
        (ANSWERED[:1], 1, "an answer to nothing: unused-return | Court._convict"),
        (ANSWERED[1:], 1, "an answer to nothing: timestamp | *"),
    ],
)
def test_findings_and_answers_belong_together(
    tmp_path: Path, findings: list[dict[str, Any]], code: int, words: str
) -> None:
    said, readme = tmp_path / "findings.json", tmp_path / "README.md"
    said.write_text(json.dumps({"success": True, "results": {"detectors": findings}}))
    readme.write_text(README)
    command = [sys.executable, str(HOUSE / "scripts" / "slither_answers.py"), str(said), str(readme)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert words in done.stdout + done.stderr


def test_a_failed_analysis_is_no_clean_one(tmp_path: Path) -> None:
    said = tmp_path / "findings.json"
    said.write_text(json.dumps({"success": False, "error": "it fell over", "results": {}}))
    script, readme = HOUSE / "scripts" / "slither_answers.py", HOUSE / "contracts" / "README.md"
    command = [sys.executable, str(script), str(said), str(readme)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "it fell over" in done.stderr) == (2, True)
