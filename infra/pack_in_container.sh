#!/bin/sh
# Pack an environment for a processor and a Python, whatever this machine has; needs Docker.
#   sh infra/pack_in_container.sh arm64 3.11 environment.tar.gz     # EMR, Graviton
#   sh infra/pack_in_container.sh x86_64 3.12 environment.tar.gz    # Dataproc
# Another processor than this machine's runs in emulation (minutes). Without Docker, on a machine of
# the cluster's processor: pip install uv, uv python install --install-dir tree 3.11, and
# PYTHON_TREE=tree/cpython-... sh infra/pack_environment.sh environment.tar.gz
set -eu
architecture=${1:-} python=${2:-} target=${3:-environment.tar.gz}
case $architecture in
  arm64) platform=linux/arm64 ;;
  x86_64) platform=linux/amd64 ;;
  *) echo "error: architecture = '$architecture': must be arm64 or x86_64" >&2; exit 2 ;;
esac
case $python in
  3.11 | 3.12 | 3.13) ;;
  *) echo "error: python = '$python': must be 3.11, 3.12 or 3.13" >&2; exit 2 ;;
esac
command -v docker >/dev/null || {
  echo "error: docker is not on PATH; pack on a machine of the cluster's processor instead" >&2
  exit 2
}
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$(dirname "$target")"
folder=$(cd "$(dirname "$target")" && pwd) name=$(basename "$target")

# Its C library is the oldest of the platforms': what is built here runs on all of them.
exec docker run --rm --platform "$platform" -v "$root:/source:ro" -v "$folder:/out" \
  -e PYTHON_VERSION="$python" -e NAME="$name" amazonlinux:2023 sh -euc '
    dnf install -y -q python3.11-pip tar gzip findutils
    python3.11 -m pip install --quiet uv
    python3.11 -m uv python install --quiet --install-dir /opt/trees "$PYTHON_VERSION"
    mkdir /build
    tar -C /source -c pyproject.toml README.md LICENSE udfs dclm_spark infra | tar -C /build -x
    PYTHON_TREE=$(find /opt/trees -mindepth 1 -maxdepth 1 -type d -name "cpython-*" | head -n 1) \
      sh /build/infra/pack_environment.sh "/out/$NAME"'
