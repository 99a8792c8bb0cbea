"""FineWeb, and FineWeb-Edu as a classifier of your own on top of it."""

from dataclasses import replace

from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.recipes.dclm_baseline import dclm_baseline
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.stages.score import QualitySettings
from udfs.dedup.minhash import PRESETS
from udfs.rules.cleaning.redaction import RedactionSettings

# FineWeb-Edu keeps 3 and more of 5 for educational value, about 8 % of FineWeb's tokens.
EDUCATIONAL_TOP = 0.08


def fineweb() -> Recipe:
    """Return FineWeb's filters and its MinHash: 14 bands of 8 rows over 5-grams, not verified.

    E-mail and public IP addresses are replaced; FineWeb does it after the copies are gone. FineWeb
    compares the pages of one crawl; so does a run whose input is one crawl.
    """
    baseline = dclm_baseline()
    near = MinHash(signatures=PRESETS["datatrove"], verification="none")
    return replace(
        baseline,
        name="fineweb",
        heuristics=replace(baseline.heuristics, rules="fineweb"),
        redaction=RedactionSettings(emails=True, public_ips=True),
        deduplication=DeduplicationSettings(method=near),
        quality=QualitySettings(enabled=False),
    )


def fineweb_edu() -> Recipe:
    """Return FineWeb and the best part of it by a classifier of educational value.

    The classifier is the user's: `quality.model.uri`, from jobs/train_quality.py with educational
    pages as positives. FineWeb-Edu's own is a regression on the embeddings of a language model.
    """
    return replace(fineweb(), name="fineweb_edu", quality=QualitySettings(top=EDUCATIONAL_TOP))
