"""What a first run meets, as it is typed: everything here is found before Spark starts."""

import importlib.util
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.command import run_command
from dclm_spark.errors import SettingError
from dclm_spark.preflight import stages_of
from dclm_spark.quality_classifier import QualityTrainingSettings, train_quality
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.checks import check_recipe, check_survivor_order
from dclm_spark.recipes.deciding import decision_of, known_columns
from dclm_spark.recipes.recipe import recipe_hash
from dclm_spark.settings import to_yaml
from tests.hub_server import serve_hub
from udfs.tokens.tokenizer import train_tokenizer

JOB = Path(__file__).resolve().parents[2] / "jobs" / "build_baseline.py"
PROSE = "The river ferry leaves the old harbour at seven in the morning and comes back at noon. "


class SparkStarted(Exception):
    pass


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tokenizer, a classifier, a list and an input of two files."""
    folder = tmp_path_factory.mktemp("files")
    texts = [f"{PROSE} Number {number}." for number in range(40)]
    (folder / "tokenizer.json").write_text(train_tokenizer(iter(texts), 400))
    for name, word in (("good", "captain"), ("bad", "casino")):
        lines = [json.dumps({"text": f"{word} {text}"}) for text in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    train_quality(
        positives=str(folder / "good.jsonl"),
        negatives=str(folder / "bad.jsonl"),
        output=str(folder / "quality.bin"),
        settings=QualityTrainingSettings(bucket=1000, dim=4),
    )
    (folder / "empty.txt").write_text("")
    (folder / "in").mkdir()
    for part in range(2):
        (folder / "in" / f"part-{part}.jsonl").write_text((folder / "good.jsonl").read_text())
    return folder


@pytest.fixture
def typed(files, tmp_path, monkeypatch, capsys):
    """Type a command line after the job's name; return exit code, what it printed, its errors."""
    spec = importlib.util.spec_from_file_location("build_baseline_job", JOB)
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)

    def start(*_):
        raise SparkStarted

    monkeypatch.setattr(job, "spark_session", start)

    def run(*arguments, recipe="raw", tokenizer=True, inputs=None, output=None):
        line = ["--recipe", recipe, "--input", inputs or str(files / "in")]
        line += ["--output", output or str(tmp_path / "out")]
        if tokenizer:
            line += ["--set", f"tokens.tokenizer.uri={files / 'tokenizer.json'}"]
        monkeypatch.setattr("sys.argv", [str(JOB), *line, *arguments])
        try:
            run_command(job.main)
            code = 0
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def errors(text):
    return [line for line in text.splitlines() if line.startswith("error: ")]


def test_a_run_with_everything_in_place_starts_spark(typed):
    with pytest.raises(SparkStarted):
        typed()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "quality.top=10"), "quality.top = 10.0: expected a fraction above 0"),
        (("--set", "quality.threshold=5"), "quality.threshold = 5.0: expected 0.0 to 1.0"),
        (("--set", "quality.threshold=.nan"), "quality.threshold = nan: expected 0.0 to 1.0"),
        (("--set", "deduplication.shrads=3"), "did you mean deduplication.shards?"),
        (("--recipe", "dclm_baselin"), "did you mean 'dclm_baseline'?"),
        (("--set", "heuristics.language=xx", "--recipe", "c4"), "'xx': the language model does"),
        (("--input", "none.warc.gz"), "none.warc.gz: there is no such file"),
        (("--input", "none.paths.gz"), "--input none.paths.gz: there is no such list of files"),
        (("--input", "{files}/qualit?.bin"), "unknown kind of file; its name must end in"),
        (("--input", "{files}/../none*"), "there is no such file"),
        (("--output", "{files}/tokenizer.json/out"), "it cannot be written (Not a directory)"),
        (("--set", "url_lists.domains.uri={files}/none.txt"), "url_lists.domains: "),
        (("--set", "url_lists.domains.uri={files}/empty.txt"), "has no entries"),
        (
            ("--set", "language_model.uri={files}/tokenizer.json", "--recipe", "c4"),
            "not a fastText",
        ),
        (("--set", "tokens.tokenizer.uri={files}/good.jsonl"), "tokens.tokenizer"),
        (("--set", "tokens.padding_id=50256"), "tokens.padding_id = 50256: it lies outside"),
        (("--set", "tokens.end_of_text_id=5"), "which texts have too; expected a special token"),
        (("--set", "decontamination.tasks=mmul", "--set", "decontamination.data=x"), "mmul"),
        (
            ("--set", "deduplication.method=minhash", "--set", "deduplication.earlier=[x]"),
            "earlier",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(typed, files, arguments, message):
    arguments = [argument.format(files=files) for argument in arguments]
    code, _, printed = typed(*arguments)
    assert code == 2
    assert "Traceback" not in printed
    assert len(errors(printed)) == 1
    assert message in errors(printed)[0]


def test_input_without_texts_names_its_keys(typed, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"content": "x", "id": 1}\n{"content": "y"}')
    code, _, printed = typed(inputs=str(tmp_path / "in.jsonl"))
    assert code == 2
    assert "no text in `text`; the keys are content, id" in errors(printed)[0]
    with pytest.raises(SparkStarted):
        typed("--set", "input.text_column=content", inputs=str(tmp_path / "in.jsonl"))


def test_a_table_without_texts_is_not_hidden_by_lines_with_some(typed, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"text": "x"}')
    pq.write_table(pa.table({"content": ["x"]}), tmp_path / "in" / "b.parquet")
    code, _, printed = typed("--check", inputs=str(tmp_path / "in"))
    assert code == 2
    assert "b.parquet: no text in `text`; the keys are content" in errors(printed)[0]


def test_an_own_column_without_a_value_is_told(typed, tmp_path, caplog):
    (tmp_path / "in.jsonl").write_text('{"text": "x", "id": 1, "lang": null}\n{"text": "y"}')
    columns = ("--set", "input.columns=[id, lnag]")
    code, _, _ = typed("--check", *columns, inputs=str(tmp_path / "in.jsonl"))
    assert code == 0
    (told,) = [one.getMessage() for one in caplog.records if "input.columns" in one.getMessage()]
    assert told.startswith("input.columns: the first 2 records of ")
    assert told.endswith("in.jsonl have no value of lnag")


@pytest.mark.parametrize("before", ["\n", "\n" * 250])
def test_empty_lines_and_files_do_not_hide_that_no_record_has_a_text(typed, tmp_path, before):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text("")
    (tmp_path / "in" / "b.jsonl").write_text(before + '{"content": "x"}\n\n{"content": "y"}')
    code, _, printed = typed("--check", inputs=str(tmp_path / "in"))
    assert code == 2
    assert "b.jsonl: no text in `text`; the keys are content" in errors(printed)[0]


def test_lines_of_a_list_that_ban_nothing_are_named(typed, tmp_path, caplog):
    (tmp_path / "list.txt").write_text("a.example\nad*.example\n*.b.example\n@@||c.example^\n")
    line = ("--check", "--set", f"url_lists.domains.uri={tmp_path / 'list.txt'}")
    code, _, _ = typed(*line)
    assert code == 0
    assert "url_lists.domains: 2 of 4 lines of " in caplog.text
    assert "such as 'ad*.example', '@@||c.example^'; expected a host" in caplog.text


def quality(files, *more):
    return ("--set", f"quality.model.uri={files / 'quality.bin'}", *more)


def test_a_classifier_with_other_labels_is_named(typed, files):
    code, _, printed = typed(
        *quality(files, "--set", "quality.positive_label=good"), recipe="dclm_baseline"
    )
    assert code == 2
    assert "has the labels" in errors(printed)[0]
    assert "cc" in errors(printed)[0]


def test_a_recipe_without_its_classifier_says_how_to_get_one(typed):
    code, _, printed = typed(recipe="fineweb_edu")
    assert code == 2
    assert "quality.model is not set" in errors(printed)[0]


def test_without_a_network_the_files_and_settings_are_named(typed, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("DCLM_SPARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HOME", raising=False)
    code, _, printed = typed(recipe="dclm_baseline", tokenizer=False)
    assert code == 2
    message = errors(printed)[0]
    assert "cannot be reached" in message
    assert "/EleutherAI/gpt-neox-20b/resolve/c292233c833e336628618a88a648727eb3d" in message
    assert "/mlfoundations/fasttext-oh-eli5/resolve/cd8b714a90f2dbcd3b02cf5fc972e5d7c7f4" in message
    assert "--set quality.model.uri=FILE --set tokens.tokenizer.uri=FILE" in message


def test_a_hub_serves_tokenizer_and_classifier(typed, files, monkeypatch, tmp_path):
    monkeypatch.setenv("DCLM_SPARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HOME", raising=False)
    content = {("lab/m", "quality.bin"): (files / "quality.bin").read_bytes()}
    with serve_hub(content) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(SparkStarted):
            typed("--set", "quality.model.uri=hf://lab/m/quality.bin", recipe="fineweb_edu")


def test_check_prints_the_plan_and_stops(typed):
    code, printed, _ = typed("--check", "--limit", "1")
    assert code == 0
    assert "input    1 files (1 json lines)" in printed
    assert "stages   documents (no rules) > deduplicate (nothing) > tokenize > shards" in printed
    assert "expected about" in printed
    assert "left out decontamination.data" in printed


def test_an_empty_first_file_is_named_once(typed, tmp_path, caplog):
    (tmp_path / "a.jsonl").write_text("")
    code, printed, logged = typed("--check", inputs=str(tmp_path / "a.jsonl"))
    assert code == 0
    assert (printed + logged + caplog.text).count("the first file is empty: ") == 1


def test_check_writes_nothing(typed, tmp_path):
    (tmp_path / "there").mkdir()
    for output in ("new/folder/out", "there"):
        before = sorted(tmp_path.rglob("*"))
        code, _, _ = typed("--check", output=str(tmp_path / output))
        assert code == 0
        assert sorted(tmp_path.rglob("*")) == before


def test_a_printed_recipe_loads_again(typed, tmp_path):
    code, printed, _ = typed("--print-recipe", "--set", "quirks=none", recipe="c4")
    assert code == 0
    (tmp_path / "mine.yaml").write_text(printed)
    assert to_yaml(load_recipe(str(tmp_path / "mine.yaml"))) == printed


def test_a_check_without_an_input_says_so(typed):
    code, _, printed = typed("--check", inputs=",")
    assert code == 2
    assert "--input (empty): it names no file" in errors(printed)[0]


def test_limit_wants_a_number(typed):
    code, _, printed = typed("--limit", "none")
    assert code == 2
    assert "expected a whole number" in printed


def test_a_full_disk_is_found_before(typed, monkeypatch):
    import shutil

    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    code, _, printed = typed()
    assert code == 2
    assert "1 kB are free there, and about" in errors(printed)[0]


def test_an_extractor_whose_package_is_absent_stops_a_run_before_spark_starts(monkeypatch):
    monkeypatch.setattr("udfs.html.extractor.find_spec", lambda name: None)
    recipe = load_recipe("raw", ["extraction.views=[trafilatura, none]"])
    with pytest.raises(SettingError, match=r"extraction\.views: 'trafilatura' needs the package"):
        check_recipe(recipe)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("-quality_score", "no document has a score before copies are removed; set quality.before"),
        ("best_score", "no document has a score before copies are removed; set quality.before"),
        ("-best_of_all", "no column of the documents stage is called 'best_of_all'"),
        ("-language", "only numbers can be preferred by size, and language is string"),
    ],
)
def test_an_order_of_survivors_that_cannot_be_stops_a_run_before_spark_starts(order, reason):
    usual = "deduplication.minhash.survivor_order=[longest, newest, -language_score, crawl_order]"
    check_survivor_order(load_recipe("fineweb", [usual]))
    recipe = load_recipe("fineweb", [f"deduplication.minhash.survivor_order=[{order}]"])
    with pytest.raises(SettingError, match=reason):
        check_survivor_order(recipe)


def test_the_best_score_may_decide_where_the_classifier_judges_first():
    changes = [
        "deduplication.minhash.survivor_order=[best_score, longest, -quality_score, crawl_order]",
        "quality.enabled=true", "quality.before_deduplication=true",
        "quality.model.uri=model.bin", "decontamination.data=evaluation",
    ]  # fmt: skip
    recipe = load_recipe("fineweb", changes)
    check_survivor_order(recipe)
    assert "quality_score_rank" in known_columns(recipe)
    assert stages_of(recipe) == [
        "documents (fineweb)", "score", "quality (score >= 0.018112)", "deduplicate (minhash)",
        "decontaminate (core)", "tokenize", "shards",
    ]  # fmt: skip
    assert decision_of(recipe, 0.5).rules == {}
    assert recipe_hash(recipe) != recipe_hash(load_recipe("fineweb", [*changes[:2], *changes[3:]]))


def test_a_classifier_that_is_off_cannot_judge_first():
    recipe = load_recipe("raw", ["quality.before_deduplication=true"])
    with pytest.raises(SettingError, match=r"quality.enabled = false, and so no classifier"):
        check_recipe(recipe)
