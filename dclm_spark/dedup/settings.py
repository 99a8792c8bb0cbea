"""How copies are found and what is done with them: the `deduplication` part of a recipe."""

from dataclasses import dataclass, field

from dclm_spark.dedup.exact import EXACT_KEYS
from dclm_spark.dedup.minhash import NearDuplicateSettings
from udfs.checks import between, check, one_of
from udfs.dedup.global_ngrams import GlobalNgramSettings
from udfs.dedup.lines import LineDedupSettings
from udfs.dedup.ngrams import NgramDedupSettings

METHODS = ("sharded", "global", "minhash", "lines", "none")
# Methods that leave a table of a crawl against which later crawls are compared.
TABLE_METHODS = ("global", "minhash")
MODES = ("remove", "annotate")


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

    def __post_init__(self) -> None:
        check(self, method=one_of(METHODS), mode=one_of(MODES), shards=between(1, 99_999))
        if not set(self.exact) <= set(EXACT_KEYS):
            raise ValueError(f"exact = {list(self.exact)}: expected any of {', '.join(EXACT_KEYS)}")
        if self.earlier and self.method not in TABLE_METHODS:
            raise ValueError(
                f"earlier = {list(self.earlier)}: expected an empty list unless method is one of "
                f"{', '.join(TABLE_METHODS)}"
            )

    @property
    def ngram_threshold(self) -> float:
        """Return the share of n-grams above which the n-gram methods remove."""
        return (self.global_ngrams if self.method == "global" else self.ngrams).threshold
