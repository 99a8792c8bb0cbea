"""Derive the limits of a language from texts in it, as a file for `language_limits`; no Spark.

    python jobs/derive_limits.py --language ita_Latn --input texts/*.parquet --output ita_Latn.yml

Texts in other languages are left out, so that a pool of many serves, such as stages/documents/kept
of a run in several languages.
"""

import argparse

from dclm_spark.arguments.job_parser import positive
from dclm_spark.command import job_parser, run_command


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser, by which infra/submission looks at arguments, too."""
    add = (parser := job_parser(__doc__)).add_argument
    add("--language", required=True, help="code of language and script, such as ita_Latn")
    add("--input", required=True, help="JSON Lines, Parquet or WARC files, as build_baseline's")
    add("--base", help="what the paths of a listing are below")
    add("--text-column", default="text", help="column of JSON Lines and Parquet (default text)")
    add("--most-texts", type=positive, default=100_000, help="read so many texts (default 100,000)")
    add("--output", required=True, help="the YAML file")
    return parser


def main() -> None:
    """Parse the command line, derive the limits and write them."""
    given = argument_parser().parse_args()
    from dclm_spark.recipes.derived_limits import derive_limits, texts_of
    from dclm_spark.yaml_text import write_yaml
    from udfs import storage

    texts = texts_of(given.input, given.base, given.text_column, given.most_texts)
    limits, counts = derive_limits(texts, given.language)
    told = f"{counts['reference']} of {counts['in_language']} texts, of {counts['read']} read"
    text = f"# Derived by jobs/derive_limits.py from {told}.\n{write_yaml(limits)}"
    storage.write_bytes(storage.absolute(given.output), text.encode())
    print(f"{given.output}: {told}")


if __name__ == "__main__":
    run_command(main)
