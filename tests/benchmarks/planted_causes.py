"""How often the causes of a better corpus are found: worlds with two planted causes each.

nice python -m tests.benchmarks.planted_causes --worlds 10 --output worlds

Two corpora of the embedded sample's texts differ by two groups that matter and two that do not. A
world is right when exactly the two are named. No Spark; a world takes ten minutes of a core.
"""

import argparse
import json
import time
from pathlib import Path

from dclm_spark.causes.models_of_groups import models_of_groups
from tests.dclm_spark.causes.planted_differences import model_settings, named_causes, write_world


def main() -> None:
    """Make the worlds, train, and print what was named beside what was planted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    right = both = 0
    for seed in range(given.first, given.first + given.worlds):
        started = time.monotonic()
        world = write_world(given.output / f"world-{seed}", seed)
        settings = model_settings(world, given.output / f"models-{seed}", given.seeds)
        found = models_of_groups(world.manifests, world.groups, settings)
        named = named_causes(found)
        right += named == world.causes
        both += named >= world.causes
        facts = {
            "world": seed,
            "planted": sorted(world.causes),
            "named": sorted(named),
            "right": named == world.causes,
            "effects": {
                part["group"]: [round(part[key], 4) for key in ("effect", "low", "high")]
                for part in found["effects"][0]["parts"]
            },
            "lead": round(found["effects"][0]["lead"], 4),
            "seconds": round(time.monotonic() - started, 1),
            "sizes": {one.label: len(one.doc_ids) for one in world.groups},
        }
        print(json.dumps(facts), flush=True)
    print(f"both causes named in {both} of {given.worlds} worlds, and nothing else in {right}")


if __name__ == "__main__":
    main()
