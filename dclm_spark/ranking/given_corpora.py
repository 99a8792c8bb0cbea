"""Corpora given as shard manifests, of any origin, and held-out texts that they do not hold."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.bits_per_byte import read_damaged_texts, told_lost
from dclm_spark.evaluate.runner import heldout_name
from dclm_spark.ranking.options import ModelSettings, named_values
from dclm_spark.ranking.prepared import CleanTexts, Corpus, PreparedRanking, keep_tokenizer
from dclm_spark.shard_format import ShardManifest, group_sizes, read_manifest
from dclm_spark.train.data.batches import open_reader
from dclm_spark.train.data.sources import DataSettings, check_sources
from udfs import storage
from udfs.storage.cache import fetch
from udfs.storage.stream import shown

LOGGER = logging.getLogger("dclm_spark")
# About 13 words of English (spec 4.2 counts words; of shards tokens are at hand).
WINDOW_TOKENS = 20
# spec 4.2: a sample is clean when less than a fifth of it stands in the training data.
CLEAN_BELOW = 0.2
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
Hashes = NDArray[np.uint64]


def given_corpora(settings: ModelSettings) -> PreparedRanking:
    """Return the ranking of `settings.corpora` (NAME=MANIFEST) with its held-out texts.

    Raises SettingError for fewer than two corpora or remote ones, ShardError for shards of
    different tokenizers or sequence lengths, and InputError for another tokenizer file than the
    shards were made with.
    """
    uris = named_values("--corpora", settings.corpora)
    if len(uris) < 2:
        raise SettingError("--corpora: give two or more, as NAME=MANIFEST, to compare")
    for name, uri in uris.items():
        if not storage.is_local(uri):
            raise SettingError(
                f"--corpora {name}={shown(uri)}: models are trained on this machine; copy the "
                "folder of the shards to a local disk first"
            )
    manifests = {name: read_manifest(uri) for name, uri in uris.items()}
    first = next(iter(manifests.values()))
    check_sources(list(manifests.values()), sequence_length=first.sequence_length)
    tokenizer, file = _tokenizer(settings, first)
    corpora = tuple(
        Corpus(
            name=name,
            recipe_hash=manifest.recipe_hash,
            manifest=manifest.path,
            num_tokens=_num_tokens(manifest),
            tokenizer=tokenizer,
            tokenizer_file=file,
        )
        for name, manifest in manifests.items()
    )
    return PreparedRanking(corpora=corpora)


def _num_tokens(manifest: ShardManifest) -> int:
    """Return the tokens that models can learn from: those of removed documents are padding."""
    trained = {shard.path for shard in manifest.train_shards}
    removed = sum(spans.num_tokens for spans in manifest.removed if spans.shard in trained)
    return manifest.num_sequences * manifest.sequence_length - removed


def _tokenizer(settings: ModelSettings, manifest: ShardManifest) -> tuple[str, str]:
    """Return where the tokenizer came from and its copy below the ranking."""
    if settings.tokenizer is None:
        raise SettingError(
            "--tokenizer is not given: texts are measured with the tokenizer.json that the shards "
            f"of --corpora were made with (SHA-256 {manifest.tokenizer_sha256[:16]})"
        )
    found = hashlib.sha256(fetch(settings.tokenizer).read_bytes()).hexdigest()
    if found != manifest.tokenizer_sha256:
        raise InputError(
            f"--tokenizer {settings.tokenizer}: its SHA-256 is {found[:16]}, but {manifest.path} "
            f"was made with {manifest.tokenizer_sha256[:16]}; give that tokenizer.json"
        )
    return settings.tokenizer, keep_tokenizer(settings.output, settings.tokenizer, None)


def clean_of_shards(
    settings: ModelSettings, prepared: PreparedRanking, manifests: Sequence[str]
) -> PreparedRanking:
    """Write the held-out texts without those that the shards of `manifests` hold.

    A text is left out when a fifth or more of its runs of 20 tokens stand in what any model is
    trained on. Raises InputError for two files of one name, or a file of which nothing is left.
    """
    names = [heldout_name(uri) for uri in settings.heldout]
    if len(set(names)) < len(names):
        raise InputError(f"--heldout {', '.join(settings.heldout)}: two files have the same name")
    read = {
        name: read_damaged_texts(uri) for name, uri in zip(names, settings.heldout, strict=True)
    }
    texts = {name: rows for name, (rows, _) in read.items()}
    folder = Path(settings.output) / "heldout"
    sources = [read_manifest(path) for path in sorted(set(manifests))]
    facts = [sorted(one.fingerprint for one in sources), texts, WINDOW_TOKENS, CLEAN_BELOW]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    report = folder / "clean.json"
    if texts and not (report.exists() and json.loads(report.read_text())["key"] == key):
        left_out = _write_clean(texts, prepared.corpora[0].tokenizer_file, sources, folder)
        content = json.dumps({"key": key, "left_out": left_out}, indent=1)
        storage.write_bytes(str(report), content.encode())
    left_out = json.loads(report.read_text())["left_out"] if texts else {}
    clean = tuple(
        CleanTexts(
            uri=str(folder / f"{name}.jsonl"),
            num_texts=len(rows),
            num_left_out=left_out[name],
            ngram_words=WINDOW_TOKENS,
            unit="token",
            lost=told_lost(lost),
        )
        for name, (rows, lost) in read.items()
    )
    return replace(prepared, heldout=clean)


def _write_clean(
    texts: dict[str, list[str]], tokenizer: str, sources: Sequence[ShardManifest], folder: Path
) -> dict[str, int]:
    encoder = Tokenizer.from_file(tokenizer)
    runs = {
        name: [_runs(np.array(encoder.encode(text, add_special_tokens=False).ids)) for text in rows]
        for name, rows in texts.items()
    }
    wanted = np.unique(np.concatenate([hashes for rows in runs.values() for hashes in rows]))
    seen = _seen(wanted, sources)
    left_out = {}
    for name, rows in texts.items():
        clean = [
            text
            for text, hashes in zip(rows, runs[name], strict=True)
            if not len(hashes) or np.isin(hashes, seen).mean() < CLEAN_BELOW
        ]
        if not clean:
            raise InputError(
                f"--heldout {name}: the corpora hold all of its {len(rows)} texts, so they measure "
                "memory; give texts from elsewhere"
            )
        lines = "".join(f"{json.dumps({'text': text})}\n" for text in clean)
        storage.write_bytes(str(folder / f"{name}.jsonl"), lines.encode())
        left_out[name] = len(rows) - len(clean)
    return left_out


def _seen(wanted: Hashes, sources: Sequence[ShardManifest]) -> Hashes:
    """Return those of the `wanted` runs (sorted) that stand in a row of the shards."""
    found = np.zeros(len(wanted), dtype=bool)
    for source in sources:
        reader = open_reader(DataSettings(), source)
        for shard in source.train_shards:
            for group in range(len(group_sizes(shard.num_sequences))):
                hashes = _runs(reader.rows(shard, group)).ravel()
                places = np.searchsorted(wanted, hashes)
                places[places == len(wanted)] = 0
                found[places[wanted[places] == hashes] if len(wanted) else []] = True
    return wanted[found]


def _runs(tokens: NDArray[np.integer]) -> Hashes:
    """Return a hash for each run of WINDOW_TOKENS along the last axis; none if it is shorter."""
    length = tokens.shape[-1] - WINDOW_TOKENS + 1
    if length < 1:
        return np.zeros((*tokens.shape[:-1], 0), dtype=np.uint64)
    hashes = np.zeros((*tokens.shape[:-1], length), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for place in range(WINDOW_TOKENS):
            hashes *= _FACTOR
            hashes += tokens[..., place : place + length].astype(np.uint64) + np.uint64(1)
            hashes ^= hashes >> np.uint64(29)
    return hashes
