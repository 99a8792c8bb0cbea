"""The pages of docs/reference by their names; `python -m` of this writes them to a folder."""

import sys
from collections.abc import Callable
from pathlib import Path

from dclm_spark.exports.reference import (
    glossary,
    job_options,
    quirk_lines,
    recipe_keys,
    rule_lines,
)

PAGES: dict[str, Callable[[], str]] = {
    "recipe_keys.md": recipe_keys.page,
    "rules.md": rule_lines.page,
    "quirks.md": quirk_lines.page,
    "jobs.md": job_options.page,
    "glossary.md": glossary.page,
}


def write_pages(folder: Path) -> None:
    """Write every page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
