"""Write down which token shards a corpus is made of at a date; the trainer takes it as --shards.

python jobs/compose_corpus.py --corpus corpora/2026-05.json --shards APRIL/shards MAY/shards
"""

from dclm_spark.command import job_parser, run_command
from dclm_spark.train.data.corpus_parts import write_corpus_parts
from udfs import storage


def main() -> None:
    """Parse the command line, write the corpus and say how large it is."""
    parser = job_parser(__doc__)
    parser.add_argument("--corpus", required=True, metavar="FILE", help="a .json that is not there")
    parser.add_argument("--shards", required=True, nargs="+", help="folders with manifest.json")
    given = parser.parse_args()
    if not given.corpus.endswith(".json"):
        parser.error(f"--corpus {given.corpus}: give a name that ends with .json")
    parts = write_corpus_parts(storage.absolute(given.corpus), given.shards)
    tokens = sum(one.num_sequences * one.sequence_length for one in parts)
    print(f"{len(parts)} parts, {tokens:,} tokens: {given.corpus}")


if __name__ == "__main__":
    run_command(main)
