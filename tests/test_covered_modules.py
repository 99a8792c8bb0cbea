"""Which test covers a module that has no test file of its name."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "dclm_spark" / "library"
# A smaller module is covered by the tests of those that use it.
LINES = 60
# Modules by the test file that covers them.
COVERED_BY = {
    "dclm_spark/dedup/test_evidence.py": ("dclm_spark/dedup/evidence/removed_pairs.py",),
    "dclm_spark/dedup/test_global_ngrams.py": ("dclm_spark/dedup/decisions.py",),
    "dclm_spark/dedup/test_losses_and_guard.py": (
        "dclm_spark/dedup/evidence/clusters.py",
        "dclm_spark/dedup/evidence/guard.py",
        "dclm_spark/dedup/evidence/information.py",
        "dclm_spark/dedup/evidence/stage_evidence.py",
        "dclm_spark/dedup/evidence/verdict_columns.py",
    ),
    "dclm_spark/dedup/test_methods.py": ("dclm_spark/dedup/method.py",),
    "dclm_spark/dedup/test_minhash.py": (
        "dclm_spark/dedup/candidates.py",
        "dclm_spark/dedup/verification.py",
    ),
    "dclm_spark/dedup/test_survivors.py": ("dclm_spark/dedup/near_duplicates.py",),
    "dclm_spark/engine/test_checkpoints.py": ("dclm_spark/engine/tables.py",),
    "dclm_spark/engine/test_totals.py": (
        "dclm_spark/engine/stage_output.py",
        "udfs/units/statistics.py",
    ),
    "dclm_spark/evaluate/test_runner.py": ("dclm_spark/evaluate/results.py",),
    "dclm_spark/library/test_copies.py": (
        "dclm_spark/library/kept_tables.py",
        "dclm_spark/library/near_copies.py",
        "dclm_spark/library/ngram_copies.py",
    ),
    "dclm_spark/library/test_frames.py": (
        "dclm_spark/library/evaluation_overlap.py",
        "dclm_spark/library/fasttext_models.py",
        "dclm_spark/library/judging.py",
        "dclm_spark/library/token_columns.py",
        "dclm_spark/library/web_pages.py",
    ),
    "dclm_spark/library/test_same_as_job.py": (
        "dclm_spark/library/committed_frame.py",
        "dclm_spark/library/frame_shards.py",
    ),
    "dclm_spark/measure/test_contamination.py": ("dclm_spark/measure/planted_leaks.py",),
    "dclm_spark/measure/test_throughput.py": (
        "dclm_spark/measure/chain.py",
        "dclm_spark/measure/inputs.py",
        "dclm_spark/measure/kernels.py",
        "dclm_spark/measure/markdown.py",
        "dclm_spark/measure/spark_overhead.py",
        "dclm_spark/session.py",
    ),
    "dclm_spark/planning/test_crawl.py": (
        "dclm_spark/planning/actual.py",
        "dclm_spark/planning/cluster.py",
        "dclm_spark/planning/rates.py",
        "dclm_spark/planning/rendering.py",
    ),
    "dclm_spark/ranking/test_rank.py": (
        "dclm_spark/ranking/corpora.py",
        "dclm_spark/ranking/model_runs.py",
        "dclm_spark/ranking/train_models.py",
    ),
    "dclm_spark/report/test_page.py": (
        "dclm_spark/html_pages/charts.py",
        "dclm_spark/html_pages/render.py",
        "dclm_spark/report/summary.py",
    ),
    "dclm_spark/sample/test_generate.py": (
        "dclm_spark/sample/failures.py",
        "dclm_spark/sample/kinds.py",
        "dclm_spark/sample/pages.py",
        "dclm_spark/sample/warc_records.py",
    ),
    "dclm_spark/sample/test_outcomes.py": ("dclm_spark/sample/repetition_failures.py",),
    "dclm_spark/sample/test_trap.py": ("dclm_spark/sample/facts.py",),
    "dclm_spark/signals/test_signal_tables.py": (
        "dclm_spark/recipes/deciding.py",
        "dclm_spark/signals/external_table.py",
        "udfs/signals/signed_files.py",
    ),
    "dclm_spark/stages/test_deduplicate.py": (
        "dclm_spark/dedup/sharded_ngrams.py",
        "dclm_spark/stages/deduplicate_by_file.py",
    ),
    "dclm_spark/stages/test_documents.py": ("udfs/units/curate.py",),
    "dclm_spark/signals/test_mixture_yield.py": (
        "dclm_spark/report/column_charts.py",
        "dclm_spark/stages/shard_rows.py",
    ),
    "dclm_spark/stages/test_select.py": (
        "dclm_spark/signals/decision.py",
        "dclm_spark/signals/scored_documents.py",
        "udfs/units/fates.py",
    ),
    "dclm_spark/test_finished_work.py": ("dclm_spark/engine/run_record.py",),
    "dclm_spark/test_incremental.py": ("dclm_spark/dedup/earlier.py",),
    "dclm_spark/test_pipeline.py": (
        "dclm_spark/explain.py",
        "dclm_spark/report/dedup_summary.py",
        "dclm_spark/report/summarize.py",
        "dclm_spark/sample/sample_run.py",
        "dclm_spark/stages/run_output.py",
        "dclm_spark/stages/shards.py",
        "dclm_spark/stages/tokenize.py",
    ),
    "dclm_spark/test_preflight.py": ("dclm_spark/recipes/checks.py",),
    "dclm_spark/test_quality_classifier.py": (
        "dclm_spark/quality_classifier/classifier_texts.py",
        "dclm_spark/quality_classifier/classifier_training.py",
    ),
    "dclm_spark/test_recipes.py": ("dclm_spark/recipes/recipe.py",),
    "dclm_spark/test_settings.py": (
        "dclm_spark/settings_choices.py",
        "dclm_spark/yaml_text.py",
        "udfs/checks.py",
    ),
    "dclm_spark/train/checkpoints/test_resume.py": (
        "dclm_spark/train/checkpoints/folder.py",
        "dclm_spark/train/checkpoints/mirror.py",
    ),
    "dclm_spark/train/data/test_shard_reader.py": ("dclm_spark/train/data/sources.py",),
    "dclm_spark/train/test_export.py": ("dclm_spark/train/modeling_openlm.py",),
    "dclm_spark/train/test_openlm.py": ("dclm_spark/train/network.py",),
    "dclm_spark/train/test_planted_facts.py": ("dclm_spark/ranking/planted.py",),
    "dclm_spark/train/test_trainer.py": (
        "dclm_spark/train/checkpoints/checkpointer.py",
        "dclm_spark/train/logs.py",
        "dclm_spark/train/metrics.py",
        "dclm_spark/train/optimizer.py",
        "dclm_spark/train/prepare.py",
        "dclm_spark/train/state.py",
    ),
    "udfs/dedup/test_bloom.py": ("udfs/text/hashing.py",),
    "udfs/dedup/test_evaluation_matches.py": (
        "udfs/dedup/evaluation_hits.py",
        "udfs/dedup/evaluation_index.py",
    ),
    "udfs/dedup/test_minhash.py": ("udfs/dedup/windows.py",),
    "udfs/documents/test_damaged_input.py": (
        "udfs/documents/json_lines.py",
        "udfs/documents/parquet/large_pages.py",
        "udfs/documents/parquet/parquet_headers.py",
        "udfs/documents/parquet/parquet_rows.py",
        "udfs/documents/parquet/snappy_kernels.py",
        "udfs/warc/stream_codecs.py",
        "udfs/warc/zstd_frames.py",
    ),
    "udfs/documents/test_extract.py": (
        "udfs/documents/extraction_settings.py",
        "udfs/documents/rows.py",
    ),
    "udfs/documents/test_fuzz.py": ("udfs/warc/http_response.py",),
    "udfs/fasttext/test_model.py": (
        "udfs/fasttext/arrays.py",
        "udfs/fasttext/file.py",
        "udfs/fasttext/kernels.py",
        "udfs/fasttext/ngram_kernels.py",
        "udfs/fasttext/word_cache.py",
        "udfs/fasttext/word_hashes.py",
    ),
    "udfs/html/test_charset.py": ("udfs/html/charset_labels.py",),
    "udfs/html/test_extractors.py": ("udfs/html/extractor.py",),
    "udfs/html/test_parser.py": ("udfs/html/child.py", "udfs/html/shared_memory.py"),
    "udfs/rules/cleaning/test_steps.py": (
        "udfs/rules/cleaning/line_kernels.py",
        "udfs/rules/cleaning/line_patterns.py",
        "udfs/rules/cleaning/url_removal.py",
    ),
    "udfs/rules/test_c4.py": ("udfs/rules/c4_kernels.py", "udfs/text/sentences.py"),
    "udfs/rules/test_families.py": (
        "udfs/rules/batch.py",
        "udfs/rules/family.py",
        "udfs/rules/refinedweb.py",
    ),
    "udfs/rules/test_fineweb.py": (
        "udfs/rules/fineweb_kernels.py",
        "udfs/rules/fineweb_repetition_kernels.py",
    ),
    "udfs/rules/test_repetition.py": ("udfs/text/hashed_words.py",),
    "udfs/rules/test_urls.py": (
        "udfs/rules/url_kernels.py",
        "udfs/rules/url_lists.py",
        "udfs/text/tries.py",
    ),
    "udfs/storage/test_files.py": ("udfs/storage/http.py", "udfs/storage/local.py"),
    "udfs/storage/test_s3.py": ("udfs/storage/stream.py",),
    "udfs/text/test_word_breaks.py": ("udfs/text/segments.py",),
    "udfs/text/test_words.py": ("udfs/text/unicode.py", "udfs/text/word_kernels.py"),
    "udfs/units/test_commit.py": ("udfs/units/parquet_output.py",),
    "udfs/warc/test_http_codings.py": ("udfs/warc/http_chunks.py",),
    "udfs/warc/test_reader.py": (
        "udfs/warc/compression.py",
        "udfs/warc/dialects.py",
        "udfs/warc/scanner.py",
    ),
}


def modules() -> list[Path]:
    return [
        path
        for top in ("udfs", "dclm_spark")
        for path in sorted((ROOT / top).rglob("*.py"))
        if path.name != "__init__.py" and len(path.read_text().splitlines()) > LINES
    ]


def names_of(paths: Iterable[Path]) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in paths}


def test_every_module_has_a_test_file_of_its_name_or_one_line_here():
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    without = names_of(path for path in modules() if f"test_{path.name}" not in tests)
    listed = [module for covered in COVERED_BY.values() for module in covered]
    assert sorted(listed) == sorted(without)


@pytest.mark.parametrize("test", COVERED_BY)
def test_a_covering_test_reaches_the_modules(test):
    path = ROOT / "tests" / test
    # A job is run by its file.
    jobs = [job for job in (ROOT / "jobs").glob("*.py") if job.name in path.read_text()]
    reached = set().union(*map(reached_from, [path, *jobs]))
    texts = [(ROOT / name).read_text() for name in reached]
    # What goes with a model is copied by its name.
    unreached = {
        module
        for module in COVERED_BY[test]
        if module not in reached and not any(f'"{Path(module).name}"' in text for text in texts)
    }
    assert unreached == set()


def reached_from(path: Path) -> set[str]:
    """Return the modules that a file imports, directly or through others."""
    reached: set[str] = set()
    waiting = [path]
    while waiting:
        for found in imports_of(waiting.pop()):
            name = str(found.relative_to(ROOT))
            if name not in reached:
                reached.add(name)
                waiting.append(found)
    return reached


@cache
def imports_of(path: Path) -> tuple[Path, ...]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    files = []
    if "dclm_spark" in names:
        # The package's own names load its library.
        names |= {f"dclm_spark.library.{path.stem}" for path in LIBRARY.glob("*.py")}
    for name in names:
        place = ROOT.joinpath(*name.split("."))
        files += [place.with_suffix(".py"), place / "__init__.py"]
    return tuple(file for file in files if file.exists())
