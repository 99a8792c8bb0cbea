"""The history of one page of a run: what each stage decided about it, and its text."""

from dclm_spark.explain.history import (
    StageRow,
    explain,
    final_text,
    id_at,
    run_recipes,
)
from dclm_spark.explain.site_pages import LISTED, list_site
from dclm_spark.explain.text import describe, side_by_side
from dclm_spark.explain.unfinished import unfinished

__all__ = [
    "LISTED", "StageRow", "describe", "explain", "final_text", "id_at", "list_site", "run_recipes",
    "side_by_side", "unfinished",
]  # fmt: skip
