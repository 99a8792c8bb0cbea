"""What runs on the driver and on GPU nodes: stages, recipes, trainer, evaluation and ranking.

The functions of `dclm_spark.library` are names of this package too; they load when first used.
"""

from importlib import import_module
from typing import Any

_LIBRARY = {
    "count_tokens": "token_columns",
    "evaluation_overlap": "evaluation_overlap",
    "evaluation_texts": "evaluation_overlap",
    "extract_text": "web_pages",
    "identify_language": "fasttext_models",
    "judge_texts": "judging",
    "label_probabilities": "fasttext_models",
    "near_duplicate_clusters": "near_copies",
    "near_duplicate_pairs": "near_copies",
    "quality_score": "fasttext_models",
    "read_metadata": "web_pages",
    "read_texts": "web_pages",
    "read_warc": "web_pages",
    "repeated_ngrams": "ngram_copies",
    "token_ids": "token_columns",
    "top_label": "fasttext_models",
    "without_near_duplicates": "near_copies",
    "without_repeated_ngrams": "ngram_copies",
    "write_shards": "frame_shards",
}
__all__ = sorted(_LIBRARY)


def __getattr__(name: str) -> Any:
    if name not in _LIBRARY:
        raise AttributeError(f"module 'dclm_spark' has no attribute {name!r}")
    return getattr(import_module(f"dclm_spark.library.{_LIBRARY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LIBRARY})
