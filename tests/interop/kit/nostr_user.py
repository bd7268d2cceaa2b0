#!/usr/bin/env python3
# ruff: noqa: E401, E501, I001
"""Nostr users on PyPI nostr-sdk (rust-nostr), driven by JSON lines: one request on standard input, one answer on standard output.

    {"op": "id", "key": KEY}                                                -> {"public", "npub"}
    {"op": "publish", "key": KEY, "relays": [URL], "kind": N, "content": TEXT, "tags": [[...]], "at": SECONDS or null}
                                                                            -> {"event", "ok": [URL], "failed": {URL: why}}
    {"op": "send", "relays": [URL], "event": {...}}                         the same for an event that is ready, however wrong; as
                                                                            it is, without AUTH
    {"op": "fetch", "relays": [URL], "filter": {...}}                       -> [event], oldest first
A failure is {"error": text}. KEY is hex or `seed:NAME` (sha256 of NAME). Ends with its standard input.
"""

import asyncio, hashlib, json, sys
from datetime import timedelta
import nostr_sdk as n
import websockets

clients = {}


def keys_of(text):
    return n.Keys.parse(hashlib.sha256(text[5:].encode()).hexdigest() if text.startswith("seed:") else text)


class Frames(n.WebSocketAdapter):
    def __init__(self, ws):
        self.ws = ws

    async def send(self, msg):
        if msg.is_text():
            await self.ws.send(msg.text)

    async def recv(self):
        try:
            return n.WebSocketMessage.TEXT(await self.ws.recv())
        except websockets.ConnectionClosed:
            return None

    async def close_connection(self):
        await self.ws.close()


class Transport(n.CustomWebSocketTransport):
    """nostr-sdk's own trusts only the certificate authorities compiled into it; this one those of SSL_CERT_FILE."""

    def support_ping(self):
        return False

    async def connect(self, url, proxy):
        return n.WebSocketAdapterWrapper(Frames(await websockets.connect(url, max_size=None, compression=None)))


async def client(key, relays):
    at = (key, tuple(relays))
    if at not in clients:
        keys = keys_of(key) if key else n.Keys.generate()
        c = n.ClientBuilder().authenticator(n.SignerAuthenticator(keys)).websocket_transport(Transport()).build()
        for url in relays:
            await c.add_relay(n.RelayUrl.parse(url), and_connect=True)
        await c.connect(and_wait=timedelta(seconds=5))
        clients[at] = c
    return clients[at]


async def send(url, event):
    async with websockets.connect(url) as ws:
        await ws.send(json.dumps(["EVENT", event]))
        async with asyncio.timeout(10):
            while True:
                frame = json.loads(await ws.recv())
                if frame[0] == "OK":
                    return frame[2], frame[3]
                if frame[0] == "NOTICE":
                    return False, frame[1]


async def answer(q):
    if q["op"] == "id":
        k = keys_of(q["key"]).public_key()
        return {"public": k.to_hex(), "npub": k.to_bech32()}
    if q["op"] == "publish":
        b = n.EventBuilder(n.Kind(q["kind"]), q["content"]).tags([n.Tag.parse(t) for t in q["tags"]])
        if q.get("at") is not None:
            b = b.custom_created_at(n.Timestamp.from_secs(q["at"]))
        event = await b.finalize_async(keys_of(q["key"]))
        got = await (await client(q["key"], q["relays"])).send_event(event, ok_timeout=timedelta(seconds=10))
        return {
            "event": json.loads(event.as_json()),
            "ok": [str(u) for u in got.success],
            "failed": {str(u): why for u, why in got.failed.items()},
        }
    if q["op"] == "send":
        said = {url: await send(url, q["event"]) for url in q["relays"]}
        failed = {url: why for url, (ok, why) in said.items() if not ok}
        return {"event": q["event"], "ok": [url for url in said if url not in failed], "failed": failed}
    if q["op"] == "fetch":
        flt = n.ReqTarget.auto([n.Filter.from_json(json.dumps(q["filter"]))])
        got = await (await client("", q["relays"])).fetch_events(flt, timeout=timedelta(seconds=10))
        return sorted((json.loads(e.as_json()) for e in got), key=lambda e: (e["created_at"], e["id"]))
    raise ValueError(q["op"])


async def main():
    loop = asyncio.get_running_loop()
    n.uniffi_set_event_loop(loop)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            out = await answer(json.loads(line))
        except Exception as e:
            out = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(out, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
