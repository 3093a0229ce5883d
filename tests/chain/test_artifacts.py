"""Packaged contracts are found, complete and refused when they are something else."""

import json
from pathlib import Path

import pytest

from nearcast.chain.artifacts import artifact, artifact_names, read_artifact
from nearcast.errors import UsageError

FOLDER = Path(__file__).parents[2] / "src" / "nearcast" / "chain" / "artifacts"


def test_every_packaged_file_is_a_whole_artifact() -> None:
    assert set(artifact_names()) == {path.stem for path in FOLDER.glob("*.json")}
    for name in artifact_names():
        compiled = artifact(name)
        assert compiled.name == name
        assert compiled.abi
        assert len(compiled.deployed_bytecode) > 100
        assert len(compiled.bytecode) > len(compiled.deployed_bytecode)
        assert "storage" in compiled.storage_layout


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError, match="Nothing") as caught:
        artifact("Nothing")
    assert "Registry" in str(caught.value.fix)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        json.dumps({"contractName": "A", "abi": [], "bytecode": "0x__$lib$__", "deployedBytecode": "0x"}).encode(),
        json.dumps({"contractName": "A", "abi": 1, "bytecode": "0x", "deployedBytecode": "0x"}).encode(),
    ],
)
def test_what_is_no_artifact_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError):
        read_artifact(text)
