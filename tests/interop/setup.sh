#!/usr/bin/env bash
# Installs the peers of the interop tests and of the bench: Fedify, nostr-tools and @nostr-relay/core (npm), the PLC directory,
# PDS and AppView of Bluesky (npm, another folder), pubby, nostr-sdk, nostr-relay and arroba (a venv each), and a Node >= 22
# where the system's is older. Idempotent, and done at once when nothing changed since the last run.
#   tests/interop/setup.sh           into .cache/interop of the repo, or into $BRIDGED_PEERS
# Needs Python >= 3.11, npm and Debian's openssl, ca-certificates, redis-server, util-linux; what is missing is installed when run as root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
into=${BRIDGED_PEERS:-$here/../../.cache/interop}
python=${PYTHON:-python3}
mkdir -p "$into"; into=$(cd "$into" && pwd)
echo "*" >"$into/.gitignore"
exec 9>"$into/lock"; flock 9

stamp=$(cat "$here/setup.sh" "$here"/kit/package*.json "$here"/kit/atproto/package*.json "$here"/kit/requirements-*.txt | sha256sum | cut -d' ' -f1)
needed() { for c in openssl update-ca-certificates unshare nsenter flock redis-server; do command -v "$c" >/dev/null || return 1; done; }
if [ "$(cat "$into/installed" 2>/dev/null)" = "$stamp" ] && needed; then exit 0; fi
rm -f "$into/installed"

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need openssl openssl; need update-ca-certificates ca-certificates; need unshare util-linux; need nsenter util-linux; need npm npm
need redis-server redis-server
"$python" -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "setup.sh: install first: ${missing[*]}" >&2; exit 1; }
  apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >&2
fi

# One pip installs for all: it takes longer to make one than to make a venv.
venvs() {
  local peer pids=() pid
  [ -x "$into/pip/bin/pip" ] || "$python" -m venv "$into/pip"
  for peer in sloppy pubby arroba nostr; do
    [ -x "$into/$peer/bin/python" ] || "$python" -m venv --without-pip "$into/$peer"
    "$into/pip/bin/python" -m pip --python "$into/$peer/bin/python" install -q --disable-pip-version-check \
      --require-hashes --only-binary :all: -r "$here/kit/requirements-$peer.txt" >&2 & pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
}
venvs & venvs=$!

# A Node >= 22: the system's, else the npm package `node`, whose install script fetches the package of this processor;
# where install scripts are off, that package by name.
major() { "$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }
npm_get() { npm install --prefix "$into/node" --no-save --no-package-lock --no-audit --no-fund "$@" >&2; }
find_node() { find "$into/node" -type f -path '*/bin/node' -perm -u+x -print -quit 2>/dev/null; }
node=$(command -v node || true)
if [ "$(major "${node:-false}")" -lt 22 ]; then
  mkdir -p "$into/node"
  [ -n "$(find_node)" ] || npm_get --ignore-scripts=false node@24.21.0 || true
  [ -n "$(find_node)" ] || npm_get "node-linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')@24.21.0"
  node=$(find_node)
fi
[ "$(major "$node")" -ge 22 ] || { echo "setup.sh: no Node >= 22" >&2; exit 1; }
mkdir -p "$into/bin"; ln -sf "$node" "$into/bin/node"

# $1: folder of the kit with a lock file, $2: where to.
npm_ci() {
  mkdir -p "$into/$2"
  cmp -s "$1/package-lock.json" "$into/$2/installed.json" && return
  cp "$1/package.json" "$1/package-lock.json" "$into/$2/"
  (cd "$into/$2" && PATH="$into/bin:$PATH" npm ci --ignore-scripts --no-audit --no-fund >&2)
  cp "$1/package-lock.json" "$into/$2/installed.json"
}
npm_ci "$here/kit" npm & tools=$!
npm_ci "$here/kit/atproto" atproto & stack=$!
wait "$tools"; wait "$stack"; wait "$venvs"
echo "$stamp" >"$into/installed"
echo "peers are in $into" >&2
