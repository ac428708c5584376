#!/usr/bin/env bash
# Raises every pinned Python package to the newest that fits: the playbooks' own, the tests', and those of each image.
# Versions of Kubernetes, kind and the like stand in images/recipes.yml and are raised by hand, since they belong together.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=(build/venv-test/bin/uv pip compile --quiet --upgrade --no-header)
"${uv[@]}" --universal --python-version 3.11 requirements/run.in --output-file requirements/run.lock
"${uv[@]}" --universal --python-version 3.11 --constraints requirements/run.lock requirements/test.in --output-file requirements/test.lock
# Debian bookworm, which the images are made of, has Python 3.11. The heads of requirements.in say why two packages are left out.
left_out=(--no-emit-package rfc3987-syntax --no-emit-package lark)
for file in images/*/requirements*.in; do
    "${uv[@]}" --python-version 3.11 --python-platform linux --no-annotate "${left_out[@]}" "$file" --output-file "${file%.in}.lock"
done
git --no-pager diff --stat -- requirements images
