"""The notebook of docs: made of its script, executed, and the same when it is executed again."""

import importlib.util
import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


def load_executor():
    spec = importlib.util.spec_from_file_location("execute_notebook", DOCS / "execute_notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(cell):
    """Return what a cell of an .ipynb file printed."""
    return "".join("".join(one["text"]) for one in cell["outputs"] if "text" in one)


@pytest.fixture(scope="module")
def cells():
    return json.loads((DOCS / "quickstart.ipynb").read_text())["cells"]


def test_the_notebook_has_the_cells_of_its_script(cells):
    script = (DOCS / "quickstart.py").read_text()
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == (
        load_executor().cells_of(script)
    )


def test_the_notebook_was_executed_and_has_tables_and_two_pictures(cells):
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [one for cell in code for one in cell["outputs"]]
    assert not [one for one in outputs if one["output_type"] == "error"]
    pictures = [one for one in outputs if "image/png" in one.get("data", {})]
    assert len(pictures) == 2
    assert sum(text_of(cell).startswith("+--") for cell in code) >= 3


def test_cells_are_cut_at_their_marks():
    script = "# %% [markdown]\n# # Title\n#\n# text\n\n# %%\na = 1\n\n# %%\nb = 2\n"
    assert load_executor().cells_of(script) == [
        ("markdown", "# Title\n\ntext"), ("code", "a = 1"), ("code", "b = 2"),
    ]  # fmt: skip


@pytest.mark.slow  # runs the notebook in a kernel and a Spark session of its own
def test_executed_again_it_prints_the_same(cells, tmp_path):
    notebook = load_executor().executed((DOCS / "quickstart.py").read_text(), str(tmp_path))
    again = json.loads(json.dumps(notebook))["cells"]
    printed = [text_of(cell) for cell in cells if cell["cell_type"] == "code"]
    assert [text_of(cell) for cell in again if cell["cell_type"] == "code"] == printed
