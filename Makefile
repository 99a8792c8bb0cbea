# Two commands do everything on a fresh machine: `make baseline` and `make test`.
PYTHON ?= python3
VENV ?= .venv
OUTPUT ?= out/baseline
CONSTRAINTS := infra/constraints/ci.txt
INSTALLED := $(VENV)/.installed

.PHONY: baseline rehearsal test test-long test-all compare check docs java clean

baseline: $(INSTALLED) java ## embedded sample crawl -> shards, report, a tiny trained model
	@# torch's threads wait for one another on a busy machine, and a tiny model needs one. A JVM that
	@# lives for a minute has no use for the optimizing compiler: 38 s of CPU against 64 s.
	OMP_NUM_THREADS=1 SPARK_SUBMIT_OPTS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" $(VENV)/bin/python jobs/build_baseline.py --recipe sample --master "local[*,3]" --output $(OUTPUT)

rehearsal: $(INSTALLED) java ## every line of docs/seven_billion.md in miniature, WARC to CORE and MMLU
	$(VENV)/bin/python -m tests.rehearsal --output out/rehearsal

test: $(INSTALLED) java ## every test but the long and the slow ones
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: $(INSTALLED) java ## whole runs, clusters and killed processes
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "long and not slow"

test-all: $(INSTALLED) java ## the long and the slow tests too
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m ""

compare: $(INSTALLED) ## our chain beside libraries, datatrove and the reference; see docs/throughput.md
	$(VENV)/bin/python -m tests.benchmarks.report $(COMPARE)

check: $(INSTALLED) ## style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

docs: $(INSTALLED) ## the site of docs/ in out/site; a broken link is an error
	$(VENV)/bin/mkdocs build --quiet

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) torch==2.13.0
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[dev]'
	$(VENV)/bin/python -m dclm_spark.compile_kernels
	touch $@

java:
	@sh infra/java.sh

clean:
	rm -rf $(VENV) out
