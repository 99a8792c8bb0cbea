#!/bin/sh
# Spark 4 needs Java 17 or newer: check for it, install the headless JRE where that is possible.
set -eu

version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1 || true)
[ "${version:-0}" -ge 17 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless ||
    apt-get install -y -qq --no-install-recommends default-jre-headless
  exit 0
fi
if command -v apt-get >/dev/null 2>&1; then
  command="sudo apt-get install openjdk-17-jre-headless"
elif command -v dnf >/dev/null 2>&1; then
  command="sudo dnf install java-17-openjdk-headless"
elif command -v brew >/dev/null 2>&1; then
  command="brew install openjdk@17"
else
  command="(install a Java 17 runtime and put it on PATH)"
fi
echo "Java 17 or newer is missing (found: ${version:-none}). Type: $command" >&2
exit 1
