#!/bin/sh
# Inside an image: a Python of 3.11 or newer, /opt/environment made by it, and the platforms' users.
set -eu

newest() {
  for version in 3.13 3.12 3.11; do
    command -v "python$version" && return 0
  done
  return 1
}

if command -v apt-get >/dev/null 2>&1; then
  apt-get update -qq
  # procps and tini are what Dataproc Serverless asks of an image.
  apt-get install -y -qq --no-install-recommends procps tini
  newest >/dev/null || apt-get install -y -qq --no-install-recommends python3.11
  version=$(basename "$(newest)")
  apt-get install -y -qq --no-install-recommends "$version-venv"
  rm -rf /var/lib/apt/lists/*
elif command -v dnf >/dev/null 2>&1; then
  newest >/dev/null || dnf install -y -q python3.11
  dnf clean all
fi
"$(newest)" -m venv /opt/environment

# Spark's, EMR's and Dataproc's user: the JVM asks for the name of the user that runs it.
for entry in 185:spark 999:hadoop 1099:dataproc; do
  uid=${entry%%:*}
  grep -q "^[^:]*:[^:]*:$uid:" /etc/passwd ||
    echo "dclm$uid:x:$uid:0:${entry#*:}:/tmp:/sbin/nologin" >> /etc/passwd
done
