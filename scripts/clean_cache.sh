#!/usr/bin/env bash
# Forgets what was downloaded or built before: environments, collections, images and the local registry that serves them.
# Clusters go on running with what their nodes have pulled.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/campus.jupyterhub
for runtime in docker podman; do
    "$runtime" info >/dev/null 2>&1 || continue
    "$runtime" ps --all --quiet --filter label=campus.jupyterhub=registry | xargs --no-run-if-empty "$runtime" rm --force --volumes >/dev/null
    # An image that a node runs from is in use, and stays.
    "$runtime" images --quiet --filter label=campus.jupyterhub | sort --unique |
        xargs --no-run-if-empty --max-args=1 "$runtime" rmi >/dev/null 2>&1 || true
done
du -sh "$cache" 2>/dev/null || { echo "There is no cache at $cache"; exit 0; }
rm -rf "$cache" build/venv build/venv-test build/collections
