#!/bin/sh
# Pack the executors' environment into one archive for `spark-submit --archives`.
# Build it on the cluster's operating system and CPU; workers need the same minor Python version.
# pyspark comes from the cluster's own Spark, whose version it must have.
set -eu
target=${1:-environment.tar.gz}
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv --copies "$folder/environment"
"$folder/environment/bin/pip" install --quiet --constraint "$(dirname "$0")/constraints/ci.txt" \
  "$(dirname "$0")/..[udfs,fast,gcs]" pandas venv-pack2
"$folder/environment/bin/venv-pack" --quiet --prefix "$folder/environment" --output "$target" --force
echo "$target: submit with --archives $target#environment --conf spark.pyspark.python=./environment/bin/python"
