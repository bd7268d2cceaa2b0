"""The least that sending to many inboxes can be: aiohttp, and an RSA-2048 signature for each request.

{"do": "send", "urls": [inbox, …], "body": text}      -> seconds until the last was answered
"""

import asyncio
import time

import aiohttp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.bench.child import answer

PARALLEL = 64
"""Requests at once, as many as bridged makes."""


async def main() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    room = asyncio.Semaphore(PARALLEL)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def post(url: str, body: bytes) -> None:
        async with room:
            signature = key.sign(url.encode(), padding.PKCS1v15(), hashes.SHA256()).hex()
            headers = {"Content-Type": "application/activity+json", "Signature": signature}
            async with session.post(url, data=body, headers=headers) as reply:
                assert reply.status == 202

    async def handle(do: str, urls: list[str], body: str) -> float:
        assert do == "send"
        started = time.monotonic()
        await asyncio.gather(*(post(url, body.encode()) for url in urls))
        return time.monotonic() - started

    async with session:
        await answer({}, handle)


if __name__ == "__main__":
    asyncio.run(main())
