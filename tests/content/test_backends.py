"""What is read from a backend gets the names that an import of the same files gives; nothing of the bytes is kept."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.content.backends_world import (
    MIB,
    S3_ENVIRONMENT,
    SITE,
    Bucket,
    added,
    imported,
    noise,
    run,
    s3_server,
    web_origin,
    write_folder,
)

from nearcast.content.backends.address import parse_backend
from nearcast.content.backends.base import BackendObject
from nearcast.content.backends.checking import check_backend
from nearcast.content.backends.index import FILE_NAME, BackendIndex
from nearcast.content.backends.opening import open_new, reopen
from nearcast.content.cid import raw_cid
from nearcast.errors import ChangedError, NearcastError, NotFoundError, RefusedError, UnavailableError, UsageError


@pytest.fixture
def index(tmp_path: Path) -> Iterator[BackendIndex]:
    with BackendIndex(tmp_path / "node") as opened:
        yield opened


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "site", SITE)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with s3_server() as server:
        yield server


def test_a_folder_gets_the_root_that_an_import_gives_it(index: BackendIndex, site: Path, tmp_path: Path) -> None:
    (site / "empty folder" / "in it").mkdir(parents=True)
    (site / "link").symlink_to("index.html")
    (site / ".hidden").write_bytes(b"not for everybody")
    (site / ".git").mkdir()
    (site / ".git" / "config").write_bytes(b"neither")
    found = run(added(index, str(site)))
    assert found.root == imported(tmp_path / "other", site)
    assert (found.files, found.symlinks, found.size_bytes) == (len(SITE), 1, sum(map(len, SITE.values())))
    with_hidden = run(added(index, str(site), hidden=True))
    assert with_hidden.root == imported(tmp_path / "other", site, hidden=True) != found.root


def test_a_bucket_gets_the_root_that_an_import_gives_the_same_files(
    index: BackendIndex, site: Path, bucket: Bucket, tmp_path: Path
) -> None:
    for key, data in SITE.items():
        bucket.put(f"deep/prefix/{key}", data)
    bucket.put("deep/prefixed", b"a neighbour")
    bucket.put("deep/prefix/films/", b"")  # as consoles mark a folder
    bucket.put("deep/prefix/nothing in it/", b"")
    (site / "nothing in it").mkdir()
    found = run(added(index, bucket.url("deep/prefix"), endpoint=bucket.endpoint))
    assert found.root == imported(tmp_path / "other", site)
    assert found.read_bytes == sum(map(len, SITE.values()))


def test_a_web_servers_files_get_the_root_that_an_import_gives_them(
    index: BackendIndex, site: Path, tmp_path: Path
) -> None:
    async def main() -> None:
        for character in ("honest", "deaf to ranges", "without tags"):
            async with web_origin(SITE, character) as origin:
                found = await added(index, origin.url, keys=list(SITE))
                assert found.root == imported(tmp_path / "other", site), character

    run(main())


@pytest.mark.parametrize("size_bytes", [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB])
def test_one_file_gets_the_root_that_an_import_gives_it(index: BackendIndex, tmp_path: Path, size_bytes: int) -> None:
    path = tmp_path / "one.bin"
    path.write_bytes(noise(size_bytes))
    root = imported(tmp_path / "other", path)
    assert run(added(index, f"file://{path}")).root == root

    async def main() -> None:
        async with web_origin({"one.bin": noise(size_bytes)}) as origin:
            assert (await added(index, origin.url + "one.bin")).root == root

    run(main())


def test_one_object_of_a_bucket(index: BackendIndex, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("disks/one.iso", noise(3 * MIB))
    (tmp_path / "one.iso").write_bytes(noise(3 * MIB))
    found = run(added(index, bucket.url("disks/one.iso"), endpoint=bucket.endpoint))
    assert found.root == imported(tmp_path / "other", tmp_path / "one.iso")
    with pytest.raises(NotFoundError, match="nothing at that address"):
        run(added(index, bucket.url("disks/two.iso"), endpoint=bucket.endpoint))


def test_nothing_of_the_bytes_is_kept(index: BackendIndex, site: Path, tmp_path: Path) -> None:
    run(added(index, str(site)))
    kept_bytes = sum(path.stat().st_size for path in (tmp_path / "node").iterdir())
    assert kept_bytes < 400_000 < sum(map(len, SITE.values())) / 50


def test_the_index_is_for_its_owner_alone(index: BackendIndex, site: Path, tmp_path: Path) -> None:
    run(added(index, str(site)))
    files = list((tmp_path / "node").iterdir())
    assert {path.name for path in files} >= {FILE_NAME, FILE_NAME + "-wal"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_only_what_changed_is_read_again(index: BackendIndex, site: Path, bucket: Bucket) -> None:
    for key, data in SITE.items():
        bucket.put(key, data)
    first = run(added(index, bucket.url(), endpoint=bucket.endpoint, name="site"))
    again = run(added(index, bucket.url(), endpoint=bucket.endpoint))
    assert (again.root, again.read_files, again.files, again.backend.name) == (first.root, 0, len(SITE), "site")
    bucket.put("index.html", b"<h1>news</h1>!!")
    bucket.put("new.txt", b"new")
    bucket.delete("films/two.webm")
    third = run(added(index, bucket.url(), endpoint=bucket.endpoint))
    assert (third.read_files, third.files) == (2, len(SITE))
    assert not index.holders(first.root), "that root's folders are not all there any more"
    two = run(added(index, str(site)))
    assert third.root != first.root == two.root
    assert run(added(index, str(site), read_all=True)).read_files == len(SITE)


def test_without_a_tag_or_a_time_everything_is_read_again(index: BackendIndex) -> None:
    async def main() -> None:
        async with web_origin(SITE, "without tags") as origin:
            await added(index, origin.url, keys=list(SITE))
            assert (await added(index, origin.url, keys=list(SITE))).read_files == len(SITE)

    run(main())


def test_what_was_read_before_a_failure_is_not_read_again(index: BackendIndex, site: Path) -> None:
    if os.geteuid() == 0:
        (site / "pipe").parent.mkdir(exist_ok=True)
        os.mkfifo(site / "zzz")
        with pytest.raises(UsageError, match="zzz is neither a file"):
            run(added(index, str(site)))
        (site / "zzz").unlink()
    done = run(added(index, str(site)))
    assert done.files == len(SITE)


def test_a_file_that_is_written_meanwhile_is_told(index: BackendIndex, tmp_path: Path) -> None:
    path = tmp_path / "growing.bin"
    path.write_bytes(noise(6 * MIB))

    def grow(_bytes: int, _files: int) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    with pytest.raises(ChangedError, match=r"growing\.bin changed"):
        run(added(index, str(path), progress=grow))


def test_progress_is_told(index: BackendIndex, site: Path) -> None:
    told: list[tuple[int, int]] = []
    run(added(index, str(site), progress=lambda size_bytes, files: told.append((size_bytes, files))))
    assert told[-1] == (sum(map(len, SITE.values())), len(SITE))
    assert told == sorted(told)


def test_names_that_no_folder_can_hold_are_refused(index: BackendIndex, bucket: Bucket) -> None:
    bucket.put("a", b"file")
    bucket.put("a/b", b"and folder")
    with pytest.raises(UsageError, match="both a file and a folder"):
        run(added(index, bucket.url(), endpoint=bucket.endpoint))
    bucket.delete("a")
    bucket.put("x/../y", b"up")
    with pytest.raises(UsageError, match=r"\.\."):
        run(added(index, bucket.url(), endpoint=bucket.endpoint))


def test_two_backends_have_two_names(index: BackendIndex, tmp_path: Path) -> None:
    one, two = write_folder(tmp_path / "1", {"a": b"1"}), write_folder(tmp_path / "2", {"a": b"2"})
    assert run(added(index, str(one))).backend.name == "backend-1"
    assert run(added(index, str(two))).backend.name == "backend-2"
    with pytest.raises(UsageError, match="another backend is called 'backend-1'"):
        run(added(index, str(two), name="backend-1"))
    assert run(added(index, str(two), name="docs")).backend.name == "docs"
    index.forget(index.backends()[0].backend_id)
    assert [known.name for known in index.backends()] == ["docs"]
    assert not index.holders(raw_cid(bytes(32)))


def test_a_check_finds_what_is_other_new_or_gone(index: BackendIndex, site: Path) -> None:
    found = run(added(index, str(site)))
    backend = reopen(found.backend.address, None)
    assert run(check_backend(index, found.backend, backend)).is_same
    (site / "index.html").write_bytes(b"<h1>oriqin</h1>")
    (site / "exact.bin").unlink()
    (site / "new.txt").write_bytes(b"new")
    checked = run(check_backend(index, found.backend, backend))
    assert (checked.changed.keys, checked.missing.keys, checked.new.keys) == (
        ["index.html"],
        ["exact.bin"],
        ["new.txt"],
    )
    os.utime(site / "films" / "one.webm")
    read = run(check_backend(index, found.backend, backend, read_all=True))
    assert read.changed.keys == ["index.html"], "only touched, the bytes are the same"
    assert index.count_changed(found.backend.backend_id) == 2


def test_a_check_without_a_listing_asks_for_every_file(index: BackendIndex) -> None:
    async def main() -> None:
        async with web_origin(SITE) as origin:
            found = await added(index, origin.url, keys=list(SITE))
            backend = reopen(found.backend.address, None)
            assert (await check_backend(index, found.backend, backend)).is_same
            origin.put("index.html", b"other")
            del origin.files["empty.txt"]
            checked = await check_backend(index, found.backend, backend)
            assert (checked.changed.keys, checked.missing.keys) == (["index.html"], ["empty.txt"])

    run(main())


def test_what_backends_fail_with_is_ours_and_short(
    index: BackendIndex, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def error_of(url: str, **options: object) -> NearcastError:
        with pytest.raises(NearcastError) as caught:
            await added(index, url, **options)
        assert len(caught.value.message) < 700
        assert "\n" not in caught.value.message
        return caught.value

    async def main() -> None:
        assert isinstance(await error_of(str(tmp_path / "none")), NotFoundError)
        assert isinstance(await error_of("s3://no-such-bucket/x", endpoint=bucket.endpoint), NotFoundError)
        async with web_origin(SITE) as origin:
            assert isinstance(await error_of(origin.url + "nothing.bin"), NotFoundError)
            assert "--keys" in str((await error_of(origin.url)).fix), "it lists nothing"
            origin.down = True
            assert isinstance(await error_of(origin.url + "index.html"), UnavailableError)
        assert isinstance(await error_of(origin.url + "index.html"), UnavailableError)

    run(main())


def test_a_range_of_a_server_that_ignores_ranges_is_found_from_the_beginning() -> None:
    async def main() -> None:
        async with web_origin(SITE, "deaf to ranges") as origin:
            address = parse_backend(origin.url)
            opened = await open_new(address, list(SITE))
            key = "films/one.webm"
            wanted = await opened.backend.find(key)
            assert await opened.backend.read(wanted, MIB, 2 * MIB + 7) == SITE[key][MIB : 2 * MIB + 7]
            far = BackendObject(key, 1 << 40, wanted.version)
            with pytest.raises(UnavailableError, match="ignores byte ranges"):
                await opened.backend.read(far, 1 << 39, (1 << 39) + 1)

    run(main())


def test_a_wrong_number_of_bytes_is_never_taken() -> None:
    async def main() -> None:
        async with web_origin(SITE) as origin:
            opened = await open_new(parse_backend(origin.url), list(SITE))
            wanted = await opened.backend.find("exact.bin")
            for data in (b"short", noise(3 * MIB)):
                origin.put("exact.bin", data)
                with pytest.raises(ChangedError):
                    await opened.backend.read(wanted, MIB, 2 * MIB)
                with pytest.raises(ChangedError):
                    await opened.backend.read(wanted, 0, 2 * MIB)

    run(main())


def test_wrong_credentials_are_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from obstore.exceptions import PermissionDeniedError

    from nearcast.content.backends.objects import _error_of

    error = _error_of("index.html", PermissionDeniedError("denied for path index.html\n\nDebug source: ..."))
    assert isinstance(error, RefusedError)
    assert "Debug" not in error.message
    assert error.fix is not None


@pytest.mark.parametrize(
    ("said", "variable"),
    [
        ("S3 error: Error performing PUT http://169.254.169.254/latest/api/token", "AWS_SKIP_SIGNATURE"),
        ("S3 error: Error performing PUT http://169.254.169.254/latest/api/token", "AWS_SECRET_ACCESS_KEY"),
        (
            "GCS error: Error performing token request: Error performing GET "
            "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (
            "MicrosoftAzure error: Error performing token request: Error performing GET "
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2019-08-01",
            "AZURE_STORAGE_ACCOUNT_KEY",
        ),
    ],
)
def test_without_credentials_it_is_said_where_they_go(said: str, variable: str) -> None:
    """What obstore 0.12 says on a machine that is in no cloud, or has no role there."""
    from obstore.exceptions import GenericError

    from nearcast.content.backends.objects import _error_of

    error = _error_of("listing", GenericError(f"Generic {said} in 1.9 ms - HTTP error: error sending request\n\nDebug"))
    assert isinstance(error, RefusedError)
    assert "no credentials" in error.message
    assert "169.254" not in error.message
    assert "HTTP error" in error.message, "a role may be there, and fail"
    assert variable in str(error.fix)
