"""Held-out texts that the pool does not hold: what all recipes may be measured on."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.decontamination import DecontaminationSettings, write_index
from dclm_spark.errors import InputError
from dclm_spark.evaluate.bits_per_byte import read_texts
from dclm_spark.evaluate.runner import heldout_name, write_atomically
from dclm_spark.rank.prepared import CleanTexts
from dclm_spark.run.manifests import StageOutput
from dclm_spark.run.tables import read_files
from udfs.cache import fetch
from udfs.contamination import NGRAM_WORDS, full_ngrams, load_index
from udfs.resuming import shown
from udfs.shingles import shingle_hashes

LOGGER = logging.getLogger("dclm_spark")
# spec 4.2: a sample is clean when less than a fifth of it stands in the training data.
CLEAN_BELOW = 0.2
_TEXTS = pa.schema([pa.field("text", pa.string())])
_FOUND = pa.schema([pa.field("ngram", pa.int64())])


def clean_heldout(
    spark: SparkSession, pool: Sequence[StageOutput], uris: Sequence[str], folder: Path
) -> list[CleanTexts]:
    """Write each held-out file below `folder` without the texts that `pool` holds.

    `pool` are stages of extracted texts, whatever a recipe keeps of them, so the texts measured
    are the same for all. A text of fewer words than an n-gram cannot be looked for and stays.
    Raises InputError for two files of one name and for a file of which nothing is left.
    """
    texts = {heldout_name(uri): read_texts(uri) for uri in uris}
    if len(texts) < len(uris):
        raise InputError(f"--heldout {', '.join(map(shown, uris))}: two files have the same name")
    facts = [sorted(stage.fingerprint for stage in pool), texts, NGRAM_WORDS, CLEAN_BELOW]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    report = folder / "clean.json"
    if not report.exists() or json.loads(report.read_text())["key"] != key:
        index = write_index({"heldout": _all(texts)}, str(folder / "index.npy"))
        seen = _ngrams_in_pool(spark, pool, index)
        counts = {name: _write(folder, name, rows, seen) for name, rows in texts.items()}
        write_atomically(report, json.dumps({"key": key, "left_out": counts}, indent=1))
    left_out = json.loads(report.read_text())["left_out"]
    return [
        CleanTexts(
            uri=str(folder / f"{name}.jsonl"),
            num_texts=len(rows),
            num_left_out=left_out[name],
            ngram_words=NGRAM_WORDS,
        )
        for name, rows in texts.items()
    ]


def _all(texts: dict[str, list[str]]) -> list[str]:
    return [text for rows in texts.values() for text in rows]


def _ngrams_in_pool(
    spark: SparkSession, pool: Sequence[StageOutput], index: DecontaminationSettings
) -> set[int]:
    """Return the hashes of the index that the pool has, at most as many as it holds."""
    uris = [file["uri"] for stage in pool for file in stage.files("kept/")]
    uri, digest, words = index.index, index.sha256, index.ngram_words

    def find(batch: pa.RecordBatch) -> pa.RecordBatch:
        known = load_index(fetch(uri, digest), words).hashes
        hashes, _ = shingle_hashes(batch.column("text"), words)
        found = known[np.isin(known, hashes)].view(np.int64)
        return pa.RecordBatch.from_arrays([pa.array(found)], schema=_FOUND)

    frame: DataFrame = read_files(spark, uris, _TEXTS, transform=find, output_schema=_FOUND)
    found = frame.agg(F.collect_set("ngram").alias("ngrams")).first()
    return set(found["ngrams"]) if found is not None else set()


def _write(folder: Path, name: str, rows: Sequence[str], seen: set[int]) -> int:
    """Write the clean texts of a file and return how many are left out."""
    clean = [text for text in rows if _share_in(text, seen) < CLEAN_BELOW]
    if not clean:
        raise InputError(
            f"--heldout {name}: the pool holds all of its {len(rows)} texts, so they measure "
            "memory; give texts from elsewhere"
        )
    lines = (json.dumps({"text": text}) for text in clean)
    write_atomically(folder / f"{name}.jsonl", "".join(f"{line}\n" for line in lines))
    if len(clean) < len(rows):
        LOGGER.warning(
            "held-out %s: the pool holds %d of %d texts", name, len(rows) - len(clean), len(rows)
        )
    return len(rows) - len(clean)


def _share_in(text: str, seen: set[int]) -> float:
    ngrams = set(full_ngrams([text]).view(np.int64).tolist())
    return len(ngrams & seen) / len(ngrams) if ngrams else 0.0
