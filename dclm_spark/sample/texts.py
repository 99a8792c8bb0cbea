"""Word lists and sentence patterns of the sample, from the YAML files beside this module."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def sample_texts(name: str) -> dict[str, Any]:
    """Return the lists of `words/<name>.yaml`; alternatives are separated by a bar."""
    text = (files("dclm_spark.sample") / "words" / f"{name}.yaml").read_text("utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded
