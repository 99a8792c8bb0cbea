"""The history of a page as lines for a terminal: verdicts, signals with limits, leaks."""

import json
from collections.abc import Mapping
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from dclm_spark.errors import InputError
from dclm_spark.explain.history import StageRow
from dclm_spark.html_pages.quantities import limits_text
from dclm_spark.report.rule_facts import describe_rule, expected_value, signal_limits, what_to_do
from udfs import storage

if TYPE_CHECKING:
    from dclm_spark.recipes.recipe import Recipe

_COLUMN_WIDTH = 54


def describe(history: list[StageRow], recipes: "Mapping[str, Recipe] | None" = None) -> str:
    """Return the history as lines for a terminal: one block per stage, its verdict first.

    With the `recipes` of the runs that judged it, by their folders, limits stand beside the
    signals, and rules say what they are. A run below the first, as that of a language, is named.
    A stage shows what it found: what an earlier one of the run said, too, is not said again.
    """
    first, run = history[0].row, history[0].run
    lines = [
        first["url"] or "(no address)",
        f"  id {first['doc_id'].hex()}  {first['warc_path']} at {first['warc_offset']}",
    ]
    said: dict[str, dict[str, Any]] = {}
    for entry in history:
        name = entry.run.rpartition("/")[2]
        where = f" ({name})" if entry.run.startswith(f"{run}/") else ""
        lines.append(f"  {entry.stage}{where}: {_verdict(entry.row)}")
        recipe, rule = (recipes or {}).get(entry.run), entry.row.get("rule")
        if recipe is not None:
            lines += _about_rule(recipe, entry)
        lines += [
            f"    {name} = {_shown(value)}{_limits(recipe, name, rule)}"
            for name, value in entry.row.items()
            if value is not None and name not in _ALREADY_SHOWN
            if (name, value) not in said.get(entry.run, {}).items()
        ]
        said.setdefault(entry.run, {}).update(entry.row)
    return "\n".join(lines)


_ALREADY_SHOWN = {
    "doc_id", "url", "crawl", "warc_path", "warc_offset", "fate", "stage", "rule", "value",
    "threshold", "error", "evaluation_hits", "removed",
}  # fmt: skip


def side_by_side(output: str, history: list[StageRow]) -> str:
    """Return the evaluation items that a page holds beside what it says there, in two columns.

    "" for a page that holds none, or a run that did not look for items.
    """
    lines: list[str] = []
    before = ""
    for entry in history:
        for hit in entry.row.get("evaluation_hits") or ():
            item = _item(output, hit["task"], hit["item"])
            said = before.encode()[hit["start"] : hit["end"]].decode(errors="replace")
            lines.append(
                f"  {hit['task']} item {hit['item']}, {hit['part']}: coverage "
                f"{hit['coverage']:.2f}, score {hit['score']:.2f}, "
                + ("leaks" if hit["leaks"] else "does not leak")
            )
            parts = ("question", "answer") if hit["part"] == "question" else (hit["part"],)
            lines += _columns(" ".join(item[part] for part in parts if item[part]), said)
        before = entry.text if entry.text is not None else before
    return "\n".join(lines)


def _item(output: str, task: str, number: int) -> dict[str, Any]:
    uri = storage.join(output, "stages", "decontaminate", "items.jsonl")
    for line in storage.read_bytes(uri).decode().split("\n"):
        item: dict[str, Any] = json.loads(line)
        if (item["task"], item["number"]) == (task, number):
            return item
    raise InputError(f"{uri} has no item {number} of {task}; the run wrote another index since")


def _columns(left: str, right: str) -> list[str]:
    pairs = zip_longest(wrap(left, _COLUMN_WIDTH), wrap(right, _COLUMN_WIDTH), fillvalue="")
    return [f"    {one:<{_COLUMN_WIDTH}} | {other}" for one, other in pairs]


def _about_rule(recipe: "Recipe", entry: StageRow) -> list[str]:
    """Return what the rule that took the page looks at, and what to do about a quarantined one."""
    rule, fate = entry.row.get("rule"), entry.row.get("fate")
    if not rule or not fate:
        return []
    told = describe_rule(recipe, entry.stage, rule, fate)
    advice = what_to_do(rule, fate)
    lines = [f"    {rule}: {told}"] if told else []
    return lines + ([f"    what to do: {advice}"] if advice else [])


def _limits(recipe: "Recipe | None", signal: str, rule: str | None) -> str:
    if recipe is None:
        return ""
    if expected := expected_value(recipe, signal, rule):
        return f"  (expected {expected})"
    limits = signal_limits(recipe, signal)
    return f"  ({limits_text(limits)})" if limits else ""


def _verdict(row: dict[str, Any]) -> str:
    if "removed" in row:
        return str(row["removed"])
    if "source" in row:
        return f"{row['repeats']} copies in the corpus"
    if "fate" not in row:
        return f"{row['num_tokens']:,} tokens"
    if row["fate"] == "kept":
        return "kept"
    parts = [f"{row['fate']} by {row['rule']}"]
    if row["value"] is not None:
        parts.append(f"value {row['value']:.6g} against {_shown(row['threshold'])}")
    if row["error"]:
        parts.append(row["error"])
    return ", ".join(parts)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return f"{value:.6g}" if isinstance(value, float) else str(value)
