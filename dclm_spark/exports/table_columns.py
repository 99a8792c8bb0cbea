"""What the columns of a run's tables mean, for the page of tables."""

# By the name of the column; of a pattern, `{}` is the name of what it measures.
COLUMNS = {
    # Where a document is from.
    "doc_id": "16 bytes, the identity of a document: a hash of crawl, file and place in it",
    "crawl": "the crawl, or the folder, that the input file belongs to",
    "warc_path": "the input file as its listing names it",
    "warc_offset": "byte of the record in the file; line or row number of extracted input",
    "url": "address of the page",
    "fetch_time": "when the page was fetched, UTC",
    "http_status": "status of the HTTP response",
    "content_type": "media type that the server named",
    "charset": "character set that the text was decoded by",
    "charset_source": "what named the character set",
    "damage": "what of the page could not be decoded, null for nothing",
    "extractor": "what made the text of the page, and its version",
    "html_size_bytes": "bytes of the page as it was parsed",
    "source": "the source of a recipe of several, else the crawl",
    "text": "the text; only kept documents have one",
    "own_columns": "columns of extracted input that `input.columns` names, a JSON object",
    # What pages say of their use.
    "robots_noindex": "whether the page says noindex to robots",
    "robots_noai": "whether the page says noai to robots",
    "robots_noimageai": "whether the page says noimageai to robots",
    "tdm_reservation": "whether the page reserves text and data mining",
    "licence_kind": "Creative Commons licence that the page links, such as by-sa",
    "licence_version": "version of that licence",
    "licence_is_declared": "whether the link declares it as the page's own",
    # Signals.
    "language": "label of the likeliest language",
    "language_score": "its probability",
    "num_words": "words, as the family counts them",
    "mean_word_length": "mean characters of a word",
    "symbol_ratio": "number signs and ellipses for each word",
    "hash_ratio": "number signs for each word",
    "ellipsis_ratio": "ellipses for each word",
    "bullet_line_fraction": "share of lines that begin with a bullet",
    "ellipsis_line_fraction": "share of lines that end with an ellipsis",
    "non_alphabetic_word_fraction": "share of words without a letter",
    "alphabetic_word_fraction": "share of words with a letter",
    "num_stop_words": "stop words, repeats included",
    "previous_word_count": "words before lines were cleaned",
    "word_removal_fraction": "share of words that cleaning removed",
    "num_characters": "characters of the text",
    "removed_line_fraction": "share of non-blank lines that cleaning removed",
    "num_sentences": "sentences of the lines that are left",
    "terminated_line_fraction": "share of lines that end with punctuation",
    "short_line_fraction": "share of short lines",
    "duplicate_line_character_fraction": "share of characters in lines that came before",
    "newlines_per_word": "line ends for each word",
    "repeated_lines_fraction": "share of lines that occur more than once",
    "repeated_paragraphs_fraction": "share of paragraphs that occur more than once",
    "repeated_line_characters_fraction": "share of characters in such lines",
    "repeated_paragraph_characters_fraction": "share of characters in such paragraphs",
    "top_{}_gram_fraction": "share of characters in the commonest run of so many words",
    "repeated_{}_grams_fraction": "share of characters in repeated runs of so many words",
    "url_free_size_bytes": "bytes of the text once addresses are removed",
    "num_lines": "lines",
    "num_bullet_lines": "lines that begin with a bullet",
    "num_ellipsis_lines": "lines that end with an ellipsis",
    "emptied_at_step": "step of cleaning that left nothing, 0 for none",
    "num_lorem_ipsum_lines": "lines with lorem ipsum",
    "num_bracket_lines": "lines with a curly bracket",
    "has_banned_word": "1 where the text has a banned word",
    "num_{}_replaced": "personal data of a kind that was replaced",
    "text_hash": "16 bytes: hash of the text, for exact deduplication",
    "quality_score": "probability of the positive label of the classifier; null where none scored",
    "bucket": "the bucket of the recipe that the document falls into",
    "repeats": "how often the document enters the corpus",
    # Fates.
    "fate": "kept, dropped or quarantined",
    "stage": "stage that gave the fate",
    "rule": "rule that decided, null for kept documents",
    "value": "what the rule looked at",
    "threshold": "what it was compared with",
    "error": "why a record is quarantined",
    # Evidence of deduplication and decontamination.
    "partner": "id of the document that this one is a copy of",
    "cluster_id": "id of the document that stays for this one, itself or another",
    "cluster_size": "for how many documents that one stays, itself among them",
    "num_ngrams": "n-grams of the text",
    "contained_ngrams": "of these, seen before",
    "contained_ngram_fraction": "their share",
    "removed_windows": "paragraphs or lines that were removed for being seen before",
    "removed_size_bytes": "bytes of these",
    "removed_spans": "their places in the text that came in, in bytes",
    "duplicate_rule": "what would have dropped the document, in annotate mode",
    "duplicate_value": "the similarity or share that it would have been dropped for",
    "evaluation_ngrams": "n-grams that an evaluation set has too",
    "evaluation_tasks": "labels of the tasks that have them",
    # Tokens and shards.
    "domain": "host of the address",
    "cell": "cell of the shuffle that the document falls into",
    "order_key": "its place within the cell, a keyed hash of the id",
    "num_tokens": "ids; in provenance, those that the row has of the document",
    "tokens": "little-endian ids, of 16 or 32 bits as the manifest's `dtype` says",
    "input_ids": "ids as a list of 32-bit integers",
    "row": "number of the row in the shard, from 0",
    "start": "where the document begins in the row, in ids",
}


def meaning(column: str) -> str:
    """Return what a column means; KeyError for one that nobody described."""
    if column in COLUMNS:
        return COLUMNS[column]
    for pattern, words in COLUMNS.items():
        before, found, after = pattern.partition("{}")
        if found and column.startswith(before) and column.endswith(after):
            return words
    raise KeyError(column)
