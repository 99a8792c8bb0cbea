"""What of the scored documents becomes training data, and how often: expressions over columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from dclm_spark.signals.expressions import ANY, BOOLEAN, NUMBER, Expression, understand
from udfs.documents.schema import DROPPED, FATE_FIELDS, KEPT
from udfs.tokens.copies import REPEATS

STAGE = "select"
BUCKET, REPEAT = "bucket", "repeat"
# A number in 0..1 that depends on the document's id alone: it decides over parts of a copy.
DRAW = "_draw"
# Columns that expressions do not see: texts, and what earlier stages decided.
_HIDDEN = {"text", "error", *(one.name for one in FATE_FIELDS)}


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Conditions by name, in order: a document that does not fulfil one is dropped by it.

    All are Spark SQL over the document's columns. `bucket` names a part of the corpus and is a
    column for the others; `repeat` says how often a document enters the corpus.
    """

    rules: Mapping[str, str] = field(default_factory=dict)
    bucket: str | None = None
    repeat: str | None = None

    @property
    def repeats(self) -> bool:
        """Whether documents have a number of copies."""
        return self.repeat is not None

    @property
    def key(self) -> list[Any]:
        """What the decision depends on, the order of the rules included."""
        return [list(self.rules.items()), self.bucket, self.repeat]


@dataclass(frozen=True, kw_only=True)
class Understood:
    """A decision whose expressions can be evaluated."""

    rules: Mapping[str, Expression]
    bucket: Expression | None
    repeat: Expression | None

    @property
    def expressions(self) -> dict[str, Expression]:
        """The expressions by the settings that they are, in the order of evaluation."""
        named: dict[str, Expression | None] = {BUCKET: self.bucket}
        named |= {f"rules.{name}": one for name, one in self.rules.items()}
        named[REPEAT] = self.repeat
        return {name: one for name, one in named.items() if one is not None}

    @property
    def columns(self) -> set[str]:
        """The columns that the expressions read."""
        return {name for one in self.expressions.values() for name in one.columns} - {BUCKET}


def visible(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Return the columns of documents that expressions may name, with their types."""
    return {
        one.name: one.type
        for one in schema
        if one.name not in _HIDDEN and not pa.types.is_nested(one.type)
    }


def understand_decision(decision: Decision, columns: Mapping[str, pa.DataType]) -> Understood:
    """Return the decision over documents with these columns; SettingError for what cannot be."""
    bucket = repeat = None
    if decision.bucket is not None:
        bucket = understand(BUCKET, decision.bucket, columns, ANY)
        columns = {**columns, BUCKET: bucket.kind}
    rules = {
        name: understand(f"rules.{name}", text, columns, BOOLEAN)
        for name, text in decision.rules.items()
    }
    if decision.repeat is not None:
        repeat = understand(REPEAT, decision.repeat, columns, NUMBER)
    return Understood(rules=rules, bucket=bucket, repeat=repeat)


class _Test(NamedTuple):
    """One way to be dropped: by which rule, when, and with which value against which threshold."""

    rule: str
    fails: Column
    value: Column
    threshold: Column

    def outcome(self) -> Column:
        """Return rule, value and threshold as one column."""
        return F.struct(
            F.lit(self.rule).alias("rule"),
            self.value.cast("double").alias("value"),
            self.threshold.cast("double").alias("threshold"),
        )


def decided(documents: DataFrame, decision: Understood) -> DataFrame:
    """Add to documents with their columns and DRAW: bucket and copies, where asked for, and a fate.

    A condition that is null is not fulfilled, and a null number of copies is none. A part of a
    copy is one copy more for that part of the documents.
    """
    if decision.bucket is not None:
        documents = documents.withColumn(BUCKET, F.expr(decision.bucket.text))
    tests = [
        _Test(
            rule=name,
            fails=~F.coalesce(F.expr(rule.text), F.lit(False)),
            value=F.lit(None) if rule.left is None else F.expr(rule.left),
            threshold=F.lit(rule.threshold),
        )
        for name, rule in decision.rules.items()
    ]
    if decision.repeat is not None:
        wanted, copies = _copies(decision.repeat)
        documents = documents.withColumn(REPEATS.name, copies)
        none = F.col(REPEATS.name) < 1
        tests.append(_Test(rule=REPEAT, fails=none, value=wanted, threshold=F.lit(None)))
    outcome = F.lit(None).cast(_OUTCOME)
    for test in reversed(tests):
        outcome = F.when(test.fails, test.outcome()).otherwise(outcome)
    documents = documents.withColumn("_outcome", outcome)
    dropped = F.col("_outcome").isNotNull()
    fates = {
        "fate": F.when(dropped, DROPPED).otherwise(KEPT),
        "stage": F.when(dropped, STAGE),
        "rule": F.col("_outcome.rule"),
        "value": F.col("_outcome.value"),
        "threshold": F.col("_outcome.threshold"),
        "error": F.lit(None).cast("string"),
    }
    return documents.withColumns(fates).drop("_outcome")


_OUTCOME = "struct<rule: string, value: double, threshold: double>"


def _copies(repeat: Expression) -> tuple[Column, Column]:
    """Return how many copies a document should have, and how many whole ones it gets."""
    wanted = F.expr(repeat.text).cast("double")
    whole = F.floor(wanted)
    copies = (whole + F.when(F.col(DRAW) < wanted - whole, 1).otherwise(0)).cast("int")
    return wanted, F.coalesce(copies, F.lit(0))
