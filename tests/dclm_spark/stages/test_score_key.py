"""What scores depend on."""

from pathlib import Path

from dclm_spark.settings import FileReference
from dclm_spark.stages.score import QualitySettings, score_key


def test_a_model_that_was_changed_in_its_place_is_another_model(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    settings = QualitySettings(model=FileReference(uri=str(path)))
    path.write_bytes(b"one")
    first = score_key(settings)
    path.touch()
    assert score_key(settings) == first
    path.write_bytes(b"two!")
    assert score_key(settings) != first
