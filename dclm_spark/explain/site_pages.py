"""The pages of a registered domain in a run, each with what became of it in the end."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dclm_spark.engine.run_record import check_one_source, existing_run
from dclm_spark.errors import InputError
from dclm_spark.explain.history import corpus_of
from dclm_spark.page_index.lookup import PageIndex, Place, read_row, usable_index
from dclm_spark.removal.removed_by import removed_by
from udfs.documents.sites import site_of
from udfs.rules.banned_domains import to_punycode

# Rows of a registered domain in a page of `list_site`.
LISTED = 50
# Look-ups at a time: each waits for a few reads of a store.
_AT_A_TIME = 16
_SHOWN = ("doc_id", "url", "fate", "rule")


def list_site(output: str, site: str, *, page: int) -> list[dict[str, Any]]:
    """Return rows (_SHOWN) of a registered domain, LISTED a page, from page 1 on.

    Fate and rule are those of the last stage that has the document, fate "removed" with what took
    it, for one that was removed since. Raises InputError where the run has no index of its present
    data, and for a page without a row.
    """
    existing_run(output)
    check_one_source(output)
    index = usable_index(output)
    if index is None:
        raise InputError(f"{output} has no index: python jobs/index_pages.py --output {output}")
    name = site_of(to_punycode(site.lower()))
    places = index.by_site(name, (page - 1) * LISTED, LISTED)
    if not places:
        raise InputError(
            f"--domain {site}: {output} has {'no more' if page > 1 else 'no'} pages of {name}; a "
            "registered domain is a name such as example.org, without scheme and path"
        )
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        rows = list(pool.map(lambda place: _final(index, place), places))
    kept = [row for row in rows if row["fate"] == "kept"]
    removals = removed_by(corpus_of(output), [(row["doc_id"], row["url"]) for row in kept])
    for row, removal in zip(kept, removals, strict=True):
        if removal:
            row |= {"fate": "removed", "rule": f"by {removal}"}
    return rows


def _final(index: PageIndex, place: Place) -> dict[str, Any]:
    """Return what is shown of a row of the first stage, with the fate that the last one gave."""
    row = read_row(place, _SHOWN)
    if row["fate"] == "kept":
        last = index.last(row["doc_id"], ("fate", "rule")) or row
        # What has no fate of its own is in the corpus.
        row |= {"fate": last.get("fate", "kept"), "rule": last.get("rule")}
    return row
