"""A driver that runs stages when it is told to: stage_driver.py GIVEN FOLDER SHARDS.

GIVEN holds committed stages and what judges their documents (`test_stages_on_a_cluster`). A file
FOLDER/asked/<run> asks for that one of RUNS, whose output is FOLDER/<run>; FOLDER/ended/<run> says
that it is done. It ends when FOLDER/asked is removed.
"""

import sys
import time
from pathlib import Path

from dclm_spark.dedup.methods import METHODS, DeduplicationSettings
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.engine.manifests import committed_names, read_manifests
from dclm_spark.engine.stage_output import stage_output
from dclm_spark.session import spark_session
from dclm_spark.settings import FileReference
from dclm_spark.stages.decontaminate import EvaluationDataSettings, decontaminate
from dclm_spark.stages.deduplicate import deduplicate
from dclm_spark.stages.score import QualitySettings, keep_by_score, score
from udfs.units.documents import DOCUMENTS

METHOD_RUNS = {
    **{name: method() for name, method in METHODS.items()},
    "minhash-verified": MinHash(verify="containment", survivor_order=("longest", "crawl_order")),
}
STAGE_RUNS = ("score", "quality", "decontaminate")
RUNS = (*METHOD_RUNS, *STAGE_RUNS)


def run_stage(name, spark, given, output, shards):
    """Run a method of dedup, or a stage of a task a file, over the stages in `given`.

    The stage is `output`/stage; what it needs and is made for it lies beside.
    """
    place = f"{output}/stage"
    if name in METHOD_RUNS:
        settings = DeduplicationSettings(
            exact=("text",), method=METHOD_RUNS[name], shards=shards
        )  # fmt: skip
        return deduplicate(spark, committed_in(f"{given}/few"), DOCUMENTS, settings, place)
    documents = committed_in(f"{given}/many")
    if name == "decontaminate":
        wanted = EvaluationDataSettings(data=f"{given}/eval", tasks="boolq", rule="items")
        return decontaminate(spark, documents, DOCUMENTS, wanted, place)
    settings = QualitySettings(model=FileReference(uri=f"{given}/model.bin"))
    if name == "score":
        return score(spark, documents, settings, place)
    scores = score(spark, documents, settings, f"{output}/scores")
    return keep_by_score(spark, documents, scores, DOCUMENTS, 0.5, place)


def committed_in(directory):
    """Return the committed stage `documents` in a folder."""
    manifests = read_manifests(directory, committed_names(directory))
    return stage_output("documents", directory, manifests)


def main(given, folder, shards):
    """Run every stage that is asked for."""
    spark = spark_session("stages")
    (folder / "ended").mkdir()
    while (folder / "asked").exists():
        for name in RUNS:
            ended = folder / "ended" / name
            if (folder / "asked" / name).exists() and not ended.exists():
                run_stage(name, spark, given, folder / name, shards)
                ended.touch()
        time.sleep(0.02)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
