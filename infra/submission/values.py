"""Values as users give them: Spark settings, tags, and placeholders that nobody filled in."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from submission.errors import SubmissionError

# What documentation and examples write in place of an account, a bucket or a network.
_PLACEHOLDERS = (
    r"\b(my|your|example)-(bucket|project|cluster|subnet|image|registry)\b",
    r"\bsubnet-(0+|x+)\b",
    r"\b123456789012\b",
    r"\b0*example\b",
    r"^[a-z0-9]+://(\.\.\.|$)",
    r"<[^<>]+>",
)
_PLACEHOLDER = re.compile("|".join(_PLACEHOLDERS), re.IGNORECASE)
# In a plan's Spark settings, though it is the recipe's: jobs/plan_crawl.py --spark-conf.
PLANNED_SHARDS = "spark.dclm_spark.deduplication.shards"
# Settings that the platform decides.
_RESERVED = ("spark.master", "spark.submit.deployMode", "spark.app.id")


def placeholders(request: Any) -> list[str]:
    """Return the strings of `request` that are placeholders, with where they stand."""
    return [f"{place} = {text!r}" for place, text in _strings(request, "") if is_placeholder(text)]


def is_placeholder(text: str) -> bool:
    """Say whether `text` is an example's value and no real one."""
    return bool(_PLACEHOLDER.search(text))


def refuse_placeholders(request: Any) -> None:
    """Raise SubmissionError when any value of `request` is an example's."""
    found = placeholders(request)
    if found:
        raise SubmissionError(
            f"{found[0]}: a placeholder of the examples, and nothing was sent; "
            "put in your own account's value"
        )


def _strings(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, f"{place}.{key}".lstrip("."))
    elif isinstance(value, Sequence):
        for number, item in enumerate(value):
            yield from _strings(item, f"{place}[{number}]")


def pairs(option: str, values: Iterable[str]) -> dict[str, str]:
    """Return `KEY=VALUE` strings as a dict; the last of a key counts."""
    found = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise SubmissionError(f"{option} {text!r}: must be KEY=VALUE")
        found[key.strip()] = value.strip()
    return found


def spark_settings(assignments: Iterable[str], files: Iterable[str] = ()) -> dict[str, str]:
    """Return the Spark settings of properties files, and over them those of `--conf`.

    Raises SubmissionError for keys that are not Spark's or that the platform decides.
    """
    found: dict[str, str] = {}
    for name in files:
        found |= read_properties(name)
    found |= pairs("--conf", assignments)
    for key, value in found.items():
        if not key.startswith("spark.") or key.endswith("."):
            raise SubmissionError(
                f"--conf {key}={value}: a Spark setting begins with 'spark.'; settings of the "
                "recipe go after --, as --set KEY=VALUE"
            )
        if key in _RESERVED:
            raise SubmissionError(f"--conf {key}={value}: the platform decides this; leave it out")
        if re.search(r"[\r\n]", value) or not value:
            raise SubmissionError(f"--conf {key}={value!r}: must be one line and not empty")
    return found


def read_properties(name: str) -> dict[str, str]:
    """Return the settings of a properties file, such as jobs/plan_crawl.py --spark-conf writes."""
    path = Path(name)
    if not path.is_file():
        raise SubmissionError(
            f"--conf-file {name}: there is no such file; jobs/plan_crawl.py --spark-conf FILE "
            "writes one"
        )
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.strip()
        if not text or text[0] in "#!":
            continue
        parts = re.split(r"\s*[=:\s]\s*", text, maxsplit=1)
        if len(parts) != 2:
            raise SubmissionError(f"--conf-file {name}, line {number}: {text!r} has no value")
        found[parts[0]] = parts[1]
    return found


def take_planned_shards(conf: dict[str, str]) -> int | None:
    """Take the number of dedup shards that a plan asks for out of its Spark settings."""
    text = conf.pop(PLANNED_SHARDS, "")
    return int(matching(PLANNED_SHARDS, text, r"[1-9]\d*", "a whole number")) if text else None


def refuse_too_few_shards(shards: int | None, planned: int | None) -> None:
    """Raise SubmissionError when the plan of a crawl needs more shards than a recipe has."""
    if planned and (shards is None or shards < planned):
        raise SubmissionError(
            f"deduplication.shards = {shards}: the plan of this crawl needs at least {planned}, or "
            f"a filter does not fit its task; give --set deduplication.shards={planned}"
        )


def matching(setting: str, value: str, pattern: str, allowed: str) -> str:
    """Return `value`; raises SubmissionError unless all of it matches `pattern`."""
    # Airflow fills templates in later.
    if "{{" in value or re.fullmatch(pattern, value):
        return value
    raise SubmissionError(f"{setting} = {value!r}: must be {allowed}")
