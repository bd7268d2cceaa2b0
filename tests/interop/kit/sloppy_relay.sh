#!/usr/bin/env bash
# PyPI nostr-relay 1.14 on loopback: an older relay that gets many rules wrong. It stores and serves events under a wrong id and
# older replaceables beside the newer, keeps ephemeral and expired events, takes a deleted event again, refuses a repeated event,
# ignores `a` in deletions, `limit: 0` and `search`, and may answer OK with an empty id. Runs until SIGTERM; the pid is its own.
# ENV (defaults): PORT=6969  NOSTR_RELAY=nostr-relay (the program)  STATE=<new temporary folder, left behind> (database, config)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=$(command -v "${NOSTR_RELAY:-nostr-relay}") || { echo "no nostr-relay: run setup.sh" >&2; exit 2; }
program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
state=${STATE:-$(mktemp -d -t nostr-relay.XXXXXX)}; mkdir -p "$state"; state=$(cd "$state" && pwd)
sed -e "s|@STATE@|$state|g; s|@PORT@|${PORT:-6969}|g" "$here/sloppy_relay.yaml.in" >"$state/relay.yaml"
echo "ws://127.0.0.1:${PORT:-6969}"
cd "$state"; export HOME=$state      # gunicorn puts a control socket in HOME: two relays would share it
exec "$program" -c "$state/relay.yaml" serve
