"""Sections that comments name ("spec 2.3") stand in docs/dclm.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECTIONS = set(re.findall(r"^#+ ([\d.]*\d)\.? ", (ROOT / "docs/dclm.md").read_text(), re.MULTILINE))
NAMED = re.compile(r"\bspec (?:section )?(\d[\d.]*\d|\d)(?: (?:and|to) (\d[\d.]*\d|\d))?")


def test_every_section_that_code_or_docs_name_is_there():
    missing = set()
    for top in ("dclm_spark", "udfs", "jobs", "docs", "tests"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix not in (".py", ".md") or path.name in (
                "test_spec_sections.py",
                "dclm.md",
            ):
                continue
            for found in NAMED.finditer(path.read_text()):
                wanted = {one for one in found.groups() if one} - SECTIONS
                missing |= {(str(path.relative_to(ROOT)), one) for one in wanted}
    assert missing == set()
