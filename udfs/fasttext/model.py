"""fastText classifiers over Arrow columns: the library's top label and probability, compiled.

Memory of a process, whatever the texts: 12 to 24 bytes per dictionary word, the folded or
decoded input rows (below), and for models with character n-grams a word cache of 2^18 rows of
(4 x dim + 23) bytes (23 MB at dim 16). Dense matrices that cannot be folded are mapped, so that
the processes of a host share their pages.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.fasttext.arrays import Index, Sums, Texts, Tree, WordCache, huffman_tree
from udfs.fasttext.file import (
    LABEL_PREFIX,
    DenseMatrix,
    FastTextFile,
    Floats,
    read_fasttext_file,
)
from udfs.fasttext.word_hashes import (
    BLOCK_WORDS,
    DELETED,
    LAST_SPECIAL_CONTROL,
    LINE_SEPARATOR_STARTS,
    MAYBE_SEPARATOR,
    SEPARATOR,
)
from udfs.text.columns import read_only, utf8_buffers

Integers = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
ByteClass = npt.NDArray[np.uint8]

WORD_CACHE_ROWS = 1 << 18
_CACHE_LINE_SIZE_BYTES = 64
# A quantised model that cannot be folded is decoded into memory of the process.
DECODED_LIMIT_BYTES = 512 << 20
# The library adds this to a probability before each logarithm, and it stays in its results.
LOG_GUARD = 1e-5
# Bytes that end a word: fastText's white space (newline included: a text is read as one line).
_SEPARATORS = b" \n\r\t\v\f\0"


def byte_classes(*, delete: bytes = b"", separate: bytes = b"", lines: bool = False) -> ByteClass:
    """Return the class of each byte for word splitting: the library's, with exceptions.

    `delete` bytes are read as if absent, `separate` bytes end a word too; `lines` makes the line
    separators U+0085, U+2028 and U+2029 end a word.
    """
    classes = np.zeros(256, np.uint8)
    classes[list(_SEPARATORS + separate)] = SEPARATOR
    classes[list(delete)] = DELETED
    if classes[LAST_SPECIAL_CONTROL + 1 :].any():
        raise ValueError(f"{delete!r}, {separate!r}: only control bytes and spaces can be special")
    if lines:
        classes[list(LINE_SEPARATOR_STARTS)] = MAYBE_SEPARATOR
    return classes


class FastTextModel:
    """A supervised model; `predict` equals the library's top-1 to 1e-5 in probability.

    Sums are kept in double precision, within 1e-6 of the exact value; the library's own single
    precision drifts by up to about 1e-5 on texts of many hundred words.

    The output layer is linear, so where it is narrower than the hidden layer every input row is
    multiplied by it once at load ("folded"): a row of a two-label model becomes one number.
    """

    def __init__(self, file: FastTextFile) -> None:
        self.path = file.path
        self.dim = file.dim
        self.loss = file.loss
        self.word_ngrams = file.word_ngrams
        keys, ids, self.labels, counts = _index_dictionary(file)
        self._output = file.output
        self._tree = huffman_tree(counts) if file.loss == "hs" else None
        self._fold = _fold(file)
        shape = [file.bucket, file.minn, file.maxn, file.word_ngrams, file.n_words]
        kept_bits, bucket_rows = _bucket_rows(file)
        self._byte_class = byte_classes()
        self._rows = _input_rows(file, self._fold)
        self._index = Index(
            keys=keys,
            ids=ids,
            kept_bits=kept_bits,
            bucket_rows=bucket_rows,
            shape=np.array(shape, np.int64),
        )
        self._width = self._rows.shape[1]
        self._cache = _word_cache(WORD_CACHE_ROWS if file.maxn > 0 else 2, self._width)

    def predict(self, texts: pa.Array | pa.ChunkedArray) -> tuple[Integers, Doubles]:
        """Return (index into `labels`, probability) of the best label of each text.

        A newline separates words, where the library refuses it. Texts without any known word
        have index -1 and probability 0. The library's guard is in the probability, which can
        therefore reach 1.00001.
        """
        data, offsets = utf8_buffers(texts)
        return self.predict_spans(data, offsets[:-1], offsets[1:], self._byte_class)

    def score(self, texts: pa.Array | pa.ChunkedArray, label: str) -> Doubles:
        """Return p where `label` wins with probability p and 1 - p where the other one does.

        ValueError when the model has no such label or not exactly two. Spec 4.1.
        """
        data, offsets = utf8_buffers(texts)
        return self.score_spans(data, offsets[:-1], offsets[1:], self._byte_class, label)

    def score_spans(
        self, data: ByteClass, starts: Positions, ends: Positions, classes: ByteClass, label: str
    ) -> Doubles:
        """Return `score` for the texts data[starts[i]:ends[i]] with given byte classes."""
        if label not in self.labels or len(self.labels) != 2:
            raise ValueError(
                f"{self.path}: a score for label {label!r} needs a model with that label and one "
                f"other; this one has {', '.join(self.labels[:10])}"
            )
        index, probability = self.predict_spans(data, starts, ends, classes)
        score = np.where(index == self.labels.index(label), probability, 1.0 - probability)
        return np.where(index < 0, 0.0, score)

    def predict_spans(
        self, data: ByteClass, starts: Positions, ends: Positions, classes: ByteClass
    ) -> tuple[Integers, Doubles]:
        """Return `predict` for the texts data[starts[i]:ends[i]] with given byte classes."""
        hidden, counts = self._hidden(data, starts, ends, classes)
        labels, probabilities = self._best(hidden)
        labels[counts == 0] = -1
        probabilities[counts == 0] = 0.0
        return labels, probabilities

    def shares_spans(
        self, data: ByteClass, starts: Positions, ends: Positions, classes: ByteClass
    ) -> Doubles:
        """Return the probability of each label (a column each) for each text.

        They add up to 1, without the library's guard; texts without any known word have 0 each.
        """
        hidden, counts = self._hidden(data, starts, ends, classes)
        tree = self._tree
        shares = self._shares(hidden) if tree is None else self._leaf_shares(hidden, tree)
        shares[counts == 0] = 0.0
        return shares

    def _hidden(
        self, data: ByteClass, starts: Positions, ends: Positions, classes: ByteClass
    ) -> tuple[Floats, Positions]:
        """Return the hidden layer of each text, and how many rows of words are in it."""
        from udfs.fasttext.kernels import sum_rows
        from udfs.text.byte_masks import readable_blocks

        sums, counts = found = Sums(
            np.zeros((len(starts), self._width), np.float64), np.zeros(len(starts), np.int64)
        )
        texts = Texts(
            read_only(readable_blocks(data)),
            np.array(starts, np.int64),
            np.array(ends, np.int64),
        )
        sum_rows(texts, classes, self._index, self._rows, self._cache, found)
        return (sums / np.maximum(counts, 1)[:, None]).astype(np.float32), counts

    def _best(self, hidden: Floats) -> tuple[Integers, Doubles]:
        if self._tree is not None:
            return self._best_leaf(hidden, self._tree)
        shares = self._shares(hidden)
        labels = shares.argmax(axis=1)
        best = np.take_along_axis(shares, labels[:, None], axis=1)[:, 0]
        return labels.astype(np.int32), best + LOG_GUARD

    def _shares(self, hidden: Floats) -> Doubles:
        logits = hidden if self._fold is not None else hidden @ self._output.T
        if self._fold is not None:
            logits = np.pad(logits, ((0, 0), (1, 0)))
        shares: Doubles = np.exp((logits - logits.max(axis=1, keepdims=True)).astype(np.float64))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def _leaf_shares(self, hidden: Floats, tree: Tree) -> Doubles:
        """Return the probability of each leaf: the product of the turns on the way to it."""
        count = len(self.labels)
        logits = hidden if self._fold is not None else hidden @ self._output[: count - 1].T
        right = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
        shares = np.ones((len(hidden), 2 * count - 1), np.float64)
        for node in range(2 * count - 2, count - 1, -1):
            share = right[:, node - count]
            shares[:, tree.right[node]] = shares[:, node] * share
            shares[:, tree.left[node]] = shares[:, node] * (1.0 - share)
        return shares[:, :count].copy()

    def _best_leaf(self, hidden: Floats, tree: Tree) -> tuple[Integers, Doubles]:
        from udfs.fasttext.kernels import walk_tree

        folded = self._fold is not None
        nodes = np.eye(self._width, dtype=np.float32) if folded else self._output
        labels = np.empty(len(hidden), np.int32)
        scores = np.empty(len(hidden), np.float64)
        walk_tree(hidden, nodes, tree, scores, labels)
        return labels, np.exp(scores)


def load(path: str | Path) -> FastTextModel:
    """Load the supervised .bin or .ftz model at `path`; ValueError when it is something else."""
    return FastTextModel(read_fasttext_file(Path(path)))


def labels_of(path: str | Path) -> tuple[str, ...]:
    """Return the labels of the model at `path` without loading its vectors."""
    return _index_dictionary(read_fasttext_file(Path(path)))[2]


def _word_cache(rows: int, width: int) -> WordCache:
    """Return an empty cache of `rows` words.

    A sum of 16 numbers begins where a cache line does, and so do 8 slots of the table.
    """
    # Spare rows for the words of a block and of the end of a line, and one of zeros.
    all_rows = rows + BLOCK_WORDS + 2
    sums = _aligned_zeros(all_rows * width * 4).view(np.float32).reshape(all_rows, width)
    return WordCache(
        table=_aligned_zeros(max(16 * rows, _CACHE_LINE_SIZE_BYTES)).view(np.uint64),
        owners=np.zeros(rows, np.int32),
        sightings=np.zeros(rows, np.uint8),
        state=np.zeros(2, np.int64),
        counts=np.zeros(all_rows, np.uint16),
        sums=sums,
    )


def _aligned_zeros(size_bytes: int) -> ByteClass:
    memory = np.zeros(size_bytes + _CACHE_LINE_SIZE_BYTES, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE_SIZE_BYTES
    return memory[start : start + size_bytes]


def _index_dictionary(
    file: FastTextFile,
) -> tuple[npt.NDArray[np.uint64], Integers, tuple[str, ...], Positions]:
    from udfs.fasttext.file import index_dictionary

    capacity = 1 << max(4, (2 * file.n_words - 1).bit_length())
    keys = np.zeros(capacity, np.uint64)
    ids = np.full(capacity, -1, np.int32)
    starts = np.zeros(file.entries - file.n_words, np.int64)
    counts = np.zeros(file.entries - file.n_words, np.int64)
    index_dictionary(file.dictionary, keys, ids, starts, counts)
    labels = tuple(
        bytes(file.dictionary[start : start + 4096]).split(b"\0", 1)[0].decode() for start in starts
    )
    return keys, ids, tuple(label.removeprefix(LABEL_PREFIX) for label in labels), counts


def _bucket_rows(file: FastTextFile) -> tuple[ByteClass, Integers]:
    if file.kept_buckets is None:
        return np.zeros(0, np.uint8), np.zeros(0, np.int32)
    rows = np.full(file.bucket, -1, np.int32)
    rows[file.kept_buckets[:, 0]] = file.n_words + file.kept_buckets[:, 1]
    return np.packbits(rows >= 0, bitorder="little"), rows


def _fold(file: FastTextFile) -> Floats | None:
    """Return the (dim, logits) matrix to fold into the input rows, None where it would widen them.

    Softmax depends on differences of logits only, so the first label's is taken from the others.
    """
    output = file.output.astype(np.float64)
    if file.loss == "softmax":
        output = output[1:] - output[:1]
    elif file.loss == "hs":
        output = output[:-1]
    return output.T.astype(np.float32) if 0 < len(output) < file.dim else None


def _input_rows(file: FastTextFile, fold: Floats | None) -> Floats:
    if fold is None and isinstance(file.input, DenseMatrix):
        return file.input.mapped()
    if fold is not None:
        return np.concatenate([chunk @ fold for chunk in file.input.chunks()])
    if file.input.rows * file.input.columns * 4 > DECODED_LIMIT_BYTES:
        raise ValueError(
            f"{file.path}: the quantised matrix needs more than {DECODED_LIMIT_BYTES} bytes per "
            "process when decoded; use the dense .bin of this model, which is memory-mapped"
        )
    return np.concatenate(list(file.input.chunks()))
