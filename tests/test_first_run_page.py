"""docs/first_run.md: every line of its table is kept by a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_line_of_the_table_has_its_test():
    page = (ROOT / "docs" / "first_run.md").read_text()
    table = page[page.index("## What was typed") :]
    named = re.findall(r"\| `(test_\w+)` \|$", table, re.MULTILINE)
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(named) == len(lines) > 20
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in named if f"def {name}(" not in tests] == []
