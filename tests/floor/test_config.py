"""The configuration: who wins, and mistakes that are named with their place."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day

from nearcast.config import (
    Config,
    default_data_dir,
    known_keys,
    load_config,
    parse_host_port,
    parse_size_bytes,
    parse_usdc_units,
)
from nearcast.errors import UsageError


def loaded(tmp_path: Path, toml: str = "", **given_: Any) -> Config:
    (tmp_path / "config.toml").write_text(toml)
    return load_config(
        data_dir=tmp_path,
        file=None,
        environment=given_.get("environment", {}),
        flags=given_.get("flags", {}),
    )


def test_without_anything_the_defaults_hold() -> None:
    config = load_config(data_dir=None, file=None, environment={}, flags={})
    assert config == Config(data_dir=default_data_dir())


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    toml = '[http]\nlisten = "127.0.0.1:1"\n[store]\nquota_bytes = "5GiB"\n[quic]\nrelay = "default"\n'
    environment = {"NEARCAST_HTTP_LISTEN": "127.0.0.1:2", "NEARCAST_STORE_QUOTA_BYTES": "6GiB"}
    config = loaded(tmp_path, toml, environment=environment, flags={"http.listen": "127.0.0.1:3", "quic.relay": None})
    assert config.http.listen == "127.0.0.1:3"
    assert config.store.quota_bytes == 6 << 30
    assert config.quic.relay == "default"


def test_the_data_folder_comes_from_the_flag_then_the_environment(tmp_path: Path) -> None:
    environment = {"NEARCAST_DATA_DIR": str(tmp_path / "from environment")}
    by_environment = load_config(data_dir=None, file=None, environment=environment, flags={})
    by_flag = load_config(data_dir=tmp_path / "from flag", file=None, environment=environment, flags={})
    assert by_environment.data_dir == tmp_path / "from environment"
    assert by_flag.data_dir == tmp_path / "from flag"


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("[http]\nlisen = 1", "http.lisen"),
        ("[http]\nlisten = 1", "http.listen"),
        ('[http]\nlisten = "localhost"', "http.listen"),
        ('[http]\nlisten = "localhost:70000"', "http.listen"),
        ('[http]\nfetch = "sometimes"', "local, always, never"),
        ("[store]\nquota_bytes = true", "store.quota_bytes"),
        ("[store]\nquota_bytes = -1", "store.quota_bytes"),
        ('[store]\nquota_bytes = "5 apples"', "store.quota_bytes"),
        ('[quic]\nrelay = "http://insecure.example"', "quic.relay"),
        ("[quic]\nadvertise = 7", "quic.advertise"),
        ('[chain]\nrpc = "localhost:8545"', "chain.rpc"),
        ('[chain]\nrpc = "ftp://x"', "chain.rpc"),
        ('[chain]\nnetwork = "Base Mainnet"', "chain.network"),
        ("[chain]\nconfirmations = 0", "chain.confirmations"),
        ("[chain]\nconfirmations = true", "chain.confirmations"),
        ('[chain]\nconfirmations = "many"', "chain.confirmations"),
        ("[chain]\nwallet = 7", "chain.wallet"),
        ('[quic]\nadvertise = ["x"]', "quic.advertise"),
        ("[peers]\nlan = 3", "peers.lan"),
        ("[peers]\nknown = [1]", "peers.known"),
        ("loose = 1", "loose"),
        ("[http\n", "config.toml"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(tmp_path: Path, toml: str, named: str) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, toml)
    assert named in refused.value.message
    assert str(tmp_path / "config.toml") in refused.value.message


def test_a_mistake_elsewhere_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NEARCAST_HTTP_LISTEN"):
        loaded(tmp_path, environment={"NEARCAST_HTTP_LISTEN": "nowhere"})
    with pytest.raises(UsageError, match="--http-listen"):
        loaded(tmp_path, flags={"http.listen": "nowhere"})


def test_a_file_that_was_named_must_be_readable(tmp_path: Path) -> None:
    for missing in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            load_config(data_dir=tmp_path, file=missing, environment={}, flags={})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"binary\.toml"):
        load_config(data_dir=tmp_path, file=binary, environment={}, flags={})


def test_lists_may_be_words_in_the_environment(tmp_path: Path) -> None:
    environment = {"NEARCAST_QUIC_ADVERTISE": "cdn.example:1 192.0.2.1:2", "NEARCAST_PEERS_LAN": "no"}
    config = loaded(tmp_path, environment=environment)
    assert config.quic.advertise == ("cdn.example:1", "192.0.2.1:2")
    assert config.peers.lan is False


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [(500, 500), ("500", 500), ("500MB", 500 * 10**6), ("2 GiB", 2 << 30), ("1.5kib", 1536), (" 7 b ", 7)],
)
def test_sizes(text: Any, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@by_day(150)
@given(st.sampled_from(known_keys()), st.text(max_size=30) | st.text("0123456789", min_size=300, max_size=400))
def test_any_text_for_any_key_is_a_value_or_a_usage_error(key: str, text: str) -> None:
    with contextlib.suppress(UsageError):
        load_config(data_dir=Path("/nonexistent"), file=None, environment={}, flags={key: text})


@by_day(100)
@given(st.text(max_size=30))
def test_an_accepted_address_has_a_host_and_a_port(text: str) -> None:
    try:
        accepted = parse_host_port(text)
    except ValueError:
        return
    host, _, port = accepted.rpartition(":")
    assert host
    assert 0 <= int(port) <= 65535


def test_a_size_beyond_all_disks_is_refused() -> None:
    for text in ("9" * 400, "1e9", "2000000000 GiB", "٣MB"):
        with pytest.raises(ValueError, match=r"size is|any disk"):
            parse_size_bytes(text)


@pytest.mark.parametrize("text", ["1000000000", "99999999999999999999", "1000000000.5", "9" * 5_000])
def test_an_amount_beyond_all_money_is_not_blamed_on_its_decimals(text: str) -> None:
    with pytest.raises(ValueError, match="less than 1,000,000,000 USDC"):
        parse_usdc_units(text)


def test_amounts() -> None:
    assert parse_usdc_units("999999999.999999") == 10**15 - 1
    assert parse_usdc_units("0" * 5_000 + "1") == 10**6
    for text in ("0.0000001", "-1", "1e3"):
        with pytest.raises(ValueError, match="six decimals"):
            parse_usdc_units(text)


def test_the_chain_is_the_dev_chain_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert (config.chain.network, config.chain.rpc) == ("dev", "http://127.0.0.1:8545")
    assert (config.chain.confirmations, config.wallet_file) == (None, tmp_path / "wallet.json")
    toml = (
        '[chain]\nnetwork = "base"\nrpc = "https://rpc.example/key?x=1"\nconfirmations = 7\nwallet = "/w/mine.json"\n'
    )
    config = loaded(tmp_path, toml, environment={"NEARCAST_CHAIN_CONFIRMATIONS": "9"})
    assert (config.chain.network, config.chain.rpc) == ("base", "https://rpc.example/key?x=1")
    assert (config.chain.confirmations, config.wallet_file) == (9, Path("/w/mine.json"))
