#!/usr/bin/env bash
# Runs every test there is, the quick ones first; the last line is pytest's own. Usage: scripts/test.sh [pytest's arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh test
exec build/venv-test/bin/pytest tests/unit tests/sanity_csi tests/acme tests/quality tests/packaging tests/molecule --durations=10 "$@" </dev/null
