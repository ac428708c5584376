#!/usr/bin/env bash
# Builds the documentation into build/docs: the guides in docs/, and the reference of plugins and roles made from their own words.
set -euo pipefail
cd "$(dirname "$0")/.."
source=build/docs-source
export ANSIBLE_COLLECTIONS_PATH=$PWD/build/collections
rm -rf "$source" build/docs
mkdir -p "$source"
cp -R docs/. "$source"
mkdir "$source/reference"
antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --dest-dir "$source/reference" campus.jupyterhub
sphinx-build -q -W --keep-going -b html "$source" build/docs
echo "The documentation is build/docs/index.html"
