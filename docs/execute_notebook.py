"""Make an executed notebook of a script whose cells begin with `# %%`.

python docs/execute_notebook.py docs/quickstart.py docs/quickstart.ipynb
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

_CELL = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)
# What a process says of itself while it runs: no result, and never the same twice.
_NOISE = ("stderr",)


def cells_of(script: str) -> list[tuple[str, str]]:
    """Return (kind, source) of each cell: "markdown" without its comment signs, or "code"."""
    _, *parts = _CELL.split(script)
    cells = []
    for mark, source in zip(parts[::2], parts[1::2], strict=True):
        if mark:
            cells.append(("markdown", re.sub(r"^# ?", "", source.strip(), flags=re.MULTILINE)))
        else:
            cells.append(("code", source.strip()))
    return cells


def executed(script: str, folder: str, timeout_seconds: int = 600) -> Any:
    """Return the notebook of a script, run in a kernel of this environment, outputs included.

    Raises nbclient's CellExecutionError for a cell that fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    notebook.cells = [
        nbformat.v4.new_markdown_cell(source, id=f"cell-{number}")
        if kind == "markdown"
        else nbformat.v4.new_code_cell(source, id=f"cell-{number}")
        for number, (kind, source) in enumerate(cells_of(script))
    ]
    # Spark's Python workers are those of this environment.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    resources = {"metadata": {"path": folder}}
    NotebookClient(notebook, timeout=timeout_seconds, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") not in _NOISE]
    return notebook


def main() -> None:
    """Execute the script that is named first and write the notebook that is named second."""
    import nbformat

    script, output = map(Path, sys.argv[1:])
    notebook = executed(script.read_text(encoding="utf-8"), str(script.parent))
    nbformat.write(notebook, output)
    print(f"{output}: {len(notebook.cells)} cells")


if __name__ == "__main__":
    main()
