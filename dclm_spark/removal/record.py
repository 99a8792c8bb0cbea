"""The record of a removal: what went, when and why, chained to the one before it, and signed."""

import getpass
import hashlib
import hmac
import json
import socket
import time
from typing import Any

from dclm_spark.errors import InputError
from dclm_spark.removal.tombstones import RECORD_FILE, removal_folder
from udfs import storage

_SIGNATURE = "signature"
_ALGORITHM = "hmac-sha256"
MIN_KEY_BYTES = 16


def read_key(uri: str) -> bytes:
    """Return the bytes of a signing key. Raises InputError for none, and one that is too short."""
    try:
        key = storage.read_bytes(uri).strip()
    except storage.MissingObjectError as error:
        raise InputError(f"--signing-key {uri}: there is no such file") from error
    if len(key) < MIN_KEY_BYTES:
        raise InputError(
            f"--signing-key {uri}: {len(key)} bytes, expected {MIN_KEY_BYTES} or more of chance "
            "(openssl rand -hex 32)"
        )
    return key


def write_record(
    shards: str, number: int, facts: dict[str, Any], key: bytes | None
) -> dict[str, Any]:
    """Write the record of removal `number` of the corpus in `shards`, and return it.

    With a `key` it is signed. It names the SHA-256 of the record before it, so that none can be
    changed or left out unnoticed.
    """
    record = {
        "number": number,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "by": f"{getpass.getuser()}@{socket.gethostname()}",
        **facts,
        "previous_sha256": _record_sha256(shards, number - 1) if number > 1 else None,
    }
    if key is not None:
        record[_SIGNATURE] = {"algorithm": _ALGORITHM, "value": _signed(record, key)}
    uri = storage.join(removal_folder(shards, number), RECORD_FILE)
    storage.write_bytes(uri, json.dumps(record, indent=1, sort_keys=True).encode())
    return record


def verify_record(record: dict[str, Any], key: bytes) -> bool:
    """Say whether a record is what was signed with `key`."""
    signature = record.get(_SIGNATURE) or {}
    rest = {name: value for name, value in record.items() if name != _SIGNATURE}
    return hmac.compare_digest(signature.get("value", ""), _signed(rest, key))


def _signed(record: dict[str, Any], key: bytes) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def _record_sha256(shards: str, number: int) -> str:
    uri = storage.join(removal_folder(shards, number), RECORD_FILE)
    return hashlib.sha256(storage.read_bytes(uri)).hexdigest()
