"""What explain_page prints: limits beside signals, and what to do about a quarantined record."""

from dclm_spark.explain import StageRow, describe
from dclm_spark.recipes import load_recipe

RECIPE = load_recipe("dclm_baseline", [])


def row(**values):
    return {
        "doc_id": b"\x5f" * 16, "url": "https://a.example/", "warc_path": "a.warc.gz",
        "warc_offset": 4711, "fate": "dropped", "stage": "documents", "rule": None, "value": None,
        "threshold": None, "error": None, **values,
    }  # fmt: skip


def lines(**values):
    found = StageRow(stage="documents", row=row(**values), text=None)
    return [line.strip() for line in describe([found], {"": RECIPE}).split("\n")]


def test_limits_of_the_recipe_stand_beside_the_signals():
    shown = lines(
        rule="page_length", value=12.0, threshold=50.0, num_words=12, mean_word_length=4.5,
        top_2_gram_fraction=0.1, language_score=0.9, num_sentences=3,
    )  # fmt: skip
    assert "num_words = 12  (minimum 50, maximum 100,000)" in shown
    assert "mean_word_length = 4.5  (minimum 3, maximum 10)" in shown
    assert "top_2_gram_fraction = 0.1  (maximum 0.2)" in shown
    assert "language_score = 0.9  (minimum 0.65)" in shown
    # DCLM's family has no limit of sentences.
    assert "num_sentences = 3" in shown
    assert any(line.startswith("page_length: words, as DCLM counts them") for line in shown)


def test_a_quarantined_record_without_an_address_says_what_to_do():
    shown = lines(fate="quarantined", rule="damaged_file", error="the member is cut off", url=None)
    assert shown[0] == "(no address)"
    assert shown[1] == f"id {'5f' * 16}  a.warc.gz at 4711"
    assert "documents: quarantined by damaged_file, the member is cut off" in shown
    assert any(line.startswith("what to do: fetch the file again") for line in shown)


def test_a_page_in_another_language_shows_which_was_expected():
    shown = lines(rule="language", value=0.0, threshold=0.65, language="fr", language_score=0.9)
    assert "language = fr  (expected en)" in shown
    assert "language = en" in lines(rule="page_length", language="en")


def test_a_stage_shows_what_no_earlier_one_of_its_run_said():
    first = row(fate="kept", num_words=80, language_score=0.9, removed_spans=[])
    second = first | {"stage": "select", "quality_score": 0.5, "num_words": 70}
    history = [
        StageRow(stage="documents", row=first, text=None),
        StageRow(stage="select", row=second, text=None),
        StageRow(stage="documents", row=first, text=None, run="/languages/deu"),
    ]
    shown = [line.strip() for line in describe(history, {"": RECIPE}).split("\n")[2:]]
    assert shown == [
        "documents: kept",
        "num_words = 80  (minimum 50, maximum 100,000)",
        "language_score = 0.9  (minimum 0.65)",
        "removed_spans = []",
        "select: kept",
        "num_words = 70  (minimum 50, maximum 100,000)",
        "quality_score = 0.5  (minimum 0.018112)",
        # Another run has limits of its own, and says all that it found.
        "documents (deu): kept",
        "num_words = 80",
        "language_score = 0.9",
        "removed_spans = []",
    ]
