"""The page of a training run: its losses by step and the last value of all that was measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dclm_spark.html_pages.quantities import value_text
from dclm_spark.html_pages.render import render


def write_loss_page(path: Path, lines: Sequence[dict[str, Any]], *, title: str) -> Path:
    """Write the page of a run log's lines (`RunLog`) to `path`."""
    training = [(line["step"], line["cross_entropy"]) for line in lines if line["kind"] == "train"]
    heldout = [(line["step"], line["loss"]) for line in lines if line["kind"] == "heldout"]
    path.write_text(
        render("loss.html", title=title, training=training, heldout=heldout, facts=_facts(lines))
    )
    return path


def _facts(lines: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    latest = {
        f"{line['kind']}: {name.replace('_', ' ')}": value
        for line in lines
        for name, value in line.items()
        if isinstance(value, int | float) and name != "step"
    }
    return [(name, value_text(value)) for name, value in latest.items()]
