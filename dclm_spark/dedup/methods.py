"""Settings of deduplication: exact keys, then one method with the settings of its own."""

from dataclasses import dataclass, field

from dclm_spark.dedup.duplicate_lines import Lines
from dclm_spark.dedup.exact import EXACT_KEYS, ExactOnly
from dclm_spark.dedup.global_ngrams import GlobalNgrams
from dclm_spark.dedup.method import DedupMethod
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.dedup.sharded_ngrams import ShardedNgrams
from dclm_spark.settings_choices import chosen_by_name
from udfs.checks import between, check, one_of
from udfs.units.text_keys import NORMALIZATIONS

# The only place that knows the methods' names. "sharded" is n-gram dedup in independent shards
# (DCLM-BASELINE), "global" the same with the first owner of each n-gram in the whole corpus,
# "minhash" finds near duplicates in the whole corpus, "lines" leaves one copy of each line (C4),
# "none" stops after the exact keys.
METHODS: dict[str, type[DedupMethod]] = {
    "sharded": ShardedNgrams,
    "global": GlobalNgrams,
    "minhash": MinHash,
    "lines": Lines,
    "none": ExactOnly,
}
# Keys that the settings of a method had in recipes before they were named after it.
_FORMER_KEYS = {"ngrams": "sharded", "global_ngrams": "global", "near_duplicates": "minhash"}
MODES = ("remove", "annotate")


@dataclass(frozen=True, kw_only=True)
class DeduplicationSettings:
    """Exact keys, then one method; in YAML `method: minhash` with its settings in `minhash:`."""

    # Any of "text", "url"; DCLM-BASELINE uses neither.
    exact: tuple[str, ...] = ()
    # What texts are compared as by the exact key: "none", as they are; "nfc", so that composed and
    # decomposed letters are the same; "" for what `quirks` implies: none for dclm-2024.
    text_normalization: str = ""
    method: DedupMethod = field(
        default_factory=ShardedNgrams, metadata=chosen_by_name(METHODS, _FORMER_KEYS)
    )
    # "remove", or "annotate": keep text and documents, record what would have gone.
    mode: str = "remove"
    # spec 3.1: 10 global x 10 local shards for the whole pool; one shard per ~700 GB of text.
    shards: int = 100
    seed: int = 1234
    # Outputs of runs on earlier crawls with the same method: what they hold is not kept again.
    earlier: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, mode=one_of(MODES), shards=between(1, 99_999))
        check(self, text_normalization=one_of(("", *NORMALIZATIONS)))
        if not set(self.exact) <= set(EXACT_KEYS):
            raise ValueError(f"exact = {list(self.exact)}: expected any of {', '.join(EXACT_KEYS)}")
        if self.earlier and not self.method.keeps_table:
            tables = ", ".join(name for name, method in METHODS.items() if method.keeps_table)
            raise ValueError(
                f"earlier = {list(self.earlier)}: expected an empty list unless method is one of "
                f"{tables}"
            )

    @property
    def method_name(self) -> str:
        """Return the name of the method in METHODS."""
        return next(name for name, kind in METHODS.items() if type(self.method) is kind)
