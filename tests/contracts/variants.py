"""Contracts broken on purpose, one fault each, for the machines to find: a machine that finds none proves nothing."""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nearcast.chain.artifacts import Artifact, read_artifact

HERE: Final = Path(__file__).parent
CONTRACTS: Final = HERE.parents[1] / "contracts"
CACHE: Final = Path(tempfile.gettempdir()) / "nearcast-variants"


@dataclass(frozen=True)
class Variant:
    """One fault: in `file` the text `old`, found once, becomes `new`. `unit` is the contract that is compiled."""

    name: str
    unit: str
    old: str
    new: str
    file: str = ""
    needs_ir: bool = False  # the compiler's slow way, where the stack is too deep for the quick one

    def order(self) -> dict[str, object]:
        """For compile_variants.mjs."""
        patch = {"file": self.file or self.unit, "old": self.old, "new": self.new}
        return {"name": self.name, "unit": self.unit, "patches": [patch], "needsIr": self.needs_ir}


def compile_variants(variants: Sequence[Variant]) -> dict[str, Artifact]:
    """By name. Compiled once for each state of the sources, which takes seconds each."""
    files = [path for path in sorted(CONTRACTS.rglob("*.sol")) if "node_modules" not in path.parts]
    sources = b"".join(path.read_bytes() for path in files)
    key = hashlib.sha256(sources + repr(variants).encode() + (HERE / "compile_variants.mjs").read_bytes()).hexdigest()
    kept = CACHE / f"{key}.json"
    if not kept.exists():
        installed = subprocess.run(["bash", "scripts/contracts-tools.sh"], cwd=CONTRACTS.parent, capture_output=True)
        assert installed.returncode == 0, installed.stderr.decode()
        orders = json.dumps([variant.order() for variant in variants])
        compiler = ["node", str(HERE / "compile_variants.mjs")]
        done = subprocess.run(compiler, input=orders, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        CACHE.mkdir(exist_ok=True)
        kept.write_text(done.stdout)
    artifacts = json.loads(kept.read_text())
    return {
        variant.name: read_artifact(json.dumps(found).encode())
        for variant, found in zip(variants, artifacts, strict=True)
    }


_S: Final = "payments/BatchSettlement.sol"

SETTLEMENT: Final = (
    Variant(
        "claims may fall: no monotone check",
        _S,
        "if (wanted <= claimed) return NothingNewToClaim.selector;",
        "if (wanted == claimed) return NothingNewToClaim.selector;",
    ),
    Variant(
        "settling pays one unit less",
        _S,
        "IERC20(token).safeTransfer(receiver, amount);",
        "IERC20(token).safeTransfer(receiver, amount - 1);",
    ),
    Variant(
        "a bad row undoes the batch",
        _S,
        "            emit ClaimSkipped(channelId, reason);\n            return;",
        "            revert InvalidSignature();",
    ),
    Variant(
        "mirrored signatures count",
        _S,
        "(address recovered, ECDSA.RecoverError fault,) = ECDSA.tryRecoverCalldata(digest, signature);\n"
        "        return fault == ECDSA.RecoverError.NoError && recovered == signer;",
        "if (signature.length != 65) return false;\n"
        "        (bytes32 r, bytes32 s) = (bytes32(signature[:32]), bytes32(signature[32:64]));\n"
        "        return ecrecover(digest, uint8(signature[64]), r, s) == signer;",
        file="payments/Signatures.sol",
    ),
    Variant(
        "the ceiling is not asked",
        _S,
        "if (wanted > ceiling) return ClaimExceedsCeiling.selector;",
        "",
    ),
    Variant(
        "more is claimed than was paid in",
        _S,
        "if (wanted > balance) return ClaimExceedsBalance.selector;",
        "",
    ),
    Variant(
        "anybody's signature will do",
        _S,
        "return signed ? NONE : InvalidSignature.selector;",
        "return signed || row.signature.length == 65 ? NONE : InvalidSignature.selector;",
    ),
    Variant(
        "settling forgets that it paid",
        _S,
        "account.totalSettled = claimed;",
        "",
    ),
    Variant(
        "anyone may end another's exit",
        _S,
        "if (!_isPayerSide(config)) revert NotAuthorizedToFinalizeWithdraw();",
        "",
    ),
    Variant(
        "the payer need not wait",
        _S,
        "if (block.timestamp < uint256(since) + config.withdrawDelay) revert WithdrawDelayNotElapsed();",
        "",
    ),
    Variant(
        "a refund's signature counts again",
        _S,
        "++channel.refundNonce;",
        "",
    ),
    Variant(
        "a close forgets what was claimed",
        _S,
        "if (left == 0) emit ChannelClosed(channelId, config);",
        "if (left == 0) emit ChannelClosed(channelId, config);\n"
        "        if (left == channel.totalClaimed) delete _channels[channelId];",
    ),
)

_C: Final = "court/Court.sol"
_B: Final = "court/Blacklist.sol"

COURT: Final = (
    Variant(
        "the same offence again and again",
        _C,
        "if (bonded + unbonding == 0 || record.has(key)) {",
        "if (bonded + unbonding == 0) {",
        needs_ir=True,
    ),
    Variant(
        "the challenger gets all",
        _C,
        "uint256 reward = (amount * rewardBps()) / BPS;",
        "uint256 reward = amount;",
        needs_ir=True,
    ),
    Variant(
        "the list is not asked",
        _C,
        "if (!IBlacklist(blacklist).countsAt(offer.root, scope, timestamp)) {",
        "if (false) {",
        needs_ir=True,
    ),
    Variant(
        "one block beyond the window",
        _C,
        "if (blocks > rateWindowBlocks()) revert",
        "if (blocks > rateWindowBlocks() + 1) revert",
        needs_ir=True,
    ),
    Variant(
        "a replaced key still speaks",
        _C,
        "if (retiredAt != 0 && timestamp >= retiredAt) revert",
        "if (false) revert",
        needs_ir=True,
    ),
    Variant(
        "entries count at once",
        _B,
        "uint256 effectiveAt = block.timestamp + window;",
        "uint256 effectiveAt = block.timestamp;",
    ),
    Variant(
        "ratifying stamps anew",
        _B,
        "        record.lapsesAt = 0;\n",
        "        record.lapsesAt = 0;\n        record.effectiveAt = uint40(block.timestamp);\n",
    ),
    Variant(
        "a slash does not reach what unbonds",
        "nodes/Registry.sol",
        "queue.slash(amount - fromBonded);",
        "amount = fromBonded;",
        needs_ir=True,
    ),
)
