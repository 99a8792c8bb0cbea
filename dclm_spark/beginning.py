"""How a run begins: what it was asked for, what it finds, and that no other driver is at it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from dclm_spark.crawl.listing import InputFile, find_inputs
from dclm_spark.engine.lease import only_driver
from dclm_spark.engine.monitoring.run_clock import RunClock
from dclm_spark.engine.run_record import RunIdentity, run_identity, write_run_record
from dclm_spark.errors import SettingError
from dclm_spark.preflight import CheckedRun, check_run, describe
from dclm_spark.recipes.recipe import Recipe, recipe_hash
from dclm_spark.stages import STAGES
from dclm_spark.stages.finished_work import check_finished_work, remove_other_formats
from dclm_spark.stages.language_texts import LanguageTexts
from udfs import storage

LOGGER = logging.getLogger("dclm_spark")
# From the name of a stage to its folder.
Place = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a run reads and writes; see `build_baseline`."""

    inputs: str
    output: str
    base: str | None = None
    place: Place | None = None
    scored: str | None = None
    limit: int | None = None
    overwrite: bool = False
    # A file for Prometheus (`dclm_spark.engine.monitoring.run_metrics`).
    metrics: str | None = None
    # The language of a run of several, whose files somebody has read, and what was checked then.
    texts: LanguageTexts | None = None
    checked: CheckedRun | None = None


class Source(NamedTuple):
    """What the documents stage reads, whether it may replace finished work, and the run's clock."""

    recipe: Recipe
    files: Sequence[InputFile]
    scored: str | None
    texts: LanguageTexts | None
    overwrite: bool
    clock: RunClock


class Begun(NamedTuple):
    """A run that has begun: who it is, where it lies and what it reads."""

    identity: RunIdentity
    output: str
    place: Place
    source: Source
    skipped: tuple[str, ...]


@contextmanager
def begin(recipe: Recipe, request: RunRequest) -> Iterator[Begun]:
    """Check a run, keep other drivers away, and say beside its output what it is."""
    output = storage.absolute(request.output)
    _check_scored(recipe, request.scored)
    checked = request.checked
    if checked is None:
        checked = check_run(recipe, request.inputs, output, base=request.base, limit=request.limit)
        for line in describe(recipe, checked):
            LOGGER.info("%s", line)
    place = request.place or stages_below(output)
    files = checked.inputs.files
    identity = run_identity(recipe.name, recipe_hash(recipe), files)
    with only_driver(output, *([request.scored] if request.scored else [])):
        if request.overwrite:
            remove_other_formats(output, map(place, STAGES))
        else:
            check_finished_work(output, identity, files, place("documents"))
        write_run_record(output, recipe, files, identity)
        clock = RunClock(output, ":".join(identity.key), request.metrics)
        source = Source(recipe, files, request.scored, request.texts, request.overwrite, clock)
        yield Begun(identity, output, place, source, checked.inputs.skipped)


def _check_scored(recipe: Recipe, scored: str | None) -> None:
    if scored is not None and recipe.input.columns:
        raise SettingError(
            f"input.columns = {list(recipe.input.columns)}: a scored table keeps no own columns; "
            "run without --scored, or without input.columns"
        )


def check_output(
    recipe: Recipe, inputs: str, output: str, *, base: str | None = None, limit: int | None = None
) -> None:
    """Raise SettingError where `output` holds finished work of another recipe or other files."""
    place, files = storage.absolute(output), find_inputs(inputs, base, limit).files
    identity = run_identity(recipe.name, recipe_hash(recipe), files)
    check_finished_work(place, identity, files, stages_below(place)("documents"))


def check_before_start(
    recipe: Recipe,
    inputs: str,
    output: str,
    *,
    base: str | None = None,
    limit: int | None = None,
    overwrite: bool = False,
) -> CheckedRun:
    """Check everything that can be before Spark starts, finished work in `output` first."""
    if not overwrite:
        check_output(recipe, inputs, output, base=base, limit=limit)
    return check_run(recipe, inputs, output, base=base, limit=limit)


def stages_below(output: str) -> Place:
    """Return the usual places: `output`/stages/<stage>, and the shards in `output`/shards."""

    def place(stage: str) -> str:
        return storage.join(output, *(("shards",) if stage == "shards" else ("stages", stage)))

    return place
