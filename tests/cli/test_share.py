"""`share` beside a node that runs on the same data folder."""

from tests.cli.conftest import Person


def test_a_running_node_can_share_something_more(publisher: Person) -> None:
    (publisher.home / "two words").write_text("x")
    publisher.up()
    refused = publisher.run("share", "two words", "--no-lan")
    assert refused.code == 7
    assert f"nearcast add --in-place '{publisher.home / 'two words'}'" in refused.stderr
    assert publisher.run("add", "--in-place", "two words").code == 0
