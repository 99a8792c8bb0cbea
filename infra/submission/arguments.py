"""Arguments of a job, looked at by the job's own parser before a cluster costs anything."""

import argparse
import hashlib
import runpy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn

from submission.errors import SubmissionError
from submission.values import refuse_too_few_shards

ROOT = Path(__file__).resolve().parents[2]
JOBS = ROOT / "jobs"
# Jobs that are Spark's work, end to end.
SUBMITTED = ("build_baseline", "annotate", "rank_recipes")
_REMOTE = ("s3://", "gs://", "http://", "https://", "hf://")


@dataclass(frozen=True, kw_only=True)
class CheckedArguments:
    """Arguments as the cluster gets them, and recipe files of this machine by their new URI."""

    arguments: tuple[str, ...]
    recipes: dict[str, Path]


def check_arguments(
    job: str,
    arguments: Sequence[str],
    *,
    code: str,
    schemes: Sequence[str],
    planned_shards: int | None = None,
) -> CheckedArguments:
    """Parse `arguments` by the job's own parser and load its recipe; say what the cluster gets.

    `code` is where recipe files of this machine will lie; outputs must begin with one of `schemes`;
    `planned_shards` are what the plan of the crawl needs at least. Raises SubmissionError (or the
    recipe's own SettingError) for whatever the job would refuse, or could not reach.
    """
    given = _parse(job, arguments)
    names = list(getattr(given, "recipes", None) or [given.recipe])
    has_sources = [_check_recipe(name, given.set, planned_shards) for name in names]
    _check_places(given, schemes, needs_input=not any(has_sources))
    shipped = {name: _recipe_uri(code, name) for name in names if _is_local_recipe(name)}
    return CheckedArguments(
        arguments=tuple(_replaced(argument, shipped) for argument in arguments),
        recipes={uri: Path(name) for name, uri in shipped.items()},
    )


def _parse(job: str, arguments: Sequence[str]) -> argparse.Namespace:
    if job not in SUBMITTED:
        raise SubmissionError(f"--job {job}: must be one of {', '.join(SUBMITTED)}")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    try:
        parser = runpy.run_path(str(JOBS / f"{job}.py"))["argument_parser"]()
    except ModuleNotFoundError as error:
        raise SubmissionError(
            f"the arguments after -- cannot be checked here, there is no module {error.name!r}: "
            "run this with the Python of `make` (.venv/bin/python)"
        ) from error

    def refuse(message: str) -> NoReturn:
        raise SubmissionError(
            f"{job}.py would refuse its arguments (those after --): {parser.told(message)}"
        )

    parser.error = refuse
    # An abbreviation that is clear today is none once the job has another option.
    parser.allow_abbrev = False
    return parser.parse_args(list(arguments))


def _check_places(given: argparse.Namespace, schemes: Sequence[str], *, needs_input: bool) -> None:
    if given.master is not None:
        raise SubmissionError(f"--master {given.master}: the platform decides this; leave it out")
    if not given.output.startswith(tuple(schemes)):
        raise SubmissionError(
            f"--output {given.output}: must begin with {' or '.join(schemes)}; the disks of a "
            "cluster go with it"
        )
    if given.input is None and needs_input:
        raise SubmissionError(
            "--input: must be given; the embedded sample is for one machine (make baseline)"
        )
    for option in ("input", "base", "scored"):
        _check_remote(f"--{option}", getattr(given, option, None))


def _check_remote(where: str, uris: str | None) -> None:
    for uri in (uris or "").split(","):
        if uri and not uri.startswith(_REMOTE):
            raise SubmissionError(
                f"{where} {uri}: no executor sees this machine's disk; copy it to a bucket and "
                "give its address"
            )


def _check_recipe(name: str, assignments: Sequence[str], planned_shards: int | None) -> bool:
    """Check a recipe and, where it has some, its sources; say whether it has."""
    from dclm_spark.recipes import load_recipe
    from dclm_spark.recipes.source_recipes import source_recipes

    recipe = load_recipe(name, assignments)
    for source, given in recipe.sources.items():
        _check_remote(f"sources.{source}.input", given.input)
        _check_remote(f"sources.{source}.base", given.base)
    for one in source_recipes(recipe).values() if recipe.sources else [recipe]:
        for setting, uri in _uris(one, ""):
            if _is_local(uri):
                raise SubmissionError(
                    f"{setting} = {uri!r}: no executor sees this machine's disk; copy it to a "
                    "bucket, and its address into the recipe"
                )
        if one.deduplication.method.memory_follows_shard:
            refuse_too_few_shards(one.deduplication.shards, planned_shards)
    return bool(recipe.sources)


def _uris(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if is_dataclass(value):
        for field in fields(value):
            yield from _uris(getattr(value, field.name), f"{place}.{field.name}".lstrip("."))
    elif isinstance(value, str) and place.rpartition(".")[2] == "uri":
        yield place, value


def _is_local(uri: str) -> bool:
    return bool(uri) and ("://" not in uri or uri.startswith("file://"))


def _is_local_recipe(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) and _is_local(name)


def _recipe_uri(code: str, name: str) -> str:
    """Return where a recipe file goes; another content is another address."""
    digest = hashlib.sha256(Path(name).read_bytes()).hexdigest()[:12]
    return f"{code}/recipes/{Path(name).stem}-{digest}.yaml"


def _replaced(argument: str, shipped: dict[str, str]) -> str:
    option, equals, value = argument.rpartition("=")
    if value in shipped and (not equals or option.startswith("--recipe")):
        return f"{option}{equals}{shipped[value]}"
    return argument
