"""The git commit that a result was made with."""

import subprocess
from pathlib import Path


def source_commit() -> str:
    """Return the git commit of the sources, or "unknown" for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
