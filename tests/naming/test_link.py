"""Links survive being written and read, and nonsense is refused in words."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.content.cid import dag_pb_cid, parse_cid, raw_cid
from nearcast.errors import NearcastError, UsageError
from nearcast.naming.link import HOLDERS_MAX, Link, gateway_path, parse_link
from nearcast.transport.base import PeerAddress

ROOT = dag_pb_cid(bytes(range(32)))
PEER = PeerAddress(bytes(range(32)), ("192.168.1.20:4711", "[fe80::1]:4711"))
SHELL_SAFE = set(string.ascii_letters + string.digits + "-._~/:@+,#%")

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=30).filter(
    lambda name: name not in (".", "..") and name.strip() == name
)
paths = st.lists(names, max_size=4).map("/".join)
addresses = st.sampled_from(["127.0.0.1:1", "[fe80::1]:65535", "example.org:4711"])
peers = st.builds(
    PeerAddress,
    st.binary(min_size=32, max_size=32),
    st.lists(addresses, min_size=1, max_size=3, unique=True).map(tuple),
    st.sampled_from([None, "https://relay.example.org/"]),
)
links = st.builds(
    Link,
    root=st.binary(min_size=32, max_size=32).map(raw_cid),
    path=paths,
    name=st.one_of(st.just(""), names),
    peers=st.lists(peers, max_size=3, unique_by=lambda peer: peer.endpoint_id).map(tuple),
)


@given(links)
def test_a_link_is_read_as_it_was_written(link: Link) -> None:
    assert parse_link(str(link)) == link


@given(links)
def test_a_link_needs_no_quoting_in_a_shell(link: Link) -> None:
    assert set(str(link)) <= SHELL_SAFE


@given(st.text(max_size=200))
def test_arbitrary_text_is_a_link_or_a_usage_error(text: str) -> None:
    refusal = None
    try:
        parse_link(text)
    except NearcastError as error:
        refusal = error
    assert refusal is None or (isinstance(refusal, UsageError) and "\n" not in refusal.message)


@pytest.mark.parametrize(
    "text",
    [
        f"{ROOT}/a/b.txt",
        f"/ipfs/{ROOT}/a/b.txt",
        f"ipfs://{ROOT}/a/b.txt",
        f"nearcast:///{ROOT}/a/b.txt",
        f"  {ROOT}/a/b.txt\n",
    ],
)
def test_every_form_names_the_same(text: str) -> None:
    assert parse_link(text) == Link(ROOT, "a/b.txt")


def test_a_gateway_address_is_a_holder() -> None:
    link = parse_link(f"http://10.0.0.2:8710/ipfs/{ROOT}/my%20page.html")
    assert link == Link(ROOT, "my page.html", gateways=("http://10.0.0.2:8710",))


def test_version_0_is_read_as_version_1() -> None:
    old = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
    assert parse_link(old).root == parse_cid(old).v1


@pytest.mark.parametrize(
    ("link", "name"),
    [
        (Link(ROOT), str(ROOT)),
        (Link(ROOT, name="site"), "site"),
        (Link(ROOT, "a/film.webm", name="site"), "film.webm"),
        (Link(ROOT, name=".."), str(ROOT)),
        (Link(ROOT, name="../../etc/passwd"), str(ROOT)),
    ],
)
def test_the_name_on_disk_never_leads_elsewhere(link: Link, name: str) -> None:
    assert link.suggested_name == name


def test_gateway_paths_are_escaped() -> None:
    assert gateway_path(ROOT, "a b/ü#?.html") == f"/ipfs/{ROOT}/a%20b/%C3%BC%23%3F.html"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bafy",
        "ftp://host/ipfs/x",
        "http://host/other/x",
        "http://host:99999/ipfs/x",
        "nearcast://",
        f"nearcast://{ROOT}",
        f"nearcast://nonsense/{ROOT}",
        "nearcast://" + "+".join(["00" * 32 + "@h:1"] * (HOLDERS_MAX + 1)) + f"/{ROOT}",
        "x" * 10_000,
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a"):
        parse_link(text)


def test_an_ipv6_address_survives() -> None:
    link = Link(ROOT, peers=(PEER,))
    assert parse_link(str(link)).peers == (PEER,)
