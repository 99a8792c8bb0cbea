"""The words that documents, reports and code use in a meaning of their own."""

GLOSSARY = {
    "annotate": "a mode of a stage: nothing is removed, what would have gone is recorded; "
    "`jobs/annotate.py` fills a scored table",
    "band": "part of a MinHash signature; two documents that agree in one are candidates",
    "bucket": "the part of a corpus that a document is in, by the recipe's `bucket`",
    "cell": "a share of the corpus, about `tokens.cell_size_bytes` of text, whose documents are "
    "shuffled and packed together; in a ranking, one scale with one budget of tokens",
    "cluster (of copies)": "documents that are joined by pairs of near duplicates",
    "commit": "the writing of a unit's manifest: before it the unit does not exist, after it the "
    "unit is never done again by a run with the same settings, inputs and code",
    "corpus": "what a run selected: the documents whose tokens are in its shards",
    "document": "a record of an input: a page of a WARC file, or a row of extracted input",
    "dropped": "a fate: a rule decided against the document",
    "extractor": "what makes a text of a page's HTML",
    "family": "a set of rules with its own definitions and order: `refinedweb`, `c4`, `fineweb`, "
    "`fineweb2`, `language_only`; `heuristics.rules` names the one that judges",
    "fate": "what became of a document at a stage: kept, dropped or quarantined, with the rule "
    "that decided, the value and the threshold",
    "fingerprint": "what identifies all units of a stage's output: stages after it read by it",
    "kept": "a fate: the next stage sees the document; only kept rows have texts",
    "ledger": "the rows of dropped and quarantined documents: no text, but where it came from and "
    "why it is not in the corpus",
    "limit": "a setting that compares what was measured; another limit needs no text again",
    "listing": "a file of input paths, such as Common Crawl's `warc.paths.gz`",
    "manifest": "a JSON file that lists files with size and checksum: one for each unit, which "
    "commits it, and `shards/manifest.json` for the whole corpus",
    "n-gram": "a run of n words or tokens",
    "near duplicate": "a document whose text resembles another's, by the share of n-grams",
    "option": "several settings that belong together, such as `own_crawl`",
    "own columns": "columns of extracted input that go along to tables and provenance",
    "provenance": "which document stands where in a row of a shard: a Parquet file beside it",
    "quarantined": "a fate: the document could not be read or extracted; it counts as lost, not "
    "as judged",
    "quirk": "a behaviour of the reference that was not meant; see [quirks.md](quirks.md)",
    "rank (of a column)": "the share of all documents whose value is lower",
    "recipe": "every choice between input and shards; see [recipe_keys.md](recipe_keys.md)",
    "reference": "the code and data that DCLM published in 2024",
    "rule": "a condition by which a stage keeps or drops a document; see [rules.md](rules.md)",
    "run": "the folder or prefix that one `--output` names, with all stages below it",
    "sample": "the generated crawl that comes with the package, used without `--input`",
    "scale": "a size of model with its settings, such as `tiny`",
    "scored table": "texts and signals measured once for many recipes; see "
    "[scored_table.md](../scored_table.md)",
    "sequence": "a row of a shard: ids of a fixed length, documents one after another",
    "shard": "a file of token sequences for a trainer; in deduplication, a part of the corpus that "
    "is deduplicated by itself",
    "signal": "a number or label that was measured of a document: a column",
    "signature": "the numbers by which MinHash compares documents",
    "stage": "a step of a run with tables of its own: documents, deduplicate, decontaminate, "
    "score, select, tokenize, shards",
    "step": "one of the 26 heuristic steps of DCLM-BASELINE, by its number in DCLM's settings",
    "survivor": "the document of a cluster that stays",
    "tombstone": "the record of a document that was removed from shards after they were written",
    "unit": "what is committed at once: an input file or part of one, later a shard; its name is "
    "that of its files",
    "verdict": "what a method says of a document before the stage acts on it",
    "view": "one of several texts of a page, each by another extractor",
    "yield": "the share of a stage's documents that it keeps",
}

_INTRODUCTION = """# Glossary

Words that the documents, the report and the code use in one meaning. What columns of tables mean
says [tables.md](../tables.md).

"""


def page() -> str:
    """Return the page as Markdown, in alphabetical order."""
    words = sorted(GLOSSARY.items(), key=lambda one: one[0].lower())
    return _INTRODUCTION + "\n".join(f"- **{word}**: {meaning}." for word, meaning in words) + "\n"
