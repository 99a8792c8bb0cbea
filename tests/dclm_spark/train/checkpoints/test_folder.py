"""Checkpoints on disk: which one is taken where files beside the tensors are damaged."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint.state_dict_saver import save

from dclm_spark.train.checkpoints.folder import (
    CheckpointError,
    corruption,
    damage,
    newest_whole,
    resolve,
)
from dclm_spark.train.checkpoints.mirror import fetch_newest

FACTS = {"step": 5, "tokens": 1, "fingerprints": ["a"], "num_ranks": 1}


def put(directory: Path, name: str) -> Path:
    path = directory / name
    path.mkdir(parents=True)
    (path / "facts.json").write_text(json.dumps(FACTS))
    (path / "settings.yaml").write_text("tokens: 1\n")
    save({"weights": torch.zeros(4_000)}, checkpoint_id=path, no_dist=True)
    return path


@pytest.fixture
def checkpoints(tmp_path: Path) -> list[Path]:
    directory = tmp_path / "checkpoints"
    found = [put(directory, f"step-{step:09d}") for step in (5, 10)]
    (directory / "latest").write_text(found[-1].name)
    return found


@pytest.mark.parametrize("held", [b"", b"step-0", b"\xff\xfe\x00", b"step-00000001"])
def test_a_damaged_pointer_stands_for_the_newest(checkpoints: list[Path], held: bytes) -> None:
    newest = checkpoints[-1]
    (newest.parent / "latest").write_bytes(held)
    assert newest_whole(newest.parent) == newest
    assert resolve(newest.parent.parent) == newest


def test_a_pointer_to_an_older_one_is_followed(checkpoints: list[Path]) -> None:
    (checkpoints[0].parent / "latest").write_text(checkpoints[0].name + "\n")
    assert newest_whole(checkpoints[0].parent) == checkpoints[0]


@pytest.mark.parametrize("settings", [b"", b"tokens: [", b"\xff\xfe", b"word"])
def test_damaged_settings_are_damage(checkpoints: list[Path], settings: bytes) -> None:
    older, newest = checkpoints
    (newest / "settings.yaml").write_bytes(settings)
    assert damage(older) is None
    assert damage(newest) is not None
    with pytest.raises(CheckpointError, match=f"take .*{older.name} instead"):
        resolve(newest.parent.parent)
    assert newest_whole(newest.parent) == older


@pytest.mark.parametrize("place", [0.3, 0.5, 0.9])
def test_a_flipped_byte_in_a_tensor_is_noticed_on_resume(
    checkpoints: list[Path], place: float
) -> None:
    older, newest = checkpoints
    file = next(newest.glob("*.distcp"))
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 0x10
    file.write_bytes(content)
    assert damage(newest) is None
    assert f"{file.name} has changed" in str(corruption(newest))
    assert newest_whole(newest.parent) == older


@pytest.mark.parametrize("harm", ["settings", "gone", "pointer"])
def test_a_mirror_gives_the_newest_whole_one(
    checkpoints: list[Path], tmp_path: Path, harm: str
) -> None:
    older, newest = checkpoints
    if harm == "settings":
        (newest / "settings.yaml").write_bytes(b"")
    elif harm == "gone":
        shutil.rmtree(newest)
    else:
        (newest.parent / "latest").write_bytes(b"\xff")
    fetched = tmp_path / "fetched"
    found = fetch_newest(f"file://{newest.parent}/", fetched)
    expected = newest if harm == "pointer" else older
    assert found == fetched / expected.name
    assert newest_whole(fetched) == found
    assert [path.name for path in sorted(fetched.iterdir())] == ["latest", expected.name]


def test_a_mirror_without_a_whole_one_is_an_error(checkpoints: list[Path], tmp_path: Path) -> None:
    for path in checkpoints:
        (path / "facts.json").write_text("")
    with pytest.raises(CheckpointError, match="no checkpoint there is whole"):
        fetch_newest(str(checkpoints[0].parent), tmp_path / "fetched")
