"""Several texts of one page: which columns hold them, and what is on record of them.

Pages of a WARC that are extracted in several ways, by `extraction.views`, have a column for each
view until rules have judged them (`udfs.units.view_choice`), and `text` afterwards.
"""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from udfs.html.parser import Parsed

VIEW_FIELDS = (
    # Which of `extraction.views` the text is; several joined by "+".
    pa.field("view", pa.string()),
    # Views that gave no text, each with the rule that says why: "trafilatura: parser_timeout".
    pa.field("failed_views", pa.string()),
)
# Of the texts that pass the rules: the longest, the first in the order of `views`, or the
# paragraphs of all.
LONGEST, FIRST, UNION = VIEW_CHOICES = ("longest", "first", "union")
_TEXT_BY = "text_by_"
_SEPARATOR = "; "


def text_columns(views: Sequence[str]) -> list[str]:
    """Return the columns that hold the texts of views, null where a view failed."""
    return [_TEXT_BY + view for view in views]


def is_text(column: str) -> bool:
    """Say whether a column holds texts of pages."""
    return column == "text" or column.startswith(_TEXT_BY)


def failures(views: Sequence[str], parsed: Sequence[Parsed]) -> str | None:
    """Return the views that failed, as `failed_views` has them."""
    failed = [f"{view}: {one.rule}" for view, one in zip(views, parsed, strict=True) if one.rule]
    return _SEPARATOR.join(failed) or None


def counts_of_failures(column: pa.Array) -> Counter[str]:
    """Return how often each view failed by each rule, of a column `failed_views`."""
    return Counter(one for row in column.to_pylist() if row for one in row.split(_SEPARATOR))
