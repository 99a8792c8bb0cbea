"""The names of the package for editors and type checkers; `__init__.py` loads them late."""

from dclm_spark.library.evaluation_overlap import evaluation_overlap as evaluation_overlap
from dclm_spark.library.evaluation_overlap import evaluation_texts as evaluation_texts
from dclm_spark.library.fasttext_models import identify_language as identify_language
from dclm_spark.library.fasttext_models import label_probabilities as label_probabilities
from dclm_spark.library.fasttext_models import quality_score as quality_score
from dclm_spark.library.fasttext_models import top_label as top_label
from dclm_spark.library.frame_shards import write_shards as write_shards
from dclm_spark.library.judging import judge_texts as judge_texts
from dclm_spark.library.near_copies import near_duplicate_clusters as near_duplicate_clusters
from dclm_spark.library.near_copies import near_duplicate_pairs as near_duplicate_pairs
from dclm_spark.library.near_copies import without_near_duplicates as without_near_duplicates
from dclm_spark.library.ngram_copies import repeated_ngrams as repeated_ngrams
from dclm_spark.library.ngram_copies import without_repeated_ngrams as without_repeated_ngrams
from dclm_spark.library.token_columns import count_tokens as count_tokens
from dclm_spark.library.token_columns import token_ids as token_ids
from dclm_spark.library.web_pages import extract_text as extract_text
from dclm_spark.library.web_pages import read_metadata as read_metadata
from dclm_spark.library.web_pages import read_texts as read_texts
from dclm_spark.library.web_pages import read_warc as read_warc
