#!/usr/bin/env python3
# ruff: noqa: E401, E501, I001
"""A Nostr relay on loopback: LocalRelay of PyPI nostr-sdk (rust-nostr). Prints its URL as the first line, runs until SIGTERM or SIGINT.

    python local_relay.py [--port 7777] [--auth read|write|both] [--notes-per-minute N] [--max-reqs N] [--log]

In memory; events are gone when it stops. As shipped by nostr-sdk a relay takes 60 notes a minute from a connection and
refuses the rest; here the limits are high unless asked for. --log prints every event it admits, one JSON line each.
"""

import argparse, asyncio, json, signal
import nostr_sdk as n


class Log(n.WritePolicy):
    async def admit_event(self, event, socket_addr):
        print(
            json.dumps({"from": socket_addr, "event": json.loads(event.as_json())}, ensure_ascii=False),
            flush=True,
        )
        return n.WritePolicyResult.ACCEPT()


async def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--port", type=int, default=0, help="default: any free one")
    ap.add_argument(
        "--auth",
        choices=["none", "read", "write", "both"],
        default="none",
        help="NIP-42 is demanded for these",
    )
    ap.add_argument("--notes-per-minute", type=int, default=1_000_000)
    ap.add_argument("--max-reqs", type=int, default=1_000, help="open subscriptions a connection may have")
    ap.add_argument("--max-filter-limit", type=int, help="largest `limit` served (500 when a filter has none)")
    ap.add_argument("--log", action="store_true")
    a = ap.parse_args()
    b = (
        n.LocalRelayBuilder()
        .addr("127.0.0.1")
        .rate_limit(n.RateLimit(max_reqs=a.max_reqs, notes_per_minute=a.notes_per_minute))
    )
    if a.port:
        b = b.port(a.port)
    if a.auth != "none":
        b = b.nip42(n.LocalRelayBuilderNip42(mode=n.LocalRelayBuilderNip42Mode[a.auth.upper()]))
    if a.max_filter_limit:
        b = b.max_filter_limit(a.max_filter_limit)
    if a.log:
        n.uniffi_set_event_loop(asyncio.get_running_loop())
        b = b.write_policy(Log())
    stop = asyncio.Event()
    for s in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(s, stop.set)
    relay = b.build()
    await relay.run()
    print(await relay.url(), flush=True)
    await stop.wait()
    relay.shutdown()


asyncio.run(main())
