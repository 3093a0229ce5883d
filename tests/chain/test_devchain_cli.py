"""`nearcast devchain` as a person or a program meets it: real processes."""

import signal
import socket
import subprocess
from pathlib import Path

import pytest
from tests.chain.devchains import Rpc, process, ready

from nearcast.chain.devchain.addresses import ACCOUNTS, CONTRACTS

DEADLINE_S = 60


def ended(started: "subprocess.Popen[str]") -> tuple[str, str]:
    """Press Ctrl-C; what it said after that, and on stderr. It must end with 0."""
    started.send_signal(signal.SIGINT)
    said, complained = started.communicate(timeout=DEADLINE_S)
    assert started.returncode == 0, complained
    return said, complained


def test_a_program_reads_where_everything_is_and_finds_it_again(tmp_path: Path) -> None:
    with process(tmp_path, "--json") as started:
        told = ready(started)
        rpc = Rpc(told["url"])
        assert told["chain_id"] == 31337
        assert {name: bytes.fromhex(text[2:]) for name, text in told["contracts"].items()} == CONTRACTS
        assert [bytes.fromhex(row["secret"][2:]) for row in told["accounts"]] == [one.secret for one in ACCOUNTS]
        assert rpc("eth_getCode", CONTRACTS["Court"], "latest") != "0x"
        paid = rpc.do(0, b"\x11" * 20, value=5)
        said, complained = ended(started)
        assert '"what": "pays 0x1111' in said
        assert complained == ""
    with process(tmp_path, "--json") as started:
        told = ready(started)
        assert told["block"] == 1
        assert Rpc(told["url"])("eth_getTransactionReceipt", paid["transactionHash"]) == paid
        ended(started)
    with process(tmp_path, "--json", "--reset") as started:
        assert ready(started)["block"] == 0
        ended(started)


def test_a_person_sees_it_on_a_terminal_of_80_columns(tmp_path: Path) -> None:
    with process(tmp_path) as started:
        assert started.stdout is not None
        lines: list[str] = []
        while not lines or "Ctrl-C stops" not in lines[-1]:
            lines.append(started.stdout.readline().rstrip("\n"))
        assert [line for line in lines if len(line) > 80 and "Kept in" not in line] == []
        text = "\n".join(lines)
        assert "RPC        http://127.0.0.1:" in text
        assert "what is sent to them on a real chain is lost" in text
        assert "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266" in text
        said, complained = ended(started)
        assert (said.strip(), complained) == ("", "")


@pytest.mark.parametrize("option", [["--port", "99999"], ["--block-time", "0"], ["--state"]])
def test_wrong_options_end_with_2(tmp_path: Path, option: list[str]) -> None:
    with process(tmp_path, *option) as started:
        _, complained = started.communicate(timeout=DEADLINE_S)
        assert started.returncode == 2
        assert complained.startswith("nearcast: ")


def test_a_port_that_is_taken_ends_with_10_and_a_fix(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with process(tmp_path, "--port", str(port)) as started:
            _, complained = started.communicate(timeout=DEADLINE_S)
    assert started.returncode == 10
    assert f"port {port} on 127.0.0.1 is taken" in complained
    assert "--port PORT" in complained
