# The trainer and the evaluation, for infra/train/kubernetes.yaml. At the repository's root:
#   docker build -f infra/docker/trainer.Dockerfile -t REGISTRY/dclm-spark-train:1 .
ARG BASE=python:3.12-slim-bookworm
# hadolint ignore=DL3006
FROM ${BASE}
# torch.compile calls a C compiler; no version, since Debian removes old ones.
# hadolint ignore=DL3008
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/dclm_spark
COPY . .
RUN python3 -m venv /opt/environment \
 && /opt/environment/bin/pip install --no-cache-dir --constraint infra/constraints/ci.txt \
      ".[train,evaluate]" \
 && rm -rf build ./*.egg-info \
 && chmod -R a+rX /opt/dclm_spark /opt/environment
# The user may have no home, and the image may be read only: /tmp is what can be written.
ENV PATH=/opt/environment/bin:$PATH \
    HOME=/tmp \
    DCLM_SPARK_CACHE=/tmp/dclm_spark
USER 1000
