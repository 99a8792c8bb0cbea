"""Languages and domains of the report: read at the start, counted in the corpus at the end."""

from dclm_spark.report.corpus_counts import domain_counts, language_counts


def stage(languages=(), domains=(), cut=0, counts=("some",)):
    return {"languages": languages, "domains": domains, "domains_cut": cut, "counts": counts}


READ = stage(
    languages=[["de", False, 4], ["en", True, 6], ["en", False, 2]],
    domains=[["a.example", 6, 6, 600], ["b.example", 4, 2, 200]],
)


def test_what_a_later_stage_dropped_is_not_in_the_corpus():
    facts = {
        "documents": READ,
        "deduplicate": stage([["en", True, 5], ["en", False, 1]], [["a.example", 6, 5, 500]]),
        "select": stage([["en", True, 3], ["en", False, 2]], [["a.example", 5, 3, 300]]),
    }
    assert [(one.language, one.documents, one.kept) for one in language_counts(facts)] == [
        ("en", 8, 3),
        ("de", 4, 0),
    ]
    found = [(one.domain, one.documents, one.kept, one.text_bytes_kept)
             for one in domain_counts(facts)]  # fmt: skip
    assert found == [("a.example", 6, 3, 300), ("b.example", 4, 0, 0)]


def test_a_domain_that_may_have_been_left_out_of_the_count_has_no_number():
    facts = {"documents": READ, "select": stage(domains=[["a.example", 6, 3, 300]], cut=1)}
    assert [one.kept for one in domain_counts(facts)] == [3, None]


def test_a_run_that_ended_before_texts_were_read_again_counts_the_stage_before():
    # select reads no texts: its facts have no domains.
    facts = {"documents": READ, "select": stage()}
    assert [one.kept for one in domain_counts(facts)] == [6, 2]


def test_a_corpus_without_documents_has_none_of_any_language():
    facts = {"documents": READ, "deduplicate": stage(counts=())}
    assert [one.kept for one in language_counts(facts)] == [0, 0]
