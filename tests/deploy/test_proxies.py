"""The bridge behind the real Caddy and the real nginx, on loopback, with our examples of their settings."""

import asyncio
import os
import re
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.deploy.test_deploy import DEPLOY, certs, tool
from tests.ports import free_port

__all__ = ["certs"]


class _Here(AbstractResolver):
    """Every name is this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass


STREAMS = ("/relay", "/xrpc/com.atproto.sync.subscribeRepos")


async def _answer(request: web.Request) -> web.StreamResponse:
    if request.path in STREAMS and request.headers.get("Upgrade", "").lower() == "websocket":
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async for message in websocket:
            await websocket.send_str(f"heard {message.data}")
        return websocket
    body = await request.read()
    return web.json_response({"headers": dict(request.headers), "path": request.path_qs, "length": len(body)})


@pytest.fixture
async def upstream() -> AsyncIterator[int]:
    """The port of a server in the bridge's place, which tells what reached it."""
    app = web.Application(client_max_size=8 << 20)
    app.router.add_route("*", "/{path:.*}", _answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    yield site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    await runner.cleanup()


def _caddy(tmp_path: Path, certs: Path, upstream: int, port: int) -> tuple[list[str], dict[str, str]]:
    options = "{\n\tadmin off\n\tlocal_certs\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"
    (tmp_path / "Caddyfile").write_text(options + (DEPLOY / "Caddyfile").read_text())
    shutil.copy(DEPLOY / "wildcard.caddy", tmp_path)
    env = {"DOMAIN": f"bridge.example:{port}", "UPSTREAM": f"127.0.0.1:{upstream}", "CERTS": str(certs)}
    env |= {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    config = str(tmp_path / "Caddyfile")
    return [tool("caddy", "caddy"), "run", "--config", config, "--adapter", "caddyfile"], env


def _nginx(tmp_path: Path, certs: Path, upstream: int, port: int) -> tuple[list[str], dict[str, str]]:
    text = (DEPLOY / "nginx.conf").read_text()
    text = re.sub(r"listen \[::\].*\n", "", text)
    text = text.replace("listen 443 ", f"listen 127.0.0.1:{port} ")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    text = text.replace("server 127.0.0.1:8080;", f"server 127.0.0.1:{upstream};")
    text = re.sub(r"/etc/\S+fullchain\.pem", str(certs / "wildcard.pem"), text)
    text = re.sub(r"/etc/\S+privkey\.pem", str(certs / "wildcard.key"), text)
    (tmp_path / "bridged.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(
        f"{user}daemon off;\npid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}include bridged.conf;\n}}\n"
    )
    command = [tool("nginx", "nginx-light"), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    return command, {}


@pytest.fixture(params=[_caddy, _nginx], ids=["caddy", "nginx"])
async def proxy(request: pytest.FixtureRequest, tmp_path: Path, certs: Path, upstream: int) -> AsyncIterator[int]:
    """The TLS port of the proxy in front of `upstream`."""
    port = free_port()
    command, env = request.param(tmp_path, certs, upstream, port)
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, env=os.environ | env, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            async with asyncio.timeout(60):
                while True:
                    assert process.returncode is None, (tmp_path / "log").read_text()
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                    except OSError:
                        await asyncio.sleep(0.05)
                        continue
                    writer.close()
                    break
            yield port
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


@pytest.fixture
async def client(certs: Path) -> AsyncIterator[aiohttp.ClientSession]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connector = aiohttp.TCPConnector(resolver=_Here(), ssl=context, use_dns_cache=False)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


@pytest.mark.parametrize("host", ["bridge.example", "alice.bridge.example"])
async def test_proxy_passes_host_path_and_who_asks(client: aiohttp.ClientSession, proxy: int, host: str):
    """What the client claims about itself is replaced, since the bridge believes the proxy."""
    claims = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "evil.example"}
    async with client.get(f"https://{host}:{proxy}/a%2Fb?c=d%20e", headers=claims) as response:
        assert response.status == 200
        seen = await response.json()
    assert seen["path"] == "/a%2Fb?c=d%20e"
    assert seen["headers"]["Host"] == f"{host}:{proxy}"
    assert seen["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert seen["headers"]["X-Forwarded-Proto"] == "https"
    assert seen["headers"]["X-Forwarded-Host"] == f"{host}:{proxy}"


async def test_proxy_takes_bodies_up_to_one_mebibyte(client: aiohttp.ClientSession, proxy: int):
    url = f"https://bridge.example:{proxy}/inbox"
    async with client.post(url, data=b"x" * (1 << 20)) as response:
        assert response.status == 200
        assert (await response.json())["length"] == 1 << 20
    status = 413
    # 413 from nginx; Caddy before 2.7 says 502. Either may hang up before it has read everything it refused.
    with suppress(aiohttp.ClientConnectionError, ConnectionResetError):
        async with client.post(url, data=b"x" * ((1 << 20) + 1)) as response:
            status = response.status
    assert status in (413, 502)


@pytest.mark.parametrize("path", STREAMS)
async def test_proxy_passes_websockets(client: aiohttp.ClientSession, proxy: int, path: str):
    async with client.ws_connect(f"https://bridge.example:{proxy}{path}") as websocket:
        await websocket.send_str("one")
        assert await websocket.receive_str() == "heard one"
        await websocket.send_str("two")
        assert await websocket.receive_str() == "heard two"


async def test_proxy_hides_metrics(client: aiohttp.ClientSession, proxy: int):
    async with client.get(f"https://bridge.example:{proxy}/metrics") as response:
        assert response.status == 404
