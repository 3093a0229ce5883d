"""The suite of all chains, on anvil started from our first block: what passes on both is Ethereum's."""

import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chain.chain_suite import *  # noqa: F403
from tests.chain.devchains import Rpc
from tests.interop.nearcasts import POLL_S
from tests.interop.programs import DEADLINE_S, MODULES, versions

from nearcast.chain.devchain import genesis

pytestmark = pytest.mark.interop

LISTENING = re.compile(r"Listening on (127\.0\.0\.1:\d+)")


@pytest.fixture(scope="module")
def rpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rpc]:
    """Anvil, with our contracts and accounts in its first block, under the rules of Prague."""
    home = tmp_path_factory.mktemp("anvil")
    first_block = home / "genesis.json"
    first_block.write_text(json.dumps(genesis.geth_genesis(genesis.make_alloc())))
    program = _anvil()
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=DEADLINE_S)
    versions["anvil"] = said.stdout.partition("\n")[0]
    command = [program, "--init", str(first_block), "--hardfork", "prague", "--port", "0"]
    log = home / "anvil.log"  # not a pipe: nobody would read on after the address
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, env={**os.environ, "HOME": str(home)}) as process:
        try:
            yield Rpc(f"http://{_address(process, log)}")
        finally:
            process.terminate()
            process.wait(timeout=DEADLINE_S)


def _anvil() -> str:
    """The one of the lock file where there is one for this platform, else the one on the PATH."""
    packaged = MODULES / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
    if platform.system() == "Linux" and packaged.is_file():
        return str(packaged)
    found = shutil.which("anvil")
    if found is None:
        pytest.skip("anvil is not installed: run scripts/interop-tools.sh, or see getfoundry.sh")
    return found


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline_s = time.monotonic() + DEADLINE_S
    while process.poll() is None and time.monotonic() < deadline_s:
        if found := LISTENING.search(log.read_text()):
            return found.group(1)
        time.sleep(POLL_S)
    raise AssertionError(f"anvil does not listen: {log.read_text()[-1000:]}")
