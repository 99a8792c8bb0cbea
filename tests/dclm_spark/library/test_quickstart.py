"""The notebook of docs: its script is cut into cells, and runs in a kernel of its own."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


def load_executor():
    spec = importlib.util.spec_from_file_location("execute_notebook", DOCS / "execute_notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cells_are_cut_at_their_marks():
    script = "# %% [markdown]\n# # Title\n#\n# text\n\n# %%\na = 1\n\n# %%\nb = 2\n"
    assert load_executor().cells_of(script) == [
        ("markdown", "# Title\n\ntext"), ("code", "a = 1"), ("code", "b = 2"),
    ]  # fmt: skip


@pytest.mark.slow  # runs the notebook in a kernel and a Spark session of its own
def test_the_script_runs_as_a_notebook_with_tables_and_two_pictures(tmp_path):
    notebook = load_executor().executed((DOCS / "quickstart.py").read_text(), str(tmp_path))
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    assert len([one for one in outputs if "image/png" in one.get("data", {})]) == 2
    assert sum(one.get("text", "").startswith("+--") for one in outputs) >= 3
