"""What a run may lose before it says so or ends, and what it leaves behind then."""

import json
from dataclasses import replace

import pytest

from dclm_spark.engine.monitoring.lost_files import lost_files
from dclm_spark.engine.stage_output import stage_output
from dclm_spark.errors import InputError, LimitError
from dclm_spark.limits import LimitSettings, StageYields, YieldRange, check_documents, check_yield
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import recipe_hash
from udfs.documents.schema import FATES
from udfs.tokens.tokenizer import train_tokenizer

PROSE = "The river ferry leaves the old harbour at seven in the morning and comes back at noon. "


def unit(name, rule="", error="", **fates):
    """A unit's manifest with so many documents of each fate, and its statistics."""
    counts = [
        {
            "fate": fate, "stage": "documents", "rule": "" if fate == "kept" else rule,
            "documents": count, "text_bytes": 0,
        }
        for fate, count in fates.items()
    ]  # fmt: skip
    samples = [{"fate": "quarantined", "rule": rule, "doc_id": "00", "error": error}]
    manifest = {
        "unit": name, "key": "k", "files": [],
        "documents": {fate: (fates.get(fate, 0), 0) for fate in FATES},
        "facts": {"input": {"uri": f"in/{name}"}},
        "statistics": {"path": f"statistics/{name}.json", "sha256": ""},
        "timing": {"seconds": 1.0, "cpu_seconds": 1.0},
    }  # fmt: skip
    return manifest, {"counts": counts, "samples": samples}


@pytest.fixture
def output(tmp_path):
    def written(*units):
        for manifest, statistics in units:
            path = tmp_path / manifest["statistics"]["path"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(statistics))
        found = stage_output("documents", str(tmp_path), [manifest for manifest, _ in units])
        counts = [entry for _, statistics in units for entry in statistics["counts"]]
        return replace(found, totals={"counts": counts})

    return written


def test_a_run_within_its_limits_passes(output):
    check_documents(output(unit("a", kept=5, quarantined=5), unit("b", dropped=1)), LimitSettings())
    check_yield("documents", output(unit("a", kept=1)), LimitSettings())


def test_too_many_quarantined_records_end_the_run_with_their_kinds(output):
    lost = output(unit("a", "bad_json", kept=1, quarantined=9))
    message = r"9 of 10 records were quarantined \(bad_json 9\): a share of 0\.9, and limits\.max_q"
    with pytest.raises(LimitError, match=message):
        check_documents(lost, LimitSettings(max_quarantined_fraction=0.8))


def test_a_limit_may_only_warn(output, caplog):
    lost = output(unit("a", "bad_json", kept=1, quarantined=9))
    check_documents(lost, LimitSettings(action="warn"))
    assert "9 of 10 records were quarantined" in caplog.text


def test_files_without_a_document_are_counted_as_files(output):
    units = [unit("a", kept=1000), unit("b", "x", quarantined=1), unit("c")]
    with pytest.raises(LimitError, match=r"2 of 3 files gave no document, such as in/b"):
        check_documents(output(*units), LimitSettings())
    check_documents(output(*units), LimitSettings(max_files_without_documents=0.7))


def test_parts_without_a_document_are_no_files_without_one(output):
    """A file of one row group, or in UTF-16, is read by one of its parts."""
    a, b = ([f"{name}-0123456789-part-{number}" for number in range(4)] for name in "ab")
    large = [unit(a[0], kept=1000), *map(unit, a[1:])]
    check_documents(output(*large), LimitSettings(max_files_without_documents=0.0))
    second = unit(a[1], "missing_text", "the keys are body", quarantined=3)
    check_documents(output(large[0], second), LimitSettings(max_files_without_documents=0.0))
    nothing = [unit(name, "x", quarantined=1) for name in b[:2]]
    with pytest.raises(LimitError, match=rf"1 of 2 files gave no document, such as in/{b[0]}"):
        check_documents(output(*large, *nothing), LimitSettings(max_files_without_documents=0.4))


def test_a_file_without_any_text_is_an_error_with_its_keys_whatever_the_limits(output):
    lost = unit("b", "missing_text", "the keys are body, id", quarantined=3)
    loose = LimitSettings(action="warn", max_files_without_documents=1.0)
    with pytest.raises(InputError, match=r"in/b: none of its 3 records has a text: the keys are"):
        check_documents(output(unit("a", kept=9), lost), loose)


def test_a_run_that_lost_most_for_want_of_a_text_names_the_keys(output):
    lost = unit("b", "missing_text", "no text in `text`; the keys are body", kept=1, quarantined=9)
    message = r"share of 0\.9, .*the keys are body, or set limits\.max_quarantined_fraction"
    with pytest.raises(LimitError, match=message):
        check_documents(output(lost), LimitSettings())


def test_empty_lines_beside_records_without_a_text_do_not_hide_them(output):
    manifest, statistics = unit("a", "missing_text", "the keys are body", quarantined=3)
    _, empty = unit("a", "empty_line", "the line is empty", quarantined=1)
    both = {key: empty[key] + statistics[key] for key in statistics}
    with pytest.raises(InputError, match="in/a: none of its 3 records has a text: the keys are"):
        check_documents(output((manifest, both)), LimitSettings())


def test_files_that_gave_nothing_or_lost_most_are_named_with_place_and_reason(output, caplog):
    empty, cut = (
        unit("a", "damaged_file", "bad bytes", quarantined=1),
        unit("b", "damaged_file", "the member is cut off", kept=3, quarantined=1),
    )
    for manifest, statistics in (empty, cut):
        manifest["facts"]["input"] |= {"size_bytes": 2000, "lost_size_bytes": 1500}
        statistics["samples"][0]["warc_offset"] = 70
    half = unit("d", "damaged_file", "bad bytes", kept=3, quarantined=1)
    half[0]["facts"]["input"] |= {"size_bytes": 2000, "lost_size_bytes": 1000}
    lines = unit("c", "bad_json", "not JSON", kept=4, dropped=1, quarantined=6)
    found = output(empty, cut, lines, half, unit("e", kept=9), unit("f", kept=1, quarantined=1))
    check_documents(found, LimitSettings())
    assert lost_files(found) == [
        "in/a: no document could be read, 75% of 2 kB are lost to damage"
        "; damaged_file at 70: bad bytes",
        "in/b: 3 of 4 records could be read, 75% of 2 kB are lost to damage"
        "; damaged_file at 70: the member is cut off",
        "in/c: 5 of 11 records could be read; bad_json: not JSON",
    ]
    assert [record.getMessage() for record in caplog.records] == [
        f"input: {line}" for line in lost_files(found)
    ]


def test_of_many_lost_files_some_are_named_and_the_others_counted(output):
    found = output(*(unit(f"{number:02}", "x", quarantined=1) for number in range(13)))
    lines = lost_files(found)
    assert len(lines) == 11
    assert lines[-1] == "3 more files lost all or most of what they hold"


def test_what_parts_of_a_file_lost_is_added_up(output):
    parts = [unit(f"a-0123456789-part-{number}", "damaged_file", "x", kept=1) for number in (0, 1)]
    for manifest, _ in parts:
        manifest["facts"]["input"] = {"uri": "a", "size_bytes": 1000, "lost_size_bytes": 300}
    (line,) = lost_files(output(*parts))
    assert line.startswith("a: 2 of 2 records could be read, 60% of 1 kB are lost")


def test_a_declared_yield_is_kept_to(output):
    yields = StageYields(select=YieldRange(min=0.2, max=0.5))
    limits = LimitSettings(yields=yields)
    check_yield("select", output(unit("a", "r", kept=3, dropped=7)), limits)
    with pytest.raises(
        LimitError, match=r"select: 1 of 10 were kept: a share of 0\.1, and .*select\.min = 0\.2"
    ):
        check_yield("select", output(unit("a", "r", kept=1, dropped=9)), limits)
    with pytest.raises(LimitError, match=r"limits\.yields\.select\.max = 0\.5"):
        check_yield("select", output(unit("a", kept=1)), limits)


def test_limits_are_settings_that_do_not_change_what_a_recipe_makes(output):
    recipe = load_recipe("c4", ["limits.yields.select.min=0.1", "limits.action=warn"])
    assert recipe.limits.yields.select == YieldRange(min=0.1)
    assert recipe_hash(recipe) == recipe_hash(load_recipe("c4"))


def test_a_run_that_the_guard_ended_goes_on_with_another_guard():
    given = ["deduplication.guard.max_removed_share=0.5", "decontamination.measured=figures.json"]
    assert recipe_hash(load_recipe("c4", given)) == recipe_hash(load_recipe("c4"))


@pytest.fixture
def small_run(spark, tmp_path):
    """Run a recipe on these records; return what report.json says."""
    (tmp_path / "tokenizer.json").write_text(train_tokenizer(iter([PROSE]), 300))

    def run(records, *changes, recipe="raw", error=None):
        (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, records)))
        tokens = f"tokens.tokenizer.uri={tmp_path / 'tokenizer.json'}"
        with pytest.raises(error[0], match=error[1]):
            build_baseline(
                spark,
                recipe=load_recipe(recipe, [tokens, "deduplication.shards=1", *changes]),
                inputs=str(tmp_path / "in.jsonl"),
                output=str(tmp_path / "out"),
            )
        return (
            json.loads((tmp_path / "out" / "report.json").read_text()),
            (tmp_path / "out" / "report.html").read_text(),
        )

    return run


@pytest.mark.spark
def test_a_run_of_which_nothing_is_left_has_a_report(small_run):
    report, page = small_run(
        [{"text": PROSE}],
        recipe="refinedweb",
        error=(InputError, "no document is left"),
    )
    assert (report["schema_version"], report["complete"]) == (2, False)
    assert report["failure"].startswith("no document is left")
    assert [stage["name"] for stage in report["stages"]][:2] == ["documents", "deduplicate"]
    assert report["stages"][0]["rules"] == {"page_length": 1}
    assert report["left_out"]["url_lists.domains"] == "no page is dropped for its domain"
    assert "Why the run did not end" in page
    assert "url_lists.domains" in page


@pytest.mark.spark
def test_pages_that_a_list_means_to_ban_and_the_reference_lets_through_are_counted(
    small_run, tmp_path, caplog
):
    (tmp_path / "domains.txt").write_text("bad.example\n")
    hosts = ("bad.example", "www.bad.example", "bad.example:8080", "good.example")
    report, _ = small_run(
        [{"text": PROSE, "url": f"https://{host}/a"} for host in hosts],
        f"url_lists.domains.uri={tmp_path / 'domains.txt'}",
        recipe="refinedweb",
        error=(InputError, "no document is left"),
    )
    assert "url_lists.domains: 2 more pages would be banned" in caplog.text
    label = "Pages of banned domains that quirks=dclm-2024 lets through"
    assert report["facts"][label] == "2"


@pytest.mark.spark
def test_a_run_that_ends_in_the_middle_has_a_report(small_run):
    records = [{"text": PROSE}, *({"txt": "x"} for _ in range(3))]
    report, page = small_run(
        records, error=(LimitError, r"3 of 4 records .*missing_text 3.*the keys are txt")
    )
    assert report["stages"][0]["quarantined"] == 3
    assert report["shards"] is None
    assert report["balanced"]
    assert "the run did not end" in page
