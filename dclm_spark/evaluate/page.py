"""One small self-contained page with the numbers of an evaluation."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_STYLE = (
    "body{font:14px sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse}"
    "td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:left}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
)


def results_page(summary: Mapping[str, Any]) -> str:
    """Return the page of one `results.json`; everything that comes from data is escaped."""
    aggregates = [(name, value) for name, value in summary["aggregates"].items()]
    bits = list(summary["bits_per_byte"].items())
    tasks = summary["tasks"].items()
    return page(
        f"Evaluation of {summary['model']}",
        bullet_list(summary["caveats"]),
        "<h2>Aggregates</h2>",
        table(("name", "value", "interval", "n"), [_estimate_row(*pair) for pair in aggregates]),
        "<h2>Bits per byte</h2>" if bits else "",
        table(("text", "value", "interval", "n"), [_estimate_row(*pair) for pair in bits])
        if bits
        else "",
        "<h2>Tasks</h2>",
        table(
            ("task", "accuracy", "interval", "n", "centered v2", "gold bits/byte", "data"),
            [_task_row(label, task) for label, task in tasks],
        ),
    )


def page(title: str, *parts: str) -> str:
    """Return a whole HTML document of ready parts."""
    name = escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{name}</h1>{''.join(parts)}</body></html>\n"
    )


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of plain texts; columns that start with a digit or sign are aligned right."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def bullet_list(texts: Iterable[str]) -> str:
    """Return a list of plain texts, or nothing when there are none."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def number(value: float | None, digits: int = 4) -> str:
    """Return a number for people; a missing one is N/A."""
    return "N/A" if value is None else f"{value:.{digits}f}"


def interval(estimate: Mapping[str, Any]) -> str:
    """Return the interval of an estimate for people."""
    return f"{estimate['low']:.4f} to {estimate['high']:.4f}"


def _cell(text: str) -> str:
    is_number = text[:1].isdigit() or text[:1] in "-+"
    return f"<td{' class=n' if is_number else ''}>{escape(text)}</td>"


def _estimate_row(name: str, estimate: Mapping[str, Any]) -> list[str]:
    if estimate["value"] is None:
        reasons = "; ".join(f"{label}: {why}" for label, why in estimate["missing"].items())
        return [name, "N/A", f"missing {reasons}", ""]
    label = name
    if "of_tasks" in estimate:
        label = f"{name} ({estimate['tasks']} of {estimate['of_tasks']} tasks)"
    return [label, number(estimate["value"]), interval(estimate), str(estimate["n"])]


def _task_row(label: str, task: Mapping[str, Any]) -> list[str]:
    bits = task.get("gold_bits_per_byte")
    return [
        label,
        number(task["accuracy"]["value"]),
        interval(task["accuracy"]),
        f"{task['n']} of {task['rows']}",
        number(task["centered"]["v2"]),
        number(bits["value"]) if bits else "",
        task["data_status"],
    ]
