#!/usr/bin/env bash
# Brings a Debian machine to the point where the playbooks run: packages, Python, collections. Asks nothing, repeats nothing.
# Usage: scripts/setup.sh [run|test]    run: what `make up` needs; test: what `make test` needs besides
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-run}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/campus.jupyterhub
log=build/setup-$kind.log
mkdir -p build "$cache"
: >"$log"
# Another checkout may set itself up at the same time.
exec 9>"$cache/setup.lock"
flock --nonblock 9 || { echo "Waiting for another set-up on this machine"; flock 9; }

say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }

stop() {
    printf 'Could not set up this machine: %s\n' "$*" >&2
    exit 1
}

run() { # run <what> <command…>: one line of progress; the last lines of the log when it fails
    local what=$1
    shift
    say "$what"
    if ! "$@" >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        stop "$what failed. The whole log is $log."
    fi
}

missing_packages() {
    local want=() package
    python3 -c 'import ensurepip, venv' 2>/dev/null || want+=(python3-venv)
    if [ "$kind" != lint ]; then
        # A running Docker engine serves as well as podman; images are built from packages either way.
        docker info >/dev/null 2>&1 || want+=(podman buildah runc containernetworking-plugins netavark aardvark-dns iptables uidmap)
        want+=(ca-certificates conntrack ethtool mmdebstrap socat xfsprogs)
    fi
    [ "$kind" != test ] || want+=(chromium haproxy)
    for package in "${want[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

install_packages() {
    command -v dpkg-query >/dev/null || { say "No Debian packages here: podman or Docker has to be there already"; return; }
    local packages sudo=()
    mapfile -t packages < <(missing_packages)
    [ ${#packages[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || stop "these packages are missing: run 'sudo apt-get install ${packages[*]}', then this again."
        sudo=(sudo)
    fi
    run "Refreshing the package lists" "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=300 update
    run "Installing ${#packages[@]} packages: ${packages[*]}" \
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${packages[@]}"
}

install_python() {
    local lock=requirements/run.lock key venv link=build/venv
    if [ "$kind" != run ]; then
        lock=requirements/test.lock link=build/venv-test
    fi
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || stop "Python 3.11 or newer is needed, this is $(python3 -V)."
    key=$( (python3 -VV; cat "$lock" requirements/uv.txt) | sha256sum | cut -c1-12)
    venv=$cache/venv/$key
    if [ ! -e "$venv/complete" ]; then
        run "Making a Python environment" python3 -m venv --clear "$venv"
        run "Fetching the installer" "$venv/bin/pip" install --quiet -r requirements/uv.txt
        run "Installing $lock" env VIRTUAL_ENV="$venv" "$venv/bin/uv" pip install --quiet -r "$lock"
        touch "$venv/complete"
    fi
    ln -sfn "$venv" "$link"
    python=$link/bin/python
}

install_collections() {
    run "Putting the collections in place" "$python" scripts/fetch_collections.py --cache "$cache/collections" --into build/collections
}

install_packages
install_python
install_collections
say "This machine is ready"
