"""The least an inbox can do: aiohttp, the body's digest, the RSA signature; nothing is looked at, nothing stored.

ready: {"port": …}      options: pem (the key everything is signed with)
"""

import asyncio
import base64
import hashlib
import re
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.bench.child import answer, options

PART = re.compile(r'(\w+)="([^"]*)"')


async def main() -> None:
    key = serialization.load_pem_public_key(options()["pem"].encode())
    assert isinstance(key, RSAPublicKey)

    async def inbox(request: web.Request) -> web.Response:
        body = await request.read()
        headers = request.headers
        parts = dict(PART.findall(headers["Signature"]))
        lines = [
            f"{name}: post {request.raw_path}" if name == "(request-target)" else f"{name}: {headers[name]}"
            for name in parts["headers"].split()
        ]
        digest = "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
        try:
            signature = base64.b64decode(parts["signature"])
            key.verify(signature, "\n".join(lines).encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return web.Response(status=401)
        return web.Response(status=202 if headers["Digest"] == digest else 401)

    app = web.Application()
    app.router.add_post("/inbox", inbox)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()

    async def handle(**_: Any) -> None:
        return None

    await answer({"port": runner.addresses[0][1]}, handle)


if __name__ == "__main__":
    asyncio.run(main())
