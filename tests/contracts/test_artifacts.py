"""What Python knows of the contracts is what the sources say: compiled here and now, byte for byte."""

import json
import subprocess
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
ARTIFACTS = HOUSE / "src" / "nearcast" / "chain" / "artifacts"
CODE_SIZE_BYTES_MAX = 24_576  # EIP-170: what a chain accepts


@pytest.fixture(scope="module")
def compiler() -> Path:
    """The build program with its pinned packages beside it."""
    installed = subprocess.run(["bash", "scripts/contracts-tools.sh"], cwd=HOUSE, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    return HOUSE / "contracts" / "build.mjs"


@pytest.mark.slow
@pytest.mark.timeout(600)  # half a minute on two idle cores; a moment when nothing has changed since
@pytest.mark.parametrize("which", [[], ["--hostile"]], ids=["ours", "hostile"])
def test_the_artifacts_are_compiled_from_the_sources(compiler: Path, which: list[str]) -> None:
    checked = subprocess.run(["node", compiler, "--check", *which], capture_output=True, text=True, timeout=580)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_changed_byte_is_found(compiler: Path, tmp_path: Path) -> None:
    name = "ERC3009DepositCollector"
    artifact = json.loads((ARTIFACTS / f"{name}.json").read_text())
    artifact["deployedBytecode"] = artifact["deployedBytecode"][:-2] + "ff"
    (tmp_path / f"{name}.json").write_text(json.dumps(artifact, indent=1) + "\n")
    command = ["node", str(compiler), "--check", "--folder", str(tmp_path), "--only", name]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert checked.returncode == 1
    assert f"{name} (stale)" in checked.stderr


@pytest.mark.parametrize("path", sorted(ARTIFACTS.glob("*.json")), ids=lambda path: path.stem)
def test_an_artifact_can_be_deployed(path: Path) -> None:
    artifact = json.loads(path.read_text())
    assert artifact["contractName"] == path.stem
    assert artifact["compiler"].startswith("0.8.37+")
    assert 0 < len(bytes.fromhex(artifact["deployedBytecode"][2:])) <= CODE_SIZE_BYTES_MAX
    assert "__$" not in artifact["bytecode"], "a library that would have to be linked"
