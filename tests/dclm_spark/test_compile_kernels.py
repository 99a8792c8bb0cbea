"""What is compiled ahead is what a run calls."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dclm_spark import compile_kernels
from dclm_spark.recipes.named import RECIPES
from udfs.dedup import duplicate_lines, minhash, ngrams, passages

ROOT = Path(__file__).parents[2]


def test_parts_are_recipes_and_the_methods_of_dedup():
    assert set(compile_kernels.PARTS) <= {*RECIPES, "dedup"}
    compile_kernels._compile("dedup", "")
    for kernel in (duplicate_lines._line_keys, minhash._sign_batch, passages._keys):
        assert kernel.signatures


@pytest.mark.slow
def test_the_first_run_of_the_sample_compiles_nothing_more(tmp_path):
    """Compiling takes a minute of CPU, and the sample's run nearly as much."""
    kernels = tmp_path / "kernels"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(kernels)}

    def run(*command):
        subprocess.run([sys.executable, *command], env=environment, check=True, cwd=tmp_path)
        return {path.name for path in kernels.rglob("*.nbc")}

    compiled = run("-m", "dclm_spark.compile_kernels")
    assert any(name.startswith(f"{ngrams.__name__.rsplit('.')[-1]}.") for name in compiled)
    job = str(ROOT / "jobs/build_baseline.py")
    assert run(job, "--recipe", "sample", "--master", "local[2]", "--output", "out") == compiled
