#!/usr/bin/env bash
# Forgets what was downloaded or built before: environments, collections, images. What runs goes on running.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/campus.jupyterhub
du -sh "$cache" 2>/dev/null || { echo "There is no cache at $cache"; exit 0; }
rm -rf "$cache" build/venv build/venv-test build/collections
