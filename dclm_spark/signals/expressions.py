"""Spark SQL expressions of a recipe, understood before Spark starts.

An expression is a function of the columns of one document. What cannot be one is refused here:
unknown columns and functions, another type than is asked for, aggregates, windows, queries, and
functions that say something else the next time.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dclm_spark.errors import SettingError

BOOLEAN, NUMBER, ANY = "a condition (true or false)", "a number", "a value"

_NOT_REPEATABLE = {
    "current_catalog", "current_database", "current_date", "current_schema", "current_time",
    "current_timestamp", "current_timezone", "current_user", "curdate", "input_file_block_length",
    "input_file_block_start", "input_file_name", "java_method", "localtimestamp",
    "monotonically_increasing_id", "now", "rand", "randn", "random", "randstr", "reflect",
    "session_user", "shuffle", "spark_partition_id", "try_reflect", "uniform", "user", "uuid",
    "version",
}  # fmt: skip
_SQL_TYPES = (
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_integer, "BIGINT"),
    (pa.types.is_floating, "DOUBLE"),
    (pa.types.is_timestamp, "TIMESTAMP"),
    (pa.types.is_string, "STRING"),
    (pa.types.is_large_string, "STRING"),
)
_ANOTHER = "BINARY"


@dataclass(frozen=True, kw_only=True)
class Expression:
    """An expression that can be evaluated, and what it says of itself."""

    text: str
    # The columns that it reads, by their names in the table.
    columns: frozenset[str]
    # Of what type its values are; text where Spark alone can tell.
    kind: pa.DataType
    # What a condition such as `left >= 0.5` compares, as SQL, and with which number.
    left: str | None = None
    threshold: float | None = None


def understand(
    where: str, text: str, columns: Mapping[str, pa.DataType], wanted: str
) -> Expression:
    """Return the expression `text` over `columns`; SettingError, for the setting `where`, if none.

    `wanted` is BOOLEAN, NUMBER or ANY.
    """
    from sqlglot import exp

    tree = _parsed(where, text)
    _refuse_queries(where, text, tree)
    _refuse_functions(where, text, tree)
    names = {name.lower(): name for name in columns}
    used = set()
    for column in _columns_of(tree):
        name = column.sql() if column.table else column.name
        if name.lower() not in names:
            raise SettingError(f"{_shown(where, text)}: {_unknown_column(name, columns)}")
        used.add(names[name.lower()])
    kind = _type_of(tree, columns)
    if kind is not None and not _fits(kind, wanted):
        raise SettingError(f"{_shown(where, text)}: it gives {kind}; expected {wanted}")
    left, threshold = None, None
    if isinstance(tree.unnest(), exp.Predicate):
        left, threshold = _comparison(tree.unnest(), columns)
    return Expression(
        text=text, columns=frozenset(used), kind=_arrow_type(kind), left=left, threshold=threshold
    )


def _shown(where: str, text: str) -> str:
    return f"{where} = {text!r}"


def _parsed(where: str, text: str) -> Any:
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        trees = sqlglot.parse(text, dialect="spark")
    except SqlglotError as error:
        reason = _reason(str(error).splitlines()[0])
        raise SettingError(f"{_shown(where, text)}: not a Spark SQL expression: {reason}") from None
    if len(trees) != 1 or trees[0] is None:
        raise SettingError(f"{_shown(where, text)}: expected one Spark SQL expression")
    return trees[0]


def _reason(fault: str) -> str:
    missing = re.match(r"Required keyword: .* <class '.*\.(\w+)'>\. Line (\d+), Col: (\d+)", fault)
    if missing is None:
        return fault.rstrip(".")
    return "an argument of {} is missing in line {}, column {}".format(*missing.groups())


def _refuse_queries(where: str, text: str, tree: Any) -> None:
    from sqlglot import exp

    kinds = {
        exp.Query: "a query", exp.Window: "a window over other documents",
        exp.AggFunc: "an aggregate over other documents", exp.Star: "*",
        exp.Placeholder: "a parameter", exp.Parameter: "a parameter", exp.Alias: "an alias",
    }  # fmt: skip
    if not isinstance(tree, exp.Condition | exp.Paren | exp.Tuple):
        raise SettingError(f"{_shown(where, text)}: expected one Spark SQL expression")
    for kind, words in kinds.items():
        found = tree.find(kind)
        if found is not None:
            raise SettingError(
                f"{_shown(where, text)}: it has {words} ({found.sql(dialect='spark')}); an "
                "expression says something of one document by its own columns (NAME_rank compares "
                "it with the others)"
            )


def _refuse_functions(where: str, text: str, tree: Any) -> None:
    from sqlglot import exp

    for function in tree.find_all(exp.Func):
        names = _names_of(function)
        again = sorted(names & _NOT_REPEATABLE)
        if again:
            raise SettingError(
                f"{_shown(where, text)}: {again[0]}() says something else each time, so no run "
                "could be repeated; take a signal of the document"
            )
        if isinstance(function, exp.Anonymous):
            _check_known(where, text, function.name)


def _names_of(function: Any) -> set[str]:
    from sqlglot import exp

    if isinstance(function, exp.Anonymous):
        return {function.name.lower()}
    return {name.lower() for name in function.sql_names()}


def _check_known(where: str, text: str, name: str) -> None:
    from pyspark.sql import functions

    if hasattr(functions, name.lower()):
        return
    known = [one for one in dir(functions) if not one.startswith("_") and one.islower()]
    nearest = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "it is none of Spark's functions"
    raise SettingError(f"{_shown(where, text)}: unknown function {name}(): {hint}")


def _columns_of(tree: Any) -> Iterator[Any]:
    """Yield the columns, without the arguments of lambda functions."""
    from sqlglot import exp

    arguments = {
        name.name for function in tree.find_all(exp.Lambda) for name in function.expressions
    }
    yield from (column for column in tree.find_all(exp.Column) if column.name not in arguments)


def _unknown_column(name: str, columns: Mapping[str, pa.DataType]) -> str:
    nearest = difflib.get_close_matches(name, columns, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(columns)}"
    return f"no column is called {name!r}: {hint}"


def _sql_type(kind: pa.DataType) -> str:
    return next((name for holds, name in _SQL_TYPES if holds(kind)), _ANOTHER)


def _type_of(tree: Any, columns: Mapping[str, pa.DataType]) -> str | None:
    """Return the SQL type of an expression, None where Spark alone can tell."""
    from sqlglot import exp
    from sqlglot.optimizer.annotate_types import annotate_types
    from sqlglot.schema import MappingSchema

    query = exp.select(exp.alias_(tree.copy(), "value")).from_("documents")
    for column in query.find_all(exp.Column):
        column.set("table", exp.to_identifier("documents"))
    types = {name: _sql_type(kind) for name, kind in columns.items()}
    schema = MappingSchema({"documents": types}, dialect="spark")
    kind = annotate_types(query, schema=schema, dialect="spark").selects[0].type
    if kind is None or kind.this in (exp.DataType.Type.UNKNOWN, exp.DataType.Type.NULL):
        return None
    return str(kind.sql(dialect="spark"))


def _fits(kind: str, wanted: str) -> bool:
    if wanted == BOOLEAN:
        return kind == "BOOLEAN"
    if wanted == NUMBER:
        return kind.startswith(
            ("BYTE", "TINYINT", "SHORT", "SMALLINT", "INT", "LONG", "BIGINT", "FLOAT", "DOUBLE",
             "DECIMAL")
        )  # fmt: skip
    return kind.startswith(("BOOLEAN", "STRING", "VARCHAR", "CHAR")) or _fits(kind, NUMBER)


def _arrow_type(kind: str | None) -> pa.DataType:
    if kind is not None and _fits(kind, NUMBER):
        return pa.float64()
    return pa.bool_() if kind == "BOOLEAN" else pa.string()


def _comparison(tree: Any, columns: Mapping[str, pa.DataType]) -> tuple[str | None, float | None]:
    """Return what is compared with which number; None for conditions of another kind."""
    from sqlglot import exp

    if not isinstance(tree, exp.LT | exp.LTE | exp.GT | exp.GTE | exp.EQ | exp.NEQ):
        return None, None
    for side, other in ((tree.left, tree.right), (tree.right, tree.left)):
        number = _number(other)
        kind = _type_of(side, columns)
        if number is not None and kind is not None and _fits(kind, NUMBER):
            return side.sql(dialect="spark"), number
    return None, None


def _number(tree: Any) -> float | None:
    from sqlglot import exp

    if isinstance(tree, exp.Neg):
        value = _number(tree.this)
        return None if value is None else -value
    if isinstance(tree, exp.Cast):
        return _number(tree.this)
    if isinstance(tree, exp.Literal) and not tree.is_string:
        return float(tree.this)
    return None
