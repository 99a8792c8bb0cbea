"""Versions, processors and machine types of the platforms."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from submission.errors import SubmissionError

Architecture = Literal["arm64", "x86_64"]
# The one place that says which processor a cluster has; environments are packed for it.
INSTANCE_TYPES: dict[Architecture, tuple[str, ...]] = {
    "arm64": ("m7g.4xlarge", "m6g.4xlarge", "r7g.4xlarge"),
    "x86_64": ("m7i.4xlarge", "m6i.4xlarge", "r6i.4xlarge"),
}


@dataclass(frozen=True, kw_only=True)
class Platform:
    """A managed Spark: its release, and which Pythons its pyspark works with.

    `own_python` is the interpreter that its machines have: an environment without an interpreter
    of its own must have that version. An environment that carries one may have any of `pythons`.
    """

    name: str
    release: str
    spark: str
    java: str
    own_python: str
    pythons: tuple[str, ...]
    schemes: tuple[str, ...]


# Read 2026-11 in the platforms' release notes.
EMR = Platform(
    name="EMR",
    release="emr-spark-8.0.0",
    spark="4.0.2",
    java="17",
    own_python="3.11",
    pythons=("3.11", "3.12", "3.13"),
    schemes=("s3://",),
)
DATAPROC = Platform(
    name="Dataproc",
    release="3.0",
    spark="4.1.2",
    java="21",
    own_python="3.12",
    pythons=("3.11", "3.12", "3.13", "3.14"),
    schemes=("gs://", "s3://"),
)
# The image has the Python that both platforms' pyspark know.
KUBERNETES = Platform(
    name="Kubernetes",
    release="",
    spark="4.0 to 4.3",
    java="17",
    own_python="3.11",
    pythons=("3.11", "3.12", "3.13"),
    schemes=("s3://", "gs://"),
)


def instance_types(architecture: str, asked: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the EC2 types of a cluster: `asked`, or the architecture's own.

    Raises SubmissionError for an unknown architecture, and for a type of another one.
    """
    if architecture not in INSTANCE_TYPES:
        raise SubmissionError(
            f"architecture = {architecture!r}: must be one of {', '.join(INSTANCE_TYPES)}"
        )
    for kind in asked:
        if architecture_of(kind) != architecture:
            raise SubmissionError(
                f"instance type {kind!r} is {architecture_of(kind)}, the cluster {architecture}: "
                "take types of one architecture, and an environment packed for it "
                "(infra/pack_in_container.sh)"
            )
    return tuple(asked) or INSTANCE_TYPES[architecture]  # type: ignore[index]


def architecture_of(instance_type: str) -> Architecture:
    """Return the processor of an EC2 type: Graviton has a `g` after the generation, as m7gd."""
    found = re.fullmatch(r"([a-z]+)(\d+)([a-z]*)(?:-[a-z\d-]+)?\.[a-z\d-]+", instance_type)
    if not found:
        raise SubmissionError(
            f"instance type {instance_type!r}: must look like family and size, as m7g.4xlarge"
        )
    family, generation, attributes = found.groups()
    return "arm64" if "g" in attributes or family + generation == "a1" else "x86_64"
