#!/usr/bin/env python3
"""The conformance list of the embedded relay, put to a relay by nostr-sdk: one request a line, one answer a line.

{"check": NAME, "url": URL, "ghost": KEY, "bridged": NAME}   -> {"passed": NAME} or {"error": text}
"""

import asyncio
import json
import sys
import traceback
from pathlib import Path

import nostr_sdk
from nostr_user import Transport

sys.path.insert(0, str(Path(__file__).parents[2] / "unit/nostr"))
from relay_conformance import CHECKS, Sdk


async def answer(request: dict[str, str]) -> dict[str, str]:
    def build() -> nostr_sdk.ClientBuilder:
        return nostr_sdk.ClientBuilder().websocket_transport(Transport())

    name = request.pop("check")
    relay = Sdk(**request, build=build)
    try:
        async with asyncio.timeout(120):
            await CHECKS[name](relay)
        return {"passed": name}
    except Exception:
        return {"error": traceback.format_exc()}
    finally:
        await relay.close()


async def main() -> None:
    loop = asyncio.get_running_loop()
    nostr_sdk.uniffi_set_event_loop(loop)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await answer(json.loads(line))), flush=True)


asyncio.run(main())
