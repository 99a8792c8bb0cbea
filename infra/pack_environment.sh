#!/bin/sh
# Pack the executors' environment into one archive for `spark-submit --archives`.
#   sh infra/pack_environment.sh environment.tar.gz
#
# PYTHON_TREE=FOLDER: an interpreter that works wherever it lies (bin/ and lib/; `uv python install`
# and conda make one). The archive carries it, and the workers need no Python at all.
# Else PYTHON (default python3): the archive borrows the interpreter, and the workers need the same
# minor version at the same path.
# Either way, pack on the cluster's processor: infra/pack_in_container.sh does so for any.
# pyspark comes from the cluster's own Spark, whose version it must have.
set -eu
target=${1:-environment.tar.gz}
infra=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
environment="$folder/environment"

install() {
  "$environment/bin/python3" -m pip install --quiet --disable-pip-version-check \
    --constraint "$infra/constraints/ci.txt" "$infra/..[udfs,fast,gcs]" pandas "$@"
}

if [ -n "${PYTHON_TREE:-}" ]; then
  [ -x "$PYTHON_TREE/bin/python3" ] || {
    echo "error: PYTHON_TREE=$PYTHON_TREE: has no bin/python3; name the folder above bin/" >&2
    exit 2
  }
  mkdir "$environment"
  cp -R "$PYTHON_TREE/bin" "$PYTHON_TREE/lib" "$environment"
  # Whoever made the tree may have it for himself; this copy is ours.
  rm -f "$environment"/lib/python3*/EXTERNALLY-MANAGED
  install
  [ -e "$environment/bin/python" ] || ln -s python3 "$environment/bin/python"
  tar -C "$environment" -czf "$target" .
else
  "${PYTHON:-python3}" -m venv --copies "$environment"
  install venv-pack2
  "$environment/bin/venv-pack" --quiet --prefix "$environment" --output "$target" --force
fi
echo "$target: submit with --archives $target#environment --conf spark.pyspark.python=./environment/bin/python"
