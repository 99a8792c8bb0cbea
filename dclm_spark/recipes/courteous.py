"""DCLM-BASELINE on the pages that do not object."""

from dataclasses import replace

from dclm_spark.recipes.dclm_baseline import dclm_baseline
from dclm_spark.recipes.recipe import Recipe
from udfs.html.page_policy import RULES, PagePolicySettings


def courteous() -> Recipe:
    """Return DCLM-BASELINE without pages that say noindex, noai, noimageai or reserve text mining.

    Licence links are recorded. What pages say elsewhere (robots.txt, terms of use) is not read.
    """
    baseline = dclm_baseline()
    policy = PagePolicySettings(record=True, drop=RULES)
    return replace(
        baseline,
        name="courteous",
        extraction=replace(baseline.extraction, page_policy=policy),
    )
