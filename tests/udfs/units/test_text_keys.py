import unicodedata

import pyarrow as pa
import pytest

from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings
from udfs.units.documents import text_hashes

TEXTS = ["Le café d’été à Zürich", "Việt Nam", "한국어", "plain"]


@pytest.mark.parametrize(
    ("changes", "are_alike"),
    [
        ([], False),
        (["quirks=none"], True),
    ],
)
def test_composed_and_decomposed_copies_are_one_text_where_it_is_declared(changes, are_alike):
    settings = curation_settings(load_recipe("raw", changes))
    keys = []
    for form in ("NFC", "NFD"):
        texts = [unicodedata.normalize(form, text) for text in TEXTS]
        batch = pa.RecordBatch.from_pydict({"text": texts, "fate": ["kept"] * 3 + ["dropped"]})
        keys.append(text_hashes(batch, settings.text_normalization).to_pylist())
    assert (keys[0] == keys[1]) == are_alike
    assert [len(key or b"") for key in keys[0]] == [16, 16, 16, 0]
    assert len(set(keys[0])) == 4
