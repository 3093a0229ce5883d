"""House rules that no other tool checks: the sizes of files and functions, and names that say nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
FILES = sorted(
    path
    for room in ("src", "tests", "bench", "examples")
    for path in (HOUSE / room).rglob("*.py")
    if path.stat().st_size
)
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_file_holds_one_idea(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert path.stem not in EMPTY_NAMES
    assert text.count("\n") <= FILE_LINES_MAX
    assert [f"{name} has {lines} lines" for name, lines in functions(tree) if lines > FUNCTION_LINES_MAX] == []
    assert ast.get_docstring(tree), "a file opens with what it is for"


def test_the_rule_can_fail() -> None:
    long = "def f():\n" + "    x = 1\n" * (FUNCTION_LINES_MAX + 1)
    assert list(functions(ast.parse(long))) == [("f", FUNCTION_LINES_MAX + 2)]


def test_every_exit_code_is_documented() -> None:
    from nearcast import errors

    documented = (HOUSE / "docs" / "exit-codes.md").read_text()
    classes = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.NearcastError)
    ]
    assert len(classes) > 5
    for kind in classes:
        assert f"| {kind.exit_code} |" in documented, kind.__name__
