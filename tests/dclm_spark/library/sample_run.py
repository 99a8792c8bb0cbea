"""A small run of the job, whose columns the library's functions must give too."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe

NUM_PAGES = 300


class SampleRun:
    """A generated crawl, a recipe with its models, and what the job made of both."""

    def __init__(self, spark, folder: Path) -> None:
        self.crawl = generate_crawl(folder / "sample", seed=7, num_pages=NUM_PAGES)
        small = ["tokens.sequence_length=128", "tokens.sequences_per_shard=16"]
        self.recipe = sample_recipe(load_recipe("sample", small), self.crawl, self.crawl.base)
        self.result = build_baseline(
            spark,
            recipe=self.recipe,
            inputs=str(self.crawl.listing),
            output=str(folder / "run"),
            base=str(self.crawl.base),
        )

    def table(self, stage: str, *folders: str) -> pa.Table:
        """Return the rows of a stage in these of its folders."""
        output = getattr(self.result, stage)
        uris = [file["uri"] for folder in folders for file in output.files(folder)]
        return pa.concat_tables(pq.read_table(uri) for uri in uris)


def rows_by_id(rows, *columns):
    """Return by doc_id the values of columns of an Arrow table or collected rows."""
    dicts = rows.to_pylist() if isinstance(rows, pa.Table) else [row.asDict() for row in rows]
    return {bytes(row["doc_id"]): tuple(row[name] for name in columns) for row in dicts}
