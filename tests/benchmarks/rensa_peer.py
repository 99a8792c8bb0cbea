"""rensa's streaming deduplicator on one folder of JSON lines; run by its own interpreter.

Prints CPU seconds as JSON and writes the ids that stay. Imports nothing of ours.
"""

import importlib
import importlib.metadata
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

# As its own benchmark: 128 slots, eight bands, threshold 0.8.
SLOTS, BANDS, THRESHOLD = 128, 8, 0.8
WORDS = 5


def shingles(text: str) -> list[str]:
    """Return the word 5-grams of a text."""
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[n : n + WORDS]) for n in range(max(1, len(words) - WORDS + 1))]


def main() -> None:
    """Run on the folder of the command line; its second word is where the kept ids go."""
    rensa: Any = importlib.import_module("rensa")
    rows = [
        json.loads(line)
        for file in sorted(Path(sys.argv[1]).glob("*.json"))
        for line in file.read_text().splitlines()
    ]
    started = time.process_time()
    seen = rensa.RMinHashDeduplicator(THRESHOLD, SLOTS, True, BANDS)
    kept = []
    for row in rows:
        sketch = rensa.RMinHash(SLOTS, 42)
        sketch.update(shingles(row["text"]))
        if seen.add(row["id"], sketch):
            kept.append(row["id"])
    seconds = time.process_time() - started
    Path(sys.argv[2]).write_text("\n".join(kept))
    version = importlib.metadata.version("rensa")
    print(json.dumps({"version": version, "cpu_seconds": seconds, "kept": len(kept)}))


if __name__ == "__main__":
    main()
