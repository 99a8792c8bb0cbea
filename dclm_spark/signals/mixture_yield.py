"""What a decision yields, to the document and token, before anything of it is written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.signals.decision import BUCKET, Decision, understand_decision
from dclm_spark.signals.scored_documents import Candidates, decisions
from dclm_spark.signals.signal_tables import NUM_TOKENS
from udfs.documents.schema import KEPT
from udfs.tokens.copies import REPEATS


@dataclass(frozen=True, kw_only=True)
class YieldRow:
    """Documents that a decision treats alike; `rule` drops them, None keeps them.

    `tokens` are those of one copy of each, an end of text for each document included; `copies` is
    how often each enters the corpus.
    """

    rule: str | None
    bucket: str | None
    copies: int
    documents: int
    tokens: int

    @property
    def corpus_documents(self) -> int:
        """The documents of the corpus that these become, copies counted."""
        return 0 if self.rule else self.copies * self.documents

    @property
    def corpus_tokens(self) -> int:
        """The tokens of the corpus that these become."""
        return 0 if self.rule else self.copies * self.tokens


def exact_yield(spark: SparkSession, candidates: Candidates, decision: Decision) -> list[YieldRow]:
    """Count the candidates (which have NUM_TOKENS) by what the decision does with them.

    Nothing is written, and no text is read: `select` and what follows give the same numbers.
    """
    understood = understand_decision(decision, candidates.columns)
    return counted(decisions(spark, candidates, understood), decision)


def counted(decided: DataFrame, decision: Decision) -> list[YieldRow]:
    """Count decided documents by rule, bucket and number of copies."""
    bucket = F.col(BUCKET) if decision.bucket is not None else F.lit(None)
    copies = F.col(REPEATS.name) if decision.repeats else F.lit(1)
    kept = F.col("fate") == KEPT
    groups = decided.groupBy(
        F.col("rule").alias("rule"),
        bucket.cast("string").alias("bucket"),
        F.when(kept, copies).otherwise(0).alias("copies"),
    ).agg(
        F.count(F.lit(1)).alias("documents"),
        F.sum(F.col(NUM_TOKENS) + 1).alias("tokens"),
    )
    rows = [YieldRow(**row.asDict()) for row in groups.collect()]
    return sorted(rows, key=lambda row: (row.rule or "", row.bucket or "", row.copies))


def as_json(rows: Sequence[YieldRow]) -> list[dict[str, object]]:
    """Return the rows as plain data."""
    return [
        asdict(row) | {"corpus_documents": row.corpus_documents, "corpus_tokens": row.corpus_tokens}
        for row in rows
    ]


def render(rows: Sequence[YieldRow]) -> str:
    """Return the yield as a table: kept documents by bucket and copies, then dropped ones."""
    kept = [row for row in rows if row.rule is None]
    dropped = [row for row in rows if row.rule is not None]
    lines = [
        f"{'bucket':30} {'copies':>6} {'documents':>12} {'tokens':>16} {'tokens in corpus':>16}",
        *(
            f"{row.bucket or '-':30} {row.copies:6,} {row.documents:12,} {row.tokens:16,} "
            f"{row.corpus_tokens:16,}"
            for row in kept
        ),
        f"{'kept':30} {'':6} {sum(row.documents for row in kept):12,} "
        f"{sum(row.tokens for row in kept):16,} {sum(row.corpus_tokens for row in kept):16,}",
    ]
    for rule, same in _by_rule(dropped):
        documents, tokens = sum(row.documents for row in same), sum(row.tokens for row in same)
        lines.append(f"{'dropped by ' + rule:30} {'':6} {documents:12,} {tokens:16,} {0:16,}")
    return "\n".join(lines)


def _by_rule(rows: Iterable[YieldRow]) -> Iterator[tuple[str, list[YieldRow]]]:
    named: dict[str, list[YieldRow]] = {}
    for row in rows:
        named.setdefault(str(row.rule), []).append(row)
    yield from named.items()
