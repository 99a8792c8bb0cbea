"""A run in several languages: files are read once, and each language has a corpus of its own.

All texts are extracted and labelled in `stages/documents`; `stages/languages` says which of them
have a corpus; each language is a run below languages/CODE with its own rules, copies, tokens and
shards. Another list of languages, or other rules, need no file again.
"""

import logging
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pyspark.sql import SparkSession

from dclm_spark.beginning import RunRequest, check_output, stages_below
from dclm_spark.engine.lease import only_driver
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.monitoring.run_clock import RunClock, timed_stage
from dclm_spark.engine.run_output import RunOutput, RunProgress
from dclm_spark.engine.run_record import (
    LANGUAGES,
    RunIdentity,
    run_identity,
    write_run_record,
)
from dclm_spark.errors import SettingError
from dclm_spark.limits import check_documents
from dclm_spark.pipeline import run_to_shards, write_reports
from dclm_spark.preflight import CheckedRun, check_run, describe, recipe_line
from dclm_spark.recipes import language_recipes
from dclm_spark.recipes.checks import check_recipe
from dclm_spark.recipes.fineweb2 import EVERY
from dclm_spark.recipes.recipe import Recipe, curation_settings, recipe_hash
from dclm_spark.report.closing import summary_metrics
from dclm_spark.report.source_summary import summarize_languages
from dclm_spark.report.summarize import summarize
from dclm_spark.report.summary import RunSummary
from dclm_spark.session import spark_session
from dclm_spark.stages.finished_work import check_finished_work, remove_other_formats
from dclm_spark.stages.language_texts import (
    LanguageTexts,
    documents_by_language,
    route_languages,
    write_language_texts,
)
from udfs import storage
from udfs.documents.schema import STAGE
from udfs.units.language_texts import ROUTE_STAGE

LOGGER = logging.getLogger("dclm_spark")


@dataclass(frozen=True, kw_only=True)
class LanguageRecipes:
    """A recipe in several languages, and the recipe of each by its code (`language_recipes`)."""

    whole: Recipe
    by_language: Mapping[str, Recipe]

    @property
    def first(self) -> Recipe:
        """Return one of them: in how files are read they are all alike."""
        return next(iter(self.by_language.values()))


@dataclass(kw_only=True)
class _Begun:
    """A run under way, and what of it has ended."""

    output: str
    checked: CheckedRun
    clock: RunClock
    identity: RunIdentity
    run: RunProgress = field(default_factory=RunProgress)
    # Documents with a text by language, of all languages.
    documents: Mapping[str, int] = field(default_factory=dict)
    summaries: dict[str, RunSummary] = field(default_factory=dict)

    def place(self, stage: str) -> str:
        return stages_below(self.output)(stage)


def build_languages(
    spark: SparkSession, recipes: LanguageRecipes, request: RunRequest
) -> dict[str, RunOutput]:
    """Make a corpus of each language below `request.output`, and write the reports.

    Returns the output of each language of which there is a page; another one of a list has a
    warning. What is committed is not done again, as in `dclm_spark.pipeline.build_baseline`.
    """
    check_languages(recipes, request)
    with _begun(recipes, request) as begun:
        texts = _read(spark, recipes, begun, request)
        outputs = {}
        for code in _found(recipes, begun.documents):
            LOGGER.info("language %s", code)
            asked = replace(
                request, output=language_output(begun.output, code), metrics=None,
                texts=LanguageTexts(texts, code), checked=begun.checked,
            )  # fmt: skip
            outputs[code], begun.summaries[code] = run_to_shards(
                spark, recipes.by_language[code], asked
            )
    return outputs


def language_output(output: str, code: str) -> str:
    """Return the folder of the run of a language."""
    return storage.join(output, LANGUAGES, code)


def check_languages(recipes: LanguageRecipes, request: RunRequest) -> None:
    """Raise SettingError for what a run in several languages cannot do, or a language lacks."""
    whole = recipes.whole
    extraction = whole.extraction
    wrong = {
        "sources": (bool(whole.sources), "each source has its own language; give it there"),
        "--scored": (request.scored is not None, "run without it: files are read once anyway"),
        "extraction.views": (bool(extraction.views), "a text needs one view; set it to []"),
        "extraction.prescreen.enabled": (
            extraction.prescreen.enabled, "it looks for one language; leave one of them out",
        ),
        "heuristics.enabled": (
            not recipes.first.heuristics.enabled,
            "no rule would ask for the language; leave it true",
        ),
    }  # fmt: skip
    for key, (is_wrong, told) in wrong.items():
        if is_wrong:
            raise SettingError(f"language = {whole.language!r} with {key}: {told}")
    for recipe in recipes.by_language.values():
        check_recipe(recipe)


def _read(
    spark: SparkSession, recipes: LanguageRecipes, begun: _Begun, request: RunRequest
) -> StageOutput:
    settings, files = curation_settings(recipes.first), begun.checked.inputs.files
    with timed_stage(spark, begun.clock, STAGE):
        texts = write_language_texts(spark, files, settings, begun.place(STAGE), request.overwrite)
    begun.run.documents = texts
    check_documents(texts, recipes.whole.limits)
    begun.documents = documents_by_language(texts)
    with timed_stage(spark, begun.clock, ROUTE_STAGE):
        begun.run.selected = route_languages(
            spark, texts, list(recipes.by_language), begun.place(ROUTE_STAGE),
            every=recipes.whole.language == EVERY,
        )  # fmt: skip
    return texts


def _found(recipes: LanguageRecipes, documents: Mapping[str, int]) -> list[str]:
    """Return the languages with a page, in the recipe's order; warn of others that are listed."""
    missing = [code for code in recipes.by_language if not documents.get(code)]
    if missing and recipes.whole.language != EVERY:
        LOGGER.warning("language: no page is in %s", ", ".join(missing))
    return [code for code in recipes.by_language if code not in missing]


@contextmanager
def _begun(recipes: LanguageRecipes, request: RunRequest) -> Iterator[_Begun]:
    """Keep other drivers away, say beside the output what it is, and report at the end."""
    output, failure, whole = storage.absolute(request.output), "", recipes.whole
    checked = _checked(recipes, request)
    for line in _described(recipes, checked):
        LOGGER.info("%s", line)
    files = checked.inputs.files
    identity = run_identity(whole.name, recipe_hash(whole), files)
    place = stages_below(output)
    with only_driver(output):
        if request.overwrite:
            remove_other_formats(output, [place(STAGE), place(ROUTE_STAGE)])
        else:
            check_finished_work(output, identity, files, place(STAGE))
        write_run_record(output, whole, files, identity, list(recipes.by_language))
        clock = RunClock(output, ":".join(identity.key), request.metrics)
        begun = _Begun(output=output, checked=checked, clock=clock, identity=identity)
        try:
            with clock.running():
                yield begun
            found = [code for code in recipes.by_language if code in begun.summaries]
            write_run_record(output, whole, files, identity, found)
        except (Exception, KeyboardInterrupt) as error:
            failure = str(error) or type(error).__name__
            raise
        finally:
            _report(recipes, begun, failure)


def _report(recipes: LanguageRecipes, begun: _Begun, failure: str) -> None:
    whole = summarize(begun.run, recipes.whole, begun.identity, begun.clock, failure)
    whole = replace(whole, skipped_files=begun.checked.inputs.skipped)
    summary = summarize_languages(whole, begun.summaries, begun.documents)
    write_reports(summary, begun.output)
    begun.clock.write_metrics(summary_metrics(summary))


def _checked(recipes: LanguageRecipes, request: RunRequest) -> CheckedRun:
    """Check input and output, by one of the recipes."""
    return check_run(
        recipes.first, request.inputs, request.output, base=request.base, limit=request.limit
    )


def _described(recipes: LanguageRecipes, checked: CheckedRun) -> list[str]:
    lines = [f"language {', '.join(recipes.by_language)}: one corpus each of"]
    # Of one language are the stages; the run itself is of the recipe that has them all.
    return [*lines, recipe_line(recipes.whole), *describe(recipes.first, checked)[1:]]


def build_from_arguments(recipe: Recipe, given: Namespace) -> None:
    """Run what the command line of jobs/build_baseline.py asks of a recipe in several languages."""
    if not given.input:
        raise SettingError(
            f"language = {recipe.language!r}: give --input; the embedded sample is made for one"
        )
    run = {name: getattr(given, name) for name in ("base", "limit", "overwrite")}
    request = RunRequest(
        inputs=given.input, output=given.output, scored=given.scored, metrics=given.metrics, **run
    )
    by_language = language_recipes(given.recipe, given.set, given.options)
    recipes = LanguageRecipes(whole=recipe, by_language=by_language)
    check_languages(recipes, request)
    if not given.overwrite:
        check_output(recipe, given.input, given.output, base=given.base, limit=given.limit)
    if given.check:
        return print("\n".join(_described(recipes, _checked(recipes, request))))
    outputs = build_languages(spark_session("build_baseline", given.master), recipes, request)
    for code, output in outputs.items():
        kept = output.selected.documents()["kept"]
        print(f"{code}: {kept:,} documents, {language_output(given.output, code)}")
