"""How a recipe asks for columns: a model, a function, a table or a family of rules."""

from dataclasses import dataclass, fields

from udfs.checks import check, one_of
from udfs.rules.families import FAMILIES
from udfs.storage.reference import FileReference

ALL_LABELS = "*"
KEYS = ("doc_id", "url")


@dataclass(frozen=True, kw_only=True)
class SignalSettings:
    """One signal of a recipe: exactly one of `model`, `function`, `table` and `family` is given."""

    # A fastText model of any number of labels.
    model: FileReference | None = None
    # Labels whose probabilities are columns: one gives the column NAME, several NAME_LABEL each;
    # ["*"] takes all. Without any: the most probable label as NAME and NAME_probability.
    labels: tuple[str, ...] = ()
    # FILE.py:FUNCTION or MODULE:FUNCTION, from an Arrow record batch (doc_id, crawl, warc_path,
    # warc_offset, url, text) to a column of as many values. A file is sent to the executors, a
    # module must be installed there.
    function: str | None = None
    # A Parquet file, or a folder of them, with one row per `key`.
    table: str | None = None
    # Column of the table by which documents find their row: doc_id (bytes or hex digits) or url.
    key: str = "doc_id"
    # Columns taken from the table, each as NAME_COLUMN; one alone gives NAME. Default: all.
    columns: tuple[str, ...] = ()
    # A family of rules (`heuristics.rules`): its signals of the texts that stay, as NAME_SIGNAL.
    family: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is not exactly one kind of signal, and keys of another kind."""
        check(self, key=one_of(KEYS), family=one_of(tuple(FAMILIES)))
        kinds = ("model", "function", "table", "family")
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"{kinds[0]}: a signal has one of {', '.join(kinds)}, not {found}")
        owners = {"labels": "model", "key": "table", "columns": "table"}
        for field in fields(self):
            owner = owners.get(field.name, given[0])
            if owner != given[0] and getattr(self, field.name) != field.default:
                raise ValueError(
                    f"{field.name} = {getattr(self, field.name)!r}: it belongs to a signal of "
                    f"`{owner}`, and this one has `{given[0]}`"
                )
