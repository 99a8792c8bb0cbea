import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from udfs.tokens.packing import Packer, num_sequences


def packed(documents, tokens_per_row):
    packer = Packer(tokens_per_row=tokens_per_row, end_of_text_id=0, padding_id=9)
    sequences = []
    for number, tokens in enumerate(documents):
        sequences += packer.add(bytes([number]), f"d{number}", np.array(tokens, np.uint16))
    return sequences + list(packer.finish())


@given(
    documents=st.lists(st.lists(st.integers(1, 8), max_size=30), max_size=12),
    tokens_per_row=st.integers(1, 12),
)
def test_the_sequences_are_the_documents_with_their_ends_then_padding(documents, tokens_per_row):
    sequences = packed(documents, tokens_per_row)
    stream = [token for document in documents for token in [*document, 0]]
    flat = [int(token) for sequence in sequences for token in sequence.tokens]
    padding = sum(sequence.num_padding_tokens for sequence in sequences)
    assert flat == stream + [9] * padding
    assert padding < tokens_per_row
    assert len(sequences) == num_sequences(len(stream), tokens_per_row)
    assert all(len(sequence.tokens) == tokens_per_row for sequence in sequences)


@given(documents=st.lists(st.lists(st.integers(1, 8), max_size=30), min_size=1, max_size=12))
def test_provenance_brings_every_document_back(documents):
    found = {number: [] for number in range(len(documents))}
    for sequence in packed(documents, 7):
        for part in sequence.documents:
            start, stop = part["start"], part["start"] + part["num_tokens"]
            found[part["doc_id"][0]] += sequence.tokens[start:stop].tolist()
    assert found == {number: [*tokens, 0] for number, tokens in enumerate(documents)}
