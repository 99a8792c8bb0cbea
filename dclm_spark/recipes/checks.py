"""What a recipe names, opened before Spark starts: models, lists, tokenizers, packages."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from dclm_spark.dedup.decisions import open_schema
from dclm_spark.dedup.earlier import earlier_keys
from dclm_spark.dedup.near_duplicates import SCORE, NearDuplicateSettings
from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.datasets import load_task
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.recipes.deciding import check_decisions, compared_schema
from dclm_spark.recipes.recipe import Recipe, curation_settings
from dclm_spark.recipes.several_languages import check_one_language
from dclm_spark.settings import FileReference
from dclm_spark.signals.signal_tables import is_number
from dclm_spark.stages.decontaminate import measured_kinds
from dclm_spark.stages.score import check_model
from dclm_spark.stages.tokenize import with_special_ids
from udfs import storage
from udfs.fasttext.model import labels_of
from udfs.html.extractors import missing_package
from udfs.languages.codes import code_of, is_code, nearest_codes
from udfs.languages.segmenters import missing_segmenter
from udfs.rules.url_lists import UrlLists
from udfs.storage import hub
from udfs.storage.cache import ChecksumError, fetch
from udfs.storage.stream import shown
from udfs.units.curate import url_lists

LOGGER = logging.getLogger("dclm_spark")
# Lines of a list that are quoted in a warning.
_SHOWN_LINES = 3


def check_recipe(recipe: Recipe) -> None:
    """Fetch and open every list, model and tokenizer of a recipe, and look at what is in them."""
    check_values(recipe)
    _check_extractors(recipe)
    check_model(recipe.quality)
    check_references(recipe)
    _warn_of_unread(url_lists(curation_settings(recipe)))
    if recipe.heuristics.enabled:
        _check_language(recipe)
    if recipe.quality.enabled:
        _check_classifier(recipe)
    check_decisions(recipe)
    with_special_ids(recipe.tokens, recipe.quirks)
    earlier_keys(recipe.deduplication)
    measured_kinds(recipe.decontamination)
    if recipe.decontamination.data is not None:
        for task in select_tasks(recipe.decontamination.tasks):
            load_task(task, recipe.decontamination.data)


def check_values(recipe: Recipe) -> None:
    """Look at whether the values of a recipe go together; no file that it names is opened.

    Raises SettingError as a run of it would.
    """
    check_one_input(recipe)
    _check_prescreen(recipe)
    _check_order_of_stages(recipe)
    check_survivor_order(recipe)


def check_one_input(recipe: Recipe) -> None:
    """Raise SettingError for a recipe of several sources or languages, where a run is of one."""
    check_one_language(recipe)
    if recipe.sources:
        raise SettingError(
            f"sources: the recipe {recipe.name} names its own inputs "
            f"({', '.join(recipe.sources)}); jobs/build_baseline.py and jobs/plan_mixture.py alone "
            "run such a recipe"
        )


def references(settings: Any, prefix: str = "") -> Iterator[tuple[str, FileReference]]:
    """Yield every file that a settings tree names, with its dotted key."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, FileReference):
            yield f"{prefix}{field.name}", value
        elif is_dataclass(value):
            yield from references(value, f"{prefix}{field.name}.")
        elif isinstance(value, Mapping):
            for name, one in value.items():
                if is_dataclass(one):
                    yield from references(one, f"{prefix}{field.name}.{name}.")


def check_references(recipe: Recipe) -> None:
    """Fetch the files that a recipe names and uses; one error names all that are out of reach."""
    missing: list[tuple[str, str]] = []
    reasons: list[str] = []
    for key, file in references(recipe):
        if key == "quality.model" and not recipe.quality.enabled:
            continue
        try:
            fetch(file.uri, file.sha256)
        except hub.UnreachableError as error:
            missing.append((key, hub.parse(file.uri).web_address))
            reasons.append(str(error))
        except (storage.StorageError, ChecksumError, OSError) as error:
            raise InputError(f"{key}: {error}") from error
        _warn_of_unpinned(key, file)
    if missing:
        raise InputError(_without_network(missing, reasons[0]))


def _without_network(missing: Sequence[tuple[str, str]], reason: str) -> str:
    addresses = " and ".join(address for _, address in missing)
    settings = " ".join(f"--set {key}.uri=FILE" for key, _ in missing)
    return (
        f"{reason}. Where there is a network, fetch {addresses}; then give {settings} "
        "(a path or URI that every executor can read)"
    )


def _warn_of_unpinned(key: str, file: FileReference) -> None:
    if file.uri.startswith(hub.SCHEME) and not (file.sha256 or hub.parse(file.uri).pinned):
        LOGGER.warning(
            "%s.uri = %s: the file may change between runs and hosts; name a commit (@REVISION) "
            "or give %s.sha256", key, file.uri, key,
        )  # fmt: skip


def _warn_of_unread(lists: UrlLists) -> None:
    for name, source in lists.sources.items():
        if source.unread:
            LOGGER.warning(
                "url_lists.%s: %s of %s lines of %s name no host and ban nothing, such as %s; "
                "expected a host, a host with a path, or *.HOST on each line",
                name, f"{len(source.unread):,}", f"{source.entry_count:,}", shown(source.path),
                ", ".join(map(repr, source.unread[:_SHOWN_LINES])),
            )  # fmt: skip


def _check_extractors(recipe: Recipe) -> None:
    key = "extraction.views" if recipe.extraction.views else "extraction.extractor"
    for name in recipe.extraction.extractors:
        if package := missing_package(name):
            raise SettingError(
                f"{key}: {name!r} needs the package {package}, which is not installed; install "
                "dclm-spark[extractors] here and on every executor"
            )


def _check_prescreen(recipe: Recipe) -> None:
    """Refuse a look at the language where no rule asks for one, or all is to be measured."""
    heuristics = recipe.heuristics
    if not recipe.extraction.prescreen.enabled:
        return
    if not heuristics.enabled:
        raise SettingError(
            "extraction.prescreen.enabled = true: heuristics.enabled = false, and so no page is "
            "dropped for its language; leave one of them out"
        )
    if heuristics.annotate == "all":
        raise SettingError(
            "extraction.prescreen.enabled = true: heuristics.annotate = 'all' measures every page; "
            "leave one of them out"
        )


def _check_language(recipe: Recipe) -> None:
    known = labels_of(fetch(recipe.language_model.uri, recipe.language_model.sha256))
    language = recipe.heuristics.language
    if is_code(language):
        known = tuple(code_of(label) for label in known)
    if recipe.heuristics.family.segments_words and (package := missing_segmenter(language)):
        raise SettingError(
            f"language = {language!r}: its words need the package {package}, which is not "
            "installed; install dclm-spark[languages] here and on every executor"
        )
    if language not in known:
        hint = nearest_codes(language, known)
        more = "" if hint else f"; expected one of {', '.join(sorted(known))}"
        raise SettingError(
            f"heuristics.language = {language!r}: {hint}the language model does not know it{more}"
        )


def _check_order_of_stages(recipe: Recipe) -> None:
    if recipe.quality.before_deduplication and not recipe.quality.enabled:
        raise SettingError(
            "quality.before_deduplication = true: quality.enabled = false, and so no classifier "
            "judges the documents; set quality.enabled=true, or leave before_deduplication out"
        )


def check_survivor_order(recipe: Recipe) -> None:
    """Raise SettingError for an order by columns that documents do not have or cannot have."""
    method = recipe.deduplication.method
    if not isinstance(method, NearDuplicateSettings):
        return
    documents = open_schema(compared_schema(recipe))
    where = f"deduplication.minhash.survivor_order = {list(method.survivor_order)}"
    unknown = [name for name in method.read_columns if name not in documents.names]
    if SCORE in unknown:
        raise SettingError(
            f"{where}: no document has a score before copies are removed; set "
            "quality.before_deduplication=true, which needs a classifier, or order by any of "
            f"{', '.join(documents.names)}, longest, newest, crawl_order"
        )
    if unknown:
        raise SettingError(
            f"{where}: no column of the documents stage is called {unknown[0]!r}; expected any of "
            f"{', '.join(documents.names)}, or longest, newest, best_score, crawl_order"
        )
    for name in method.sort_columns:
        bare = name.removeprefix("-")
        if name != bare and bare in documents.names and not is_number(documents.field(bare).type):
            raise SettingError(
                f"{where}: only numbers can be preferred by size, and {bare} is "
                f"{documents.field(bare).type}"
            )


def _check_classifier(recipe: Recipe) -> None:
    settings = recipe.quality
    assert settings.model is not None
    try:
        labels = labels_of(fetch(settings.model.uri, settings.model.sha256))
    except ValueError as error:
        raise InputError(f"quality.model: {error}") from error
    expected = (settings.positive_label, settings.negative_label)
    if set(labels) != set(expected):
        raise SettingError(
            f"quality.positive_label, quality.negative_label = {expected!r}: the model "
            f"{shown(settings.model.uri)} has the labels {', '.join(labels[:10])}; expected the "
            "two labels of the model"
        )
