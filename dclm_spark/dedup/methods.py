"""Settings of deduplication: exact keys, then one method with the settings of its own."""

from dataclasses import dataclass, field, replace

from dclm_spark.dedup.duplicate_lines import Lines
from dclm_spark.dedup.evidence.guard import GuardSettings
from dclm_spark.dedup.exact import EXACT_KEYS, ExactOnly
from dclm_spark.dedup.global_ngrams import GlobalNgrams
from dclm_spark.dedup.method import DedupMethod
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.dedup.passages import Passages
from dclm_spark.dedup.sharded_ngrams import ShardedNgrams
from dclm_spark.settings_choices import chosen_by_name
from udfs.checks import between, check, one_of
from udfs.dedup.exact_keys import STEPS

# The only place that knows the methods' names. "sharded" is n-gram dedup in independent shards
# (DCLM-BASELINE), "global" the same with the first owner of each n-gram in the whole corpus,
# "minhash" finds near duplicates in the whole corpus, "lines" leaves one copy of each line (C4),
# "passages" one of each passage of at least so many bytes,
# "none" stops after the exact keys.
METHODS: dict[str, type[DedupMethod]] = {
    "sharded": ShardedNgrams,
    "global": GlobalNgrams,
    "minhash": MinHash,
    "lines": Lines,
    "passages": Passages,
    "none": ExactOnly,
}
# Keys that the settings of a method had in recipes before they were named after it.
_FORMER_KEYS = {"ngrams": "sharded", "global_ngrams": "global", "near_duplicates": "minhash"}
MODES = ("remove", "annotate")
# Text of a shard, and how many there are at most, where their number is not given.
_SHARD_SIZE_BYTES, _MOST_DERIVED_SHARDS = 64 * 1024**2, 100


@dataclass(frozen=True, kw_only=True)
class DeduplicationSettings:
    """Exact keys, then one method; in YAML `method: minhash` with its settings in `minhash:`."""

    # Any of "text", "url"; DCLM-BASELINE uses neither.
    exact: tuple[str, ...] = ()
    # What is done to a text before it is compared (`udfs.dedup.exact_keys`); nothing: texts are
    # compared as they are.
    text_key: tuple[str, ...] = ()
    # What is done to a URL before it is compared; nothing: the form of C4.
    url_key: tuple[str, ...] = ()
    # How near copies are found after the exact keys (docs/deduplication.md compares them).
    method: DedupMethod = field(
        default_factory=ShardedNgrams, metadata=chosen_by_name(METHODS, _FORMER_KEYS)
    )
    # "remove", or "annotate": keep text and documents, record what would have gone.
    mode: str = "remove"
    # Independent parts of the corpus; 10 global x 10 local in DCLM, about 700 GB of text each.
    # None: one for each 64 MiB of the text that comes in, at most 100.
    shards: int | None = None
    # Decides which documents share a shard, and the hash functions of the filters.
    seed: int = 1234
    # Outputs of runs on earlier crawls with the same method: what they hold is not kept again.
    earlier: tuple[str, ...] = ()
    # The most that may go of one source, domain or language; with "annotate" it warns.
    guard: GuardSettings = field(default_factory=GuardSettings)

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, mode=one_of(MODES), shards=between(1, 99_999))
        if not set(self.exact) <= set(EXACT_KEYS):
            raise ValueError(f"exact = {list(self.exact)}: expected any of {', '.join(EXACT_KEYS)}")
        for key, steps in self.key_steps.items():
            if not set(steps) <= set(STEPS[key]):
                raise ValueError(
                    f"{key}_key = {list(steps)}: expected any of {', '.join(STEPS[key])}"
                )
            if steps and key not in self.exact:
                raise ValueError(f"{key}_key = {list(steps)}: set exact=[{key}] too")
        if self.earlier and not self.method.keeps_table:
            tables = ", ".join(name for name, method in METHODS.items() if method.keeps_table)
            raise ValueError(
                f"earlier = {list(self.earlier)}: expected an empty list unless method is one of "
                f"{tables}"
            )

    def sized(self, text_size_bytes: int) -> "DeduplicationSettings":
        """Return the settings for so much text, with a number of shards."""
        if self.shards is not None:
            return self
        wanted = -(-text_size_bytes // _SHARD_SIZE_BYTES)
        return replace(self, shards=min(max(wanted, 1), _MOST_DERIVED_SHARDS))

    @property
    def key_steps(self) -> dict[str, tuple[str, ...]]:
        """Return the steps of each exact key."""
        return {"text": self.text_key, "url": self.url_key}

    @property
    def guard_of_mode(self) -> GuardSettings:
        """Return the guard that holds: in mode "annotate" nothing goes, so it warns only."""
        return replace(self.guard, action="warn") if self.mode == "annotate" else self.guard

    @property
    def method_name(self) -> str:
        """Return the name of the method in METHODS."""
        return next(name for name, kind in METHODS.items() if type(self.method) is kind)
