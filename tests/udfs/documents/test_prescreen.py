"""Pages in other languages go before they are parsed, but for those that audit it."""

import numpy as np
import pyarrow as pa
import pytest

from tests.udfs.documents.test_extract import warc
from udfs.documents.extract import ExtractionSettings, extract_documents
from udfs.documents.prescreen import (
    OTHER_LANGUAGE_SCORE,
    RULE,
    PrescreenSettings,
    other_language_scores,
    prescreen_counts,
)

ENGLISH, GERMAN = "<p>the ferry leaves at nine", "<p>die Faehre faehrt um neun"


def identify(texts):
    """A toy model: a text with "die" is German, with "the" English, nothing is unknown."""
    found = [
        ("de", 0.9) if "die" in text else ("en", 0.7) if "the" in text else (None, 0.0)
        for text in texts.to_pylist()
    ]
    return pa.array([one for one, _ in found], pa.string()), np.array([one for _, one in found])


def glance(settings, wanted="en"):
    return lambda pages: other_language_scores(
        pages, settings=settings, wanted=wanted, identify=identify
    )


def test_the_probability_is_that_of_a_language_that_is_not_wanted():
    pages = [page.encode() for page in (ENGLISH, GERMAN, "<p>", "<script>die</script>the")]
    settings = PrescreenSettings(enabled=True)
    assert glance(settings)(pages).tolist() == [0.0, 0.9, 0.0, 0.0]
    assert glance(settings, "de")(pages).tolist() == [0.7, 0.0, 0.0, 0.7]


def rows(path, **changes):
    prescreen = PrescreenSettings(enabled=True, **changes)
    settings = ExtractionSettings(prescreen=prescreen)
    batches = extract_documents("C", str(path), "a", settings, glance=glance(prescreen))
    return pa.Table.from_batches(batches, settings.rows_schema)


@pytest.fixture
def path(tmp_path):
    pages = [(page.encode(), "text/html", 200) for page in [ENGLISH, GERMAN] * 40]
    (tmp_path / "a.warc.gz").write_bytes(warc(pages))
    return tmp_path / "a.warc.gz"


def test_a_page_in_another_language_is_dropped_unparsed(path):
    found = rows(path, audited_fraction=0.0).to_pylist()
    assert [row["rule"] for row in found] == [None, RULE] * 40
    assert {row["text"] for row in found[1::2]} == {None}
    assert all("ferry" in row["text"] for row in found[::2])
    dropped = found[1]
    assert (dropped["fate"], dropped["stage"]) == ("dropped", "documents")
    numbers = dropped["value"], dropped["threshold"], dropped["other_language_score"]
    assert numbers == (0.9, 0.8, 0.9)


def test_a_share_is_parsed_to_count_what_the_rules_keep(path):
    found = rows(path, audited_fraction=0.5)
    audited = [row for row in found.to_pylist()[1::2] if row["rule"] is None]
    assert 8 < len(audited) < 32
    assert all("faehrt" in row["text"] for row in audited)
    fates = ["kept" if row["rule"] is None else "dropped" for row in found.to_pylist()]
    place = found.schema.get_field_index("fate")
    judged = found.set_column(place, "fate", pa.array(fates)).combine_chunks().to_batches()[0]
    counts = prescreen_counts(judged, PrescreenSettings(enabled=True))
    assert counts == {
        "dropped": 40 - len(audited), "audited": len(audited), "audited_kept": len(audited)
    }  # fmt: skip
    assert rows(path, audited_fraction=0.5).equals(found)


def test_less_sure_of_another_language_is_parsed(path):
    assert {row["rule"] for row in rows(path, min_other_language_score=0.95).to_pylist()} == {None}


def test_the_column_is_there_where_it_is_asked_for():
    assert OTHER_LANGUAGE_SCORE.name not in ExtractionSettings().schema.names
    with pytest.raises(ValueError, match=r"audited_fraction = 2"):
        PrescreenSettings(audited_fraction=2)
