"""A stage's code version follows what can change its bytes, and nothing else."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dclm_spark.engine import code_version as module
from dclm_spark.engine.code_version import code_of, code_version

ROOT = Path(__file__).parents[3]
ROOTS = {
    "documents": "udfs.units.curate",
    "deduplicate": "dclm_spark.stages.deduplicate",
    "score": "dclm_spark.stages.score",
    "shards": "dclm_spark.stages.shards",
}
PRINT = (
    "import json; from dclm_spark.engine.code_version import code_version;"
    f"print(json.dumps({{name: code_version(one) for name, one in {ROOTS!r}.items()}}))"
)


def versions(place):
    """The versions that an interpreter gives whose packages lie in `place`, a folder or a zip."""
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PRINT], env=environment, cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def checkout(folder):
    for package in ("udfs", "dclm_spark"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return versions(checkout(tmp_path_factory.mktemp("plain")))


@pytest.fixture
def copy(tmp_path):
    return checkout(tmp_path / "copy")


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_the_folder_of_the_code_does_not_matter(plain, tmp_path):
    assert versions(checkout(tmp_path / "train" / "rank" / "evaluate")) == plain


def test_a_zip_on_the_path_has_the_same_versions(plain, copy, tmp_path):
    zipped = shutil.make_archive(str(tmp_path / "packages"), "zip", copy)
    shutil.rmtree(copy)
    assert versions(zipped) == plain


def test_comments_docstrings_and_layout_change_nothing(plain, copy):
    for path in [*copy.rglob("*.py")]:
        text = path.read_text()
        text = re.sub(r'^("""|    """)(?=\w)', r"\1Another word, ", text, flags=re.MULTILINE)
        path.write_text(
            "# A comment before.\n\n" + text.replace("\n\n\n", "\n\n\n# And one more.\n\n")
        )
    assert versions(copy) == plain


def test_what_writes_no_stage_changes_nothing(plain, copy):
    package = copy / "dclm_spark"
    for name in ("report", "train", "planning", "evaluate", "ranking", "sample", "explain"):
        for path in (package / name).glob("*.py"):
            path.write_text(path.read_text() + "\n\nANOTHER_STATEMENT = 1\n")
    for name in ("pipeline", "measure/clock", "session", "engine/stage", "recipes/recipe"):
        path = package / f"{name}.py"
        path.write_text(path.read_text() + "\n\nANOTHER_STATEMENT = 1\n")
    assert versions(copy) == plain


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("udfs/html/parser.py", {"documents"}),
        ("udfs/warc/compression.py", {"documents"}),
        ("udfs/dedup/minhash.py", {"deduplicate"}),
        ("dclm_spark/dedup/pairs/components.py", {"deduplicate"}),
        ("udfs/fasttext/quality.py", {"score"}),
        ("udfs/tokens/packing.py", {"shards"}),
        ("udfs/units/parquet_output.py", {"documents", "deduplicate", "score", "shards"}),
    ],
)
def test_a_kernel_changes_the_stages_that_import_it(plain, copy, file, changed):
    (copy / file).write_text((copy / file).read_text() + "\n\nANOTHER_STATEMENT = 1\n")
    found = versions(copy)
    assert {stage for stage, version in found.items() if version != plain[stage]} == changed


def test_a_constant_within_a_kernel_counts(plain, copy):
    edit(
        copy / "udfs" / "units" / "parquet_output.py",
        "ROW_GROUP_ROWS = 1024",
        "ROW_GROUP_ROWS = 1000",
    )
    assert versions(copy)["documents"] != plain["documents"]


def test_a_table_that_a_kernel_reads_counts(plain, copy):
    table = copy / "udfs" / "resources" / "word_break_16.txt"
    table.write_text(table.read_text() + "\n")
    assert versions(copy)["documents"] != plain["documents"]


def test_the_version_of_a_package_counts_where_it_is_imported(monkeypatch):
    def with_version(package):
        monkeypatch.setattr(module, "package_version", lambda name: str(name == package))
        code_version.cache_clear()
        return {stage: code_version(root) for stage, root in ROOTS.items()}

    before, resiliparse, pyarrow = map(with_version, ("", "resiliparse", "pyarrow"))
    code_version.cache_clear()
    assert {stage for stage in ROOTS if resiliparse[stage] != before[stage]} == {"documents"}
    assert {stage for stage in ROOTS if pyarrow[stage] != before[stage]} == set(ROOTS)


def test_a_function_counts_with_its_module_whatever_is_given_to_it():
    from functools import partial

    from udfs.units.curate import curate_file

    assert code_of(curate_file) == code_of(partial(curate_file, settings=1))
    assert code_of(curate_file) == code_version("udfs.units.curate")
    assert code_of(curate_file, "udfs.dedup.minhash") != code_of(curate_file)


def test_a_function_of_a_script_counts_by_its_own_source(tmp_path):
    def version_of(body):
        script = tmp_path / "script.py"
        script.write_text(
            "from dclm_spark.engine.code_version import code_of\n"
            f"def process(source, output):\n    {body}\n"
            "if __name__ == '__main__':\n    print(code_of(process, 'udfs.quirks'))\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.check_output([sys.executable, script], env=environment, text=True)

    assert version_of("return 1") == version_of("return 1  # a comment")
    assert version_of("return 1") != version_of("return 2")


# Packages of others that kernels import and whose version changes no byte: they move bytes,
# decompress by a standard, read lists of removals, or compile what numba gives them.
# Of extractors and segmenters, the versions of those that a recipe asks are in the key of units.
NO_EFFECT = {
    "azure", "boto3", "botocore", "brotli", "fugashi", "google", "huggingface_hub", "isal",
    "justext", "khmernltk", "laonlp", "llvmlite", "protego", "pythainlp", "rjieba", "trafilatura",
    "unidic_lite", "urllib3", "zstandard",
}  # fmt: skip


def test_each_package_that_kernels_import_is_known_to_count_or_not():
    names = set()
    signals = (ROOT / "dclm_spark" / "signals").rglob("*.py")
    for path in [*(ROOT / "udfs").rglob("*.py"), *signals]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    others = names - set(sys.stdlib_module_names) - {"udfs", "dclm_spark", "pyspark"}
    assert others == NO_EFFECT | set(module.PACKAGES)
