"""`add`, `import` and `share` without a node that follows the chain: what the list on disk forbids is not taken in."""

import pytest
from tests.cli.conftest import People, Person
from tests.payments.test_list_on_disk import BAD, GOOD, entry, leave


@pytest.fixture
def keeper(people: People) -> Person:
    person = people("keeper")
    for name, content in (("bad", BAD), ("good", GOOD)):
        (person.home / name).write_bytes(content)
    return person


def test_add_and_share_take_in_nothing_that_is_listed(keeper: Person) -> None:
    assert keeper.run("add", "bad").code == 0  # as long as nobody has a list here
    leave(keeper.data_dir, entry(BAD))
    refused = keeper.run("add", "bad")
    assert (refused.code, "blacklist" in refused.line()) == (5, True), refused.stderr
    assert keeper.run("add", "good").code == 0
    started = keeper.start("share", "bad", "--http", "127.0.0.1:0", "--quic", "127.0.0.1:0", "--no-lan", "--json")
    assert started.next_json()["error"]["type"] == "RefusedError"
    _, ready = keeper.share("good")
    assert ready["shared"]
