"""How a run of several sources begins: what can be said of every source before Spark starts."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from dclm_spark.arguments.output_folder import check_writable
from dclm_spark.beginning import stages_below
from dclm_spark.crawl.listing import InputFile, find_inputs
from dclm_spark.engine.run_record import SOURCES, RunIdentity, run_identity
from dclm_spark.errors import InputError, SettingError
from dclm_spark.preflight import CheckedRun, check_run, describe
from dclm_spark.recipes.recipe import Recipe, recipe_hash
from dclm_spark.recipes.source_recipes import check_compared, source_recipes
from dclm_spark.stages.finished_work import check_finished_work
from udfs import storage


@dataclass(frozen=True, kw_only=True)
class MixedRequest:
    """Where a run of several sources lies, and what it may do to finished work there."""

    output: str
    # Read only so many files of each source.
    limit: int | None = None
    overwrite: bool = False
    # A file for Prometheus (`dclm_spark.engine.monitoring.run_metrics`).
    metrics: str | None = None


def request_of(given: Namespace) -> MixedRequest:
    """Return what the command line of a job asks of a recipe of several sources."""
    for name in ("input", "base", "scored"):
        if getattr(given, name) is not None:
            where = f"sources.NAME.{name}" if name != "scored" else "a recipe of one input"
            raise SettingError(
                f"--{name} {getattr(given, name)}: the recipe has sources, each with its own "
                f"input; give {where} instead"
            )
    metrics = getattr(given, "metrics", None)
    return MixedRequest(
        output=given.output, limit=given.limit, overwrite=given.overwrite, metrics=metrics
    )


def check_sources_before_start(recipe: Recipe, request: MixedRequest) -> dict[str, CheckedRun]:
    """Check all that can be of every source before Spark starts; errors name the source."""
    recipes = source_recipes(recipe)
    if recipe.mixture.deduplicate:
        check_compared(recipes)
    if not request.overwrite:
        check_finished(recipe, request)
    check_writable(request.output)
    return {name: _checked(recipe, name, one, request) for name, one in recipes.items()}


def _checked(recipe: Recipe, name: str, own: Recipe, request: MixedRequest) -> CheckedRun:
    given = recipe.sources[name]
    with named(name):
        return check_run(
            own, given.input, source_output(request.output, name), base=given.base,
            limit=request.limit,
        )  # fmt: skip


@contextmanager
def named(source: str) -> Iterator[None]:
    """Put the name of a source before errors that speak of `--input` or of a recipe's key."""
    try:
        yield
    except (SettingError, InputError) as error:
        text = str(error).replace("--input", "input")
        if text.startswith("sources."):
            raise
        raise type(error)(f"sources.{source}: {text}") from error


def describe_sources(recipe: Recipe, checked: Mapping[str, CheckedRun]) -> list[str]:
    """Return the plan of a run as lines, source by source."""
    recipes = source_recipes(recipe)
    lines = []
    for name, run in checked.items():
        lines += [f"source   {name}", *(f"  {line}" for line in describe(recipes[name], run))]
    return lines


def source_output(output: str, name: str) -> str:
    """Return the folder of the run of a source."""
    return storage.join(output, SOURCES, name)


def identity_of(recipe: Recipe, request: MixedRequest) -> tuple[list[InputFile], RunIdentity]:
    """Return the files of all sources, and what running the recipe on them is called."""
    files: list[InputFile] = []
    for name, one in recipe.sources.items():
        with named(name):
            files += find_inputs(one.input, one.base, request.limit).files
    return files, run_identity(recipe.name, recipe_hash(recipe), files)


def check_finished(recipe: Recipe, request: MixedRequest) -> None:
    """Raise SettingError where the output holds finished work of another recipe."""
    output = storage.absolute(request.output)
    files, identity = identity_of(recipe, request)
    check_finished_work(output, identity, files, stages_below(output)("documents"))
