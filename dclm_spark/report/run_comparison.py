"""Two runs of the same input side by side: settings, what is left, who changed fate."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from pyspark.sql import SparkSession

from dclm_spark.engine.run_record import (
    check_one_source,
    existing_run,
    report_of_ended,
)
from dclm_spark.errors import SettingError
from dclm_spark.html_pages.render import render
from dclm_spark.report.changed_fates import (
    DOCUMENTS_OF_A_DRIVER,
    FateChange,
    changed_fates,
    num_documents,
)
from dclm_spark.report.machine import SCHEMA_VERSION
from dclm_spark.yaml_text import read_yaml
from udfs import storage

# Raised when a key of comparison.json goes or changes its meaning.
COMPARISON_VERSION = 1


class Row(NamedTuple):
    """One figure of both runs; None where a run does not have it."""

    name: str
    first: float | None
    second: float | None


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """Two runs by what they are, what their recipes differ in, and what became of the pages.

    `funnel` has what is left after each step, `rules` ("STAGE: RULE") what they took, `languages`
    and `domains` the documents of the corpora, all in documents. `settings` has (key, value in the
    first, value in the second).
    """

    outputs: tuple[str, str]
    recipes: tuple[str, str]
    commits: tuple[str, str]
    headline: str
    totals: tuple[Row, ...]
    settings: tuple[tuple[str, str, str], ...]
    funnel: tuple[Row, ...]
    rules: tuple[Row, ...]
    languages: tuple[Row, ...]
    domains: tuple[Row, ...]
    changes: tuple[FateChange, ...]


class _Run(NamedTuple):
    """What a run has written about itself."""

    output: str
    record: Mapping[str, Any]
    report: Mapping[str, Any]
    recipe: Mapping[str, Any]


def compare_runs(first: str, second: str, start_spark: Callable[[], SparkSession]) -> RunComparison:
    """Compare two finished runs; `start_spark` is called for more than DOCUMENTS_OF_A_DRIVER.

    Raises SettingError for what is not a finished run of this version, and for runs of different
    input, whose documents are not the same ones.
    """
    one, other = (_read(storage.absolute(output)) for output in (first, second))
    _check_same_input(one, other)
    size = max(num_documents(run.output) for run in (one, other))
    spark = start_spark() if size > DOCUMENTS_OF_A_DRIVER else None
    changes = changed_fates(one.output, other.output, spark)
    reports = one.report, other.report
    return RunComparison(
        outputs=(one.output, other.output),
        recipes=(one.record["recipe_name"], other.record["recipe_name"]),
        commits=(one.record["commit"], other.record["commit"]),
        headline=_headline(reports, changes),
        totals=_totals(reports),
        settings=tuple(_differences(one.recipe, other.recipe)),
        funnel=_funnel(*(_named(report["funnel"], "label", "documents") for report in reports)),
        rules=_by_size(*map(_rules, reports)),
        languages=_by_size(*(_named(report["languages"], "language") for report in reports)),
        domains=_by_size(*(_named(report["domains"], "domain") for report in reports)),
        changes=changes,
    )


def write_comparison(found: RunComparison, folder: str) -> tuple[str, str]:
    """Write comparison.html and comparison.json into `folder`; return where they are."""
    page, facts = (storage.join(folder, f"comparison.{kind}") for kind in ("html", "json"))
    storage.write_bytes(page, comparison_page(found).encode())
    text = json.dumps({"schema_version": COMPARISON_VERSION} | asdict_of(found), indent=1)
    storage.write_bytes(facts, text.encode())
    return page, facts


def asdict_of(found: RunComparison) -> dict[str, Any]:
    """Return a comparison as plain values; a row is a dict of name, first and second."""
    plain = asdict(found)
    for name in ("totals", "funnel", "rules", "languages", "domains"):
        plain[name] = [row._asdict() for row in getattr(found, name)]
    return plain


def comparison_page(found: RunComparison) -> str:
    """Return a comparison as one HTML page."""
    sections = {
        "Totals": found.totals,
        "What is left after each step": found.funnel,
        "Taken by rule": found.rules,
        "Languages in the corpus": found.languages,
        "Domains in the corpus": found.domains,
    }
    title = f"{found.recipes[0]} and {found.recipes[1]}"
    return render("comparison.html", title=title, found=found, sections=sections)


def _read(output: str) -> _Run:
    record = existing_run(output)
    check_one_source(output)
    report = report_of_ended(output)
    if report is None:
        raise SettingError(f"the run in {output} did not end: its own command ends it")
    if report["schema_version"] != SCHEMA_VERSION:
        raise SettingError(
            f"{output}/report.json has schema_version {report['schema_version']}, and this version "
            f"reads {SCHEMA_VERSION}: run its command again, which writes the report anew"
        )
    text = storage.read_bytes(storage.join(output, "recipe.yaml")).decode()
    return _Run(output, record, report, read_yaml(text, "recipe.yaml"))


def _check_same_input(one: _Run, other: _Run) -> None:
    if one.record["input_hash"] == other.record["input_hash"]:
        return
    files = [_input_files(run.output) for run in (one, other)]
    raise SettingError(
        f"the runs read other inputs: {len(files[0])} files in {one.output}, {len(files[1])} in "
        f"{other.output}, {len(files[0] & files[1])} of them the same. Documents are compared by "
        "their place in the input: run both recipes on the same --input"
    )


def _input_files(output: str) -> set[tuple[str, str]]:
    listed = json.loads(storage.read_bytes(storage.join(output, "inputs.json")))
    return {(file["crawl"], file["path"]) for file in listed}


def _headline(reports: Sequence[Mapping[str, Any]], changes: Sequence[FateChange]) -> str:
    first, second = (report["kept"] for report in reports)
    changed = sum(change.documents for change in changes)
    lost = sum(change.documents for change in changes if change.before == "kept")
    won = sum(change.documents for change in changes if change.after == "kept")
    return (
        f"{first:,} documents kept against {second:,}: {won:,} more, {lost:,} fewer; "
        f"{changed:,} changed their fate"
    )


def _totals(reports: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    names = ("documents_in", "kept", "dropped", "quarantined", "seconds")
    rows = [Row(name, *(report[name] for report in reports)) for name in names]
    shards = [report["shards"] or {} for report in reports]
    rows += [Row(name, *(one.get(name) for one in shards)) for name in ("tokens", "sequences")]
    cpu = [sum(stage["cpu_seconds"] or 0 for stage in report["stages"]) for report in reports]
    return (*rows, Row("cpu_seconds", *cpu))


def _named(rows: Sequence[Mapping[str, Any]], key: str, value: str = "kept") -> dict[str, Any]:
    return {row[key]: row[value] for row in rows}


def _rules(report: Mapping[str, Any]) -> dict[str, int]:
    return {f"{one['stage']}: {one['rule']}": one["documents"] for one in report["rules"]}


def _funnel(first: Mapping[str, int], second: Mapping[str, int]) -> tuple[Row, ...]:
    """Return what is left in both after each step; a step that took nothing has left what was."""
    names, before = list(first), ""
    for name in second:
        if name not in first:
            names.insert(names.index(before) + 1 if before else 0, name)
        before = name
    rows: list[Row] = []
    left: list[float | None] = [None, None]
    for name in names:
        left = [run.get(name, known) for run, known in zip((first, second), left, strict=True)]
        rows.append(Row(name, *left))
    return tuple(rows)


def _by_size(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Row, ...]:
    """Return the figures of both, those that differ most first."""
    rows = [Row(name, first.get(name), second.get(name)) for name in first.keys() | second.keys()]
    return tuple(
        sorted(rows, key=lambda row: (-abs((row.first or 0) - (row.second or 0)), row.name))
    )


def _differences(first: Any, second: Any, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (dotted key, first value, second value) where two recipes differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        for name in [*first, *(name for name in second if name not in first)]:
            dotted = f"{key}.{name}" if key else name
            yield from _differences(first.get(name), second.get(name), dotted)
    elif first != second:
        yield key, _shown(first), _shown(second)


def _shown(value: Any) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
