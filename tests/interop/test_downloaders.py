"""Downloaders that everybody has get the same bytes from a node's gateway: curl, wget, aria2, Python's own client."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.interop.nearcasts import Nearcast, Running
from tests.interop.programs import program, run
from tests.interop.samples import MIB, contents, random_file, small_tree

pytestmark = pytest.mark.interop

SIZE_BYTES = 9 * MIB + 7
CONNECTIONS = 4
RANGES = {
    "the first byte": ("0-0", slice(0, 1)),
    "across two leaves": (f"{MIB - 5}-{3 * MIB + 5}", slice(MIB - 5, 3 * MIB + 6)),
    "the last bytes": ("-1000", slice(SIZE_BYTES - 1000, SIZE_BYTES)),
    "to the end": (f"{8 * MIB}-", slice(8 * MIB, SIZE_BYTES)),
    "beyond the end": (f"{SIZE_BYTES - 3}-{SIZE_BYTES + 99}", slice(SIZE_BYTES - 3, SIZE_BYTES)),
}


@dataclass(frozen=True)
class Site:
    """What a running node serves: one large file, and a tree."""

    node: Running
    log: Path
    large_file: Path
    tree: Path
    file_root: str
    tree_root: str

    @property
    def file_url(self) -> str:
        return f"{self.node.url}/ipfs/{self.file_root}"

    def tree_url(self, path: str) -> str:
        return f"{self.node.url}/ipfs/{self.tree_root}/{quote(path)}"

    def requests(self) -> list[dict[str, object]]:
        """What the node says it was asked."""
        return [json.loads(line) for line in self.log.read_text().splitlines()[1:]]


@pytest.fixture(scope="module")
def site(people: Callable[[str], Nearcast], folder: Path) -> Iterator[Site]:
    publisher = people("publisher")
    large_file = random_file(folder / "large.bin", SIZE_BYTES, seed=5)
    tree = small_tree(folder / "tree")
    file_root, tree_root = publisher.add(large_file), publisher.add(tree)
    with publisher.up() as node:
        yield Site(node, publisher.log, large_file, tree, file_root, tree_root)


def curl(*arguments: str | Path) -> bytes:
    return run([program("curl"), "--silent", "--show-error", "--noproxy", "*", *arguments])


def headers_of(text: bytes) -> dict[str, str]:
    lines = [line.partition(":") for line in text.decode().splitlines()[1:] if line.strip()]
    return {name.lower(): value.strip() for name, _, value in lines}


def test_curl_gets_a_file(site: Site, tmp_path: Path) -> None:
    curl("--fail", site.file_url, "--output", tmp_path / "got")
    assert contents(tmp_path / "got") == contents(site.large_file)


@pytest.mark.parametrize("case", RANGES)
def test_curl_gets_a_range(case: str, site: Site) -> None:
    text, part = RANGES[case]
    assert curl("--range", text, site.file_url) == site.large_file.read_bytes()[part]
    assert curl("--range", text, "--output", "/dev/null", "--write-out", "%{http_code}", site.file_url) == b"206"


def test_curl_is_told_that_a_range_lies_outside(site: Site) -> None:
    said = curl("--range", f"{SIZE_BYTES}-", "--output", "/dev/null", "--write-out", "%{http_code}", site.file_url)
    assert said == b"416"


def test_curl_asks_for_headers_alone(site: Site) -> None:
    headers = headers_of(curl("--head", site.file_url))
    assert headers["content-length"] == str(SIZE_BYTES)
    assert headers["accept-ranges"] == "bytes"
    assert "immutable" in headers["cache-control"]
    assert site.file_root in headers["etag"]


def test_curl_does_not_get_again_what_it_has(site: Site, tmp_path: Path) -> None:
    tag, got = tmp_path / "etag", tmp_path / "got"
    curl("--fail", site.file_url, "--etag-save", tag, "--output", got)
    again: list[str | Path] = [
        "--etag-compare",
        tag,
        "--output",
        tmp_path / "again",
        "--write-out",
        "%{http_code} %{size_download}",
    ]
    assert curl(site.file_url, *again) == b"304 0"


def test_curl_goes_on_where_it_was_interrupted(site: Site, tmp_path: Path) -> None:
    got = tmp_path / "got"
    got.write_bytes(site.large_file.read_bytes()[: 4 * MIB + 11])
    said = curl("--fail", "--continue-at", "-", site.file_url, "--output", got, "--write-out", "%{size_download}")
    assert int(said) == SIZE_BYTES - 4 * MIB - 11
    assert contents(got) == contents(site.large_file)


def test_curl_speaks_http_1_0(site: Site, tmp_path: Path) -> None:
    curl("--fail", "--http1.0", site.file_url, "--output", tmp_path / "got")
    assert contents(tmp_path / "got") == contents(site.large_file)


def test_curl_asks_for_many_files_over_one_connection(site: Site, tmp_path: Path) -> None:
    names = ["docs/日本語.txt", "docs/Füße & 50% #1?.txt", "docs/🌍.bin", "nothing", "docs/a b/deep/large.bin"]
    wishes: list[str | Path] = [
        part for index, name in enumerate(names) for part in (site.tree_url(name), "-o", tmp_path / str(index))
    ]
    said = curl("--fail", *wishes, "--write-out", "%{num_connects}\n").decode().split()
    assert said == ["1", *["0"] * (len(names) - 1)]
    for index, name in enumerate(names):
        assert (tmp_path / str(index)).read_bytes() == (site.tree / name).read_bytes(), name


def test_curl_follows_a_folder_to_its_page(site: Site) -> None:
    url = f"{site.node.url}/ipfs/{site.tree_root}"
    assert curl("--fail", "--location", url) == (site.tree / "index.html").read_bytes()


def test_curl_is_told_at_once_what_does_not_exist(site: Site) -> None:
    said = curl("--output", "/dev/null", "--write-out", "%{http_code} %{time_total}", site.tree_url("docs/none"))
    code, seconds = said.split()
    assert code == b"404"
    assert float(seconds) < 1


def test_wget_gets_a_file(site: Site, tmp_path: Path) -> None:
    run([program("wget"), "--quiet", "--no-proxy", site.file_url, "-O", tmp_path / "got"])
    assert contents(tmp_path / "got") == contents(site.large_file)


def test_wget_goes_on_where_it_was_interrupted(site: Site, tmp_path: Path) -> None:
    got = tmp_path / "got"
    got.write_bytes(site.large_file.read_bytes()[: MIB + 1])
    run([program("wget"), "--quiet", "--no-proxy", "--continue", site.file_url, "-O", got])
    assert contents(got) == contents(site.large_file)


def test_wget_mirrors_a_folder_by_its_listing(site: Site, tmp_path: Path) -> None:
    options = ["--quiet", "--no-proxy", "--recursive", "--no-parent", "--no-host-directories", "--cut-dirs=3"]
    options += ["--reject=index.html*", "--restrict-file-names=nocontrol", "--level=5"]
    run([program("wget"), *options, site.tree_url("docs") + "/", "-P", tmp_path / "got"])
    got = {name: what for name, what in contents(tmp_path / "got").items() if what != "folder"}
    expected = {name: what for name, what in contents(site.tree / "docs").items() if what != "folder"}
    files = {name: what for name, what in expected.items() if not what.startswith("->")}
    assert {name: got.get(name) for name in files} == files


def test_aria2_gets_a_file_over_several_connections(site: Site, tmp_path: Path) -> None:
    before = len(site.requests())
    digest = sha256(site.large_file.read_bytes()).hexdigest()
    options = [f"--split={CONNECTIONS}", f"--max-connection-per-server={CONNECTIONS}", "--min-split-size=1M"]
    options += ["--quiet", "--no-conf", "--all-proxy=", f"--checksum=sha-256={digest}"]
    run([program("aria2c"), *options, "--dir", tmp_path, "--out", "got", site.file_url])
    assert contents(tmp_path / "got") == contents(site.large_file)
    assert len(site.requests()) - before >= CONNECTIONS


def test_python_gets_a_file_and_a_range(site: Site) -> None:
    data = site.large_file.read_bytes()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(site.file_url, timeout=10) as response:
        assert response.read() == data
    request = urllib.request.Request(site.file_url, headers={"Range": "bytes=5-1048580"})
    with opener.open(request, timeout=10) as response:
        assert response.status == 206
        assert response.headers["Content-Range"] == f"bytes 5-1048580/{SIZE_BYTES}"
        assert response.read() == data[5:1048581]


def test_a_form_that_we_do_not_make_is_refused(site: Site) -> None:
    said = curl("--output", "/dev/null", "--write-out", "%{http_code}", f"{site.file_url}?format=tar")
    assert said == b"406"
