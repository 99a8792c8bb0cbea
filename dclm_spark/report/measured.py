"""What a report says of a rule's quality: figures that were measured apart from the run."""

from collections.abc import Sequence
from typing import Any

from dclm_spark.stages.decontaminate import EvaluationDataSettings, measured_kinds


def measured_decontamination(wanted: EvaluationDataSettings) -> dict[str, str]:
    """Return lines of label and value on planted leaks and clean pages, {} without figures."""
    kinds = measured_kinds(wanted)
    if not kinds:
        return {}
    found = "by_items" if wanted.rule == "items" else "by_ngrams"
    return {
        "Planted leaks that decontamination finds": _share(
            [kind for kind in kinds if kind["leaks"]], found
        ),
        "Clean pages that it takes for leaks": _share(
            [kind for kind in kinds if kind["leaks"] is False], found
        ),
    }


def _share(kinds: Sequence[dict[str, Any]], found: str) -> str:
    pages = sum(kind["pages"] for kind in kinds)
    count = sum(kind[found] for kind in kinds)
    return f"{count:,} of {pages:,} ({100 * count / max(pages, 1):.2f} %)"
