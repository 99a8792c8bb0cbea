"""Files below a folder of this machine, those behind links too."""

import os
from pathlib import Path


def files_below(folder: Path) -> list[str]:
    """Return the files below a folder, sorted; links are followed, each folder is read once.

    What a link leads to within the folder is called by its own name alone. A link to nowhere is a
    file too: reading it says what is wrong.
    """
    root = folder.resolve()
    seen = {root}
    found: list[str] = []
    for directory, folders, names in os.walk(folder, followlinks=True):
        below = Path(directory)
        folders[:] = [name for name in sorted(folders) if _is_new(below / name, root, seen)]
        found += [str(below / name) for name in names if is_file(below / name)]
    return sorted(found)


def is_file(path: Path) -> bool:
    """Say whether there is a file to read, or a link to one that is not there."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _is_new(path: Path, root: Path, seen: set[Path]) -> bool:
    target = path.resolve()
    is_inside = path.is_symlink() and target.is_relative_to(root)
    if is_inside or target in seen:
        return False
    seen.add(target)
    return True
