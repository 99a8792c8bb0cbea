"""hf:// URIs against a server that speaks the hub's protocol."""

import hashlib
import json

import pytest

from tests.hub_server import COMMIT, serve_hub
from tests.shared_data import SHARED, needs_shared
from udfs.storage import MissingObjectError, StorageError, hub
from udfs.storage.cache import ChecksumError, fetch
from udfs.tokens.tokenizer import GPT_NEOX_SHA256

REPOSITORY = "lab/models"
SMALL, LARGE = b'{"a": 1}', bytes(range(256)) * 4096
FILES = {
    (REPOSITORY, "small.json"): SMALL,
    (REPOSITORY, "sub/large.bin"): LARGE,
    ("lab/secret", "model.bin"): SMALL,
    ("lab/gated", "model.bin"): SMALL,
}


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A hub that the client asks instead of the real one, and an empty cache."""
    with serve_hub(FILES) as server:
        server.private["lab/secret"] = "hf_token"
        server.gated.add("lab/gated")
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(hub, "_PATIENCE", hub.ReadSettings(max_attempts=4, min_wait_seconds=0))
        yield server


def test_a_file_of_any_size_and_depth_is_read(served, tmp_path):
    assert fetch("hf://lab/models/small.json", cache_directory=tmp_path).read_bytes() == SMALL
    assert fetch("hf://lab/models/sub/large.bin", cache_directory=tmp_path).read_bytes() == LARGE


def test_a_data_set_is_another_kind_of_repository(served, tmp_path):
    found = fetch("hf://datasets/lab/models/small.json", cache_directory=tmp_path)
    assert found.read_bytes() == SMALL
    assert served.requests[0][1].startswith("/datasets/lab/models/resolve/")


def test_a_pinned_revision_in_the_cache_costs_no_request(served, tmp_path):
    uri = f"hf://lab/models@{COMMIT}/sub/large.bin"
    digest = hashlib.sha256(LARGE).hexdigest()
    for sha256 in (None, digest):
        fetch(uri, sha256, tmp_path)
        asked = len(served.requests)
        assert fetch(uri, sha256, tmp_path).read_bytes() == LARGE
        assert len(served.requests) == asked


def test_an_offline_client_reads_what_is_cached_and_names_what_is_not(
    served, tmp_path, monkeypatch
):
    fetch("hf://lab/models/small.json", cache_directory=tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = len(served.requests)
    assert fetch("hf://lab/models/small.json", cache_directory=tmp_path).read_bytes() == SMALL
    with pytest.raises(StorageError, match=r"large\.bin: not in the cache, and HF_HUB_OFFLINE"):
        fetch("hf://lab/models/sub/large.bin", cache_directory=tmp_path)
    assert len(served.requests) == asked


def test_without_a_network_the_message_says_so_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"not in the cache, and http://127.* cannot be reached"):
        fetch("hf://lab/models/small.json", cache_directory=tmp_path)


def test_a_busy_hub_is_asked_again(served, tmp_path):
    served.failures += [503, 429]
    assert fetch("hf://lab/models/small.json", cache_directory=tmp_path).read_bytes() == SMALL


def test_the_token_opens_a_private_repository(served, tmp_path, monkeypatch):
    with pytest.raises(MissingObjectError, match=r"lab/secret, or it is private.*HF_TOKEN"):
        fetch("hf://lab/secret/model.bin", cache_directory=tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    assert fetch("hf://lab/secret/model.bin", cache_directory=tmp_path).read_bytes() == SMALL


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("hf://lab/models/none.json", "model repository lab/models has no file 'none.json'"),
        ("hf://lab/models@v9/small.json", "model repository lab/models has no revision 'v9'"),
        ("hf://lab/nothing/small.json", "no model repository lab/nothing"),
        ("hf://lab/gated/model.bin", "asks for consent: give it at .*/lab/gated"),
        ("hf://lab/models", "expected hf://organisation/repository@revision/path"),
        ("hf://lab/models@/small.json", "expected hf://organisation/repository@revision/path"),
    ],
)
def test_what_cannot_be_had_is_named(served, tmp_path, uri, message):
    with pytest.raises(StorageError, match=message):
        fetch(uri, cache_directory=tmp_path)


def test_a_file_with_another_checksum_is_refused(served, tmp_path):
    with pytest.raises(ChecksumError, match=r"hf://lab/models/small\.json: SHA-256 is"):
        fetch("hf://lab/models/small.json", "0" * 64, tmp_path)


def test_a_damaged_file_in_the_hubs_cache_is_fetched_anew(served, tmp_path):
    digest = hashlib.sha256(LARGE).hexdigest()
    uri = f"hf://lab/models@{COMMIT}/sub/large.bin"
    cached = fetch(uri, cache_directory=tmp_path).resolve()
    cached.chmod(0o644)
    cached.write_bytes(b"damaged")
    assert fetch(uri, digest, tmp_path).read_bytes() == LARGE


@needs_shared
def test_the_pinned_tokenizer_is_the_one_whose_ids_are_tested():
    """The shared file is an older spelling of the same JSON; in the hub's it has the pinned sum."""
    source = SHARED / "tokenizers" / "gpt-neox-20b.tokenizer.json"
    tokenizer = json.loads(source.read_text())
    for part in ("pre_tokenizer", "post_processor", "decoder"):
        tokenizer[part]["use_regex"] = True
    for token in tokenizer["added_tokens"]:
        token["special"] = token.pop("special")
    text = json.dumps(tokenizer, ensure_ascii=False, indent=2)
    assert hashlib.sha256(text.encode()).hexdigest() == GPT_NEOX_SHA256
