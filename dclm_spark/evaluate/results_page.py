"""One small self-contained page with the numbers of an evaluation."""

from collections.abc import Mapping
from typing import Any

from dclm_spark.html_pages.quantities import fixed_text
from dclm_spark.html_pages.render import render


def results_page(summary: Mapping[str, Any]) -> str:
    """Return the page of one `results.json`; everything that comes from data is escaped."""
    return render(
        "evaluation.html",
        title=f"Evaluation of {summary['model']}",
        caveats=summary["caveats"],
        aggregates=[_estimate_row(*pair) for pair in summary["aggregates"].items()],
        bits_per_byte=[_estimate_row(*pair) for pair in summary["bits_per_byte"].items()],
        tasks=[_task_row(label, task) for label, task in summary["tasks"].items()],
    )


def _interval(estimate: Mapping[str, Any]) -> str:
    return f"{fixed_text(estimate['low'])} to {fixed_text(estimate['high'])}"


def _estimate_row(name: str, estimate: Mapping[str, Any]) -> list[str]:
    if estimate["value"] is None:
        reasons = "; ".join(f"{label}: {why}" for label, why in estimate["missing"].items())
        return [name, "N/A", f"missing {reasons}", ""]
    label = name
    if "of_tasks" in estimate:
        label = f"{name} ({estimate['tasks']} of {estimate['of_tasks']} tasks)"
    return [label, fixed_text(estimate["value"]), _interval(estimate), str(estimate["n"])]


def _task_row(label: str, task: Mapping[str, Any]) -> list[str]:
    bits = task.get("gold_bits_per_byte")
    return [
        label,
        fixed_text(task["accuracy"]["value"]),
        _interval(task["accuracy"]),
        f"{task['n']} of {task['rows']}",
        fixed_text(task["centered"]["v2"]),
        fixed_text(bits["value"]) if bits else "",
        task["data_status"],
    ]
