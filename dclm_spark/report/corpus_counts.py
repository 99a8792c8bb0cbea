"""Languages and domains: what was read of each, and what of it the corpus has in the end."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dclm_spark.report.summary import DomainCount, LanguageCount

TOP_DOMAINS = 50


def language_counts(facts: Mapping[str, Any]) -> list[LanguageCount]:
    """Return the languages of the documents stage, the most frequent first; `facts` by stage."""
    read: Counter[str] = Counter()
    for language, _, count in facts["documents"]["languages"]:
        read[language] += count
    corpus: Counter[str] = Counter()
    for language, kept, count in _last_with_texts(facts)["languages"]:
        corpus[language] += count if kept else 0
    return [
        LanguageCount(language=language, documents=documents, kept=corpus[language])
        for language, documents in sorted(read.items(), key=lambda item: (-item[1], item[0]))
    ]


def domain_counts(facts: Mapping[str, Any]) -> list[DomainCount]:
    """Return the largest hosts of the documents stage, the largest first."""
    last = _last_with_texts(facts)
    corpus = {name: (kept, size) for name, _, kept, size in last["domains"]}
    # A host that is not among the counted ones of the last stage has none, unless some were left
    # out there.
    absent = (None, None) if last.get("domains_cut") else (0, 0)
    found = []
    for name, documents, _, _ in facts["documents"]["domains"][:TOP_DOMAINS]:
        kept, size = corpus.get(name, absent)
        found.append(DomainCount(domain=name, documents=documents, kept=kept, text_bytes_kept=size))
    return found


def _last_with_texts(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the facts of the last stage that read texts and so counted languages and domains.

    select reads none: where tokenize has not ended, its facts have neither.
    """
    known = [one for one in facts.values() if one["domains"] or not one["counts"]]
    found: Mapping[str, Any] = known[-1] if known else facts["documents"]
    return found
