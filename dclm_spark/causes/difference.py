"""The difference of two corpora as plain values: what is written, read again, and shown."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dclm_spark.errors import InputError
from dclm_spark.html_pages.render import render
from udfs import storage

# What documents are grouped by -> the column of the table of differing documents.
DIMENSIONS = {
    "rule": "fate", "domain": "domain", "language": "language", "source": "source",
    "score": "score",
}  # fmt: skip
# Where the table of differing documents lies, and what groups that are not named are called.
DOCUMENTS, REST = "differing_documents", "(others)"
# Raised when a key of corpora.json goes or changes its meaning.
_VERSION = 1
_FACTS, _PAGE = "corpora.json", "corpora.html"


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much of a corpus something is."""

    documents: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class SamplePage:
    """A document, by which `jobs/explain_page.py` finds it in both runs, and how it begins."""

    doc_id: str
    url: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """Documents that differ in one way.

    `kind` is entered (only the second corpus has them), left (only the first), or changed (other
    text, or other copies). `tokens_first` and `tokens_second` are what each corpus has of them.
    """

    name: str
    kind: str
    documents: int
    tokens_first: int
    tokens_second: int
    samples: tuple[SamplePage, ...] = ()

    @property
    def differing_tokens(self) -> int:
        """Return the tokens that one of the corpora does not have, or not so."""
        return self.tokens_first + self.tokens_second

    @property
    def label(self) -> str:
        """Return what the group is called beside others of its dimension."""
        return f"{self.name or '(none)'}, {self.kind}"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two corpora: folders and names of their runs, manifests, sizes, differing groups.

    `groups` are those of each of DIMENSIONS, in each of which a document is counted once.
    """

    outputs: tuple[str, str]
    names: tuple[str, str]
    manifests: tuple[str, str]
    totals: tuple[Amount, Amount]
    groups: Mapping[str, tuple[Group, ...]]

    def largest(self, dimension: str) -> list[Group]:
        """Return the groups of a dimension, those with the most differing tokens first."""
        return sorted(self.groups[dimension], key=lambda one: (-one.differing_tokens, one.label))

    def of_kind(self, kind: str) -> Amount:
        """Return how much entered, left or changed."""
        groups = [one for one in self.groups["rule"] if one.kind == kind]
        return Amount(
            documents=sum(one.documents for one in groups),
            tokens=sum(one.differing_tokens for one in groups),
        )

    @property
    def headline(self) -> str:
        """Return what differs, in a sentence; B is the second corpus."""
        first, second = self.totals
        entered, left, changed = map(self.of_kind, ("entered", "left", "changed"))
        return (
            f"A has {first.tokens:,} tokens of {first.documents:,} documents, B {second.tokens:,} "
            f"of {second.documents:,}: {entered.documents:,} documents ({entered.tokens:,} tokens) "
            f"are in B alone, {left.documents:,} ({left.tokens:,}) in A alone, "
            f"{changed.documents:,} differ in text or copies"
        )


def write_difference(
    found: Difference, folder: str, models: Mapping[str, Any] | None = None
) -> str:
    """Write corpora.json and corpora.html into `folder` and return the page's place.

    `models` is what trained models say of the groups (`dclm_spark.causes.models_of_groups`).
    """
    facts = {"schema_version": _VERSION, **asdict(found)} | ({"models": models} if models else {})
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    storage.write_bytes(storage.join(folder, _FACTS), text.encode())
    page = storage.join(folder, _PAGE)
    storage.write_bytes(page, difference_page(found, models).encode())
    return page


def read_difference(folder: str) -> Difference:
    """Read what `write_difference` wrote; InputError where there is nothing."""
    uri = storage.join(folder, _FACTS)
    try:
        facts = json.loads(storage.read_bytes(uri))
    except storage.MissingObjectError as error:
        raise InputError(
            f"{uri}: there is no such file; compare two runs first: jobs/compare_corpora.py A B "
            "--output FOLDER"
        ) from error
    if facts.pop("schema_version") != _VERSION:
        raise InputError(f"{uri} is of another version of this package; compare the runs again")
    return Difference(
        outputs=tuple(facts["outputs"]),
        names=tuple(facts["names"]),
        manifests=tuple(facts["manifests"]),
        totals=(Amount(**facts["totals"][0]), Amount(**facts["totals"][1])),
        groups={
            name: tuple(_group(one) for one in groups) for name, groups in facts["groups"].items()
        },
    )


def _group(facts: Mapping[str, Any]) -> Group:
    samples = tuple(SamplePage(**one) for one in facts["samples"])
    return Group(**{**facts, "samples": samples})


def difference_page(found: Difference, models: Mapping[str, Any] | None = None) -> str:
    """Return the page; everything that comes from data is escaped."""
    return render(
        "corpora.html",
        title=f"{found.names[0]} and {found.names[1]}",
        found=found,
        dimensions={name: found.largest(name) for name in DIMENSIONS},
        top=max([1, *(one.differing_tokens for many in found.groups.values() for one in many)]),
        models=models,
    )
