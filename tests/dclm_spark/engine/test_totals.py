"""Statistics add up to the same whoever adds them, and in bounded memory."""

import json
import random

import pytest

from dclm_spark.engine import totals
from dclm_spark.engine.stage_output import stage_output
from udfs.units import totals as unit_totals
from udfs.units.statistics import SAMPLES_PER_RULE
from udfs.units.totals import Totals, merge


def facts(seed):
    draw = random.Random(seed)
    return {
        "counts": [{"fate": "kept", "stage": "", "rule": "", "documents": seed, "text_bytes": 9}],
        "thresholds": {"page_length": 50.0},
        "languages": [["en", True, seed], ["fr", False, 1]],
        "domains": [[f"host-{draw.randrange(40)}.example", draw.randrange(1, 9), 1, 10]],
        "domains_cut": seed % 2,
        "histograms": {"num_words": [seed, 1]},
        "samples": [{"doc_id": f"{draw.getrandbits(64):032x}", "fate": "kept", "rule": "kept"}],
        "score_buckets": [[seed % 3, 2]],
        "contaminated_documents": {"arc": 1},
    }  # fmt: skip


def test_totals_of_groups_are_the_totals_of_all():
    units = [facts(seed) for seed in range(50)]
    groups = [merge(units[at : at + 7]) for at in range(0, 50, 7)]
    assert merge(groups) == merge(units)
    whole = merge(units)
    assert whole["counts"][0]["documents"] == sum(range(50))
    assert whole["score_buckets"] == [[0, 34], [1, 34], [2, 32]]
    assert whole["contaminated_documents"] == {"arc": 50}
    assert len(whole["samples"]) == SAMPLES_PER_RULE


def test_a_domain_has_at_most_so_many_documents_more_as_the_totals_say(monkeypatch):
    monkeypatch.setattr(unit_totals, "DOMAINS_OF_MANY", 20)
    draw = random.Random(1)
    true, cut = {}, Totals()
    for _ in range(200):
        unit = {f"host-{int(draw.paretovariate(0.5)) % 500}": draw.randrange(1, 50)}
        for name, count in unit.items():
            true[name] = true.get(name, 0) + count
        cut.add({"domains": [[name, count, 0, 0] for name, count in unit.items()]})
    found = cut.facts()
    assert len(found["domains"]) == 20
    assert found["domains_cut"] > 0
    told = {name: count for name, count, *_ in found["domains"]}
    for name, count in true.items():
        assert told.get(name, 0) <= count <= told.get(name, 0) + found["domains_cut"]


@pytest.mark.spark
def test_tasks_add_up_what_is_too_much_for_the_driver(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(totals, "FAN_IN", 3)
    (tmp_path / "statistics").mkdir()
    manifests = []
    for seed in range(20):
        path = f"statistics/u{seed:02d}.json"
        (tmp_path / path).write_text(json.dumps(facts(seed)))
        manifests.append(
            {"unit": f"u{seed:02d}", "key": "k", "files": [], "documents": {}, "facts": {},
             "timing": {}, "statistics": {"path": path, "sha256": str(seed)}}
        )  # fmt: skip
    output = stage_output("s", str(tmp_path), manifests)
    expected = merge(facts(seed) for seed in range(20))
    assert totals.stage_totals(spark, output) == expected
    assert len(list(tmp_path.rglob("*.json"))) == 21
    # The second time they are read, not added up.
    for path in (tmp_path / "statistics").glob("*.json"):
        path.unlink()
    assert totals.stage_totals(spark, output) == expected
