"""Copies of code, environment and recipes in the bucket that a cluster reads."""

import re
import shlex
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path

from submission.errors import SubmissionError
from submission.platforms import Platform

# Architectures by the machine number of an ELF file.
_MACHINES = {0x3E: "x86_64", 0xB7: "arm64"}


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file of this machine and where it goes."""

    source: Path
    uri: str

    @property
    def command(self) -> str:
        """The command that a person would type for it."""
        program = "aws s3 cp" if self.uri.startswith("s3://") else "gcloud storage cp"
        return f"{program} {shlex.quote(str(self.source))} {shlex.quote(self.uri)}"

    def run(self) -> None:
        """Copy the file; needs the credentials of this machine."""
        from udfs import storage

        storage.upload(self.source, self.uri)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A packed environment: its processor, its Python, and whether it carries the interpreter."""

    architecture: str
    python: str
    self_contained: bool


def read_archive(path: Path) -> Archive:
    """Look into an archive of infra/pack_environment.sh. Raises SubmissionError for another."""
    architecture = python = None
    self_contained = False
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                # An environment that borrows its interpreter has no standard library.
                self_contained |= bool(re.search(r"lib/python3\.\d+/os\.py$", member.name))
                found = re.search(r"(?:^|/)lib(?:64)?/python(3\.\d+)/", member.name)
                python = python or (found and found[1])
                if architecture is None and member.isfile() and member.size > 20:
                    architecture = _architecture(archive.extractfile(member).read(20))  # type: ignore[union-attr]
                if architecture and python and self_contained:
                    break
    except (OSError, tarfile.TarError) as error:
        raise SubmissionError(f"--archive {path}: cannot be read ({error})") from error
    if not architecture or not python:
        raise SubmissionError(
            f"--archive {path}: holds no Python environment; infra/pack_environment.sh packs one"
        )
    return Archive(architecture=architecture, python=python, self_contained=self_contained)


def _architecture(start: bytes) -> str | None:
    if start[:4] != b"\x7fELF":
        return None
    return _MACHINES.get(struct.unpack("<H", start[18:20])[0])


def check_archive(path: Path, platform: Platform, architecture: str) -> None:
    """Raise SubmissionError unless the workers of the platform can run this environment."""
    archive = read_archive(path)
    again = "pack another with infra/pack_in_container.sh"
    if archive.architecture != architecture:
        raise SubmissionError(
            f"--archive {path}: was packed on {archive.architecture}, the cluster is "
            f"{architecture}; {again} or take --architecture {archive.architecture}"
        )
    if archive.self_contained and archive.python not in platform.pythons:
        raise SubmissionError(
            f"--archive {path}: has Python {archive.python}; Spark {platform.spark} of "
            f"{platform.name} {platform.release} works with {', '.join(platform.pythons)}; {again}"
        )
    if not archive.self_contained and archive.python != platform.own_python:
        raise SubmissionError(
            f"--archive {path}: borrows a Python {archive.python} of its machine, and "
            f"{platform.name} {platform.release} has {platform.own_python}; {again}"
        )
