"""The one door to the outside: what comes back through it. Sizes, TLS, websockets, errors."""

import asyncio
import socket
import ssl
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bridged.adapter import EgressFailed, EgressRefused, Http, retry_after
from bridged.egress import CONNECTIONS_PER_HOST, Egress, Failed, Refused
from tests.unit.core.egress_servers import GOOD, Bench, Names, Site, answer, authority, bench_up, redirect

MIB = 1 << 20


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with bench_up() as made:
        yield made


def _squeezed(size: int, wbits: int) -> bytes:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join([squeezer.compress(bytes(MIB)) for _ in range(size // MIB)]) + squeezer.flush()


@pytest.mark.parametrize(("encoding", "wbits"), [(b"gzip", 31), (b"deflate", 15)])
async def test_bombs_are_bounded(bench: Bench, encoding: bytes, wbits: int) -> None:
    bomb = _squeezed(256 * MIB, wbits)
    assert len(bomb) < MIB
    bench.site.paths["/bomb"] = answer(b"200 OK", bomb, b"Content-Encoding: " + encoding)
    bench.site.paths["/members"] = answer(b"200 OK", _squeezed(MIB, wbits) * 1000, b"Content-Encoding: " + encoding)
    tracemalloc.start()
    try:
        assert await bench.failed(bench.site.url("/bomb"), limit=MIB) == "too_large"
        assert await bench.failed(bench.site.url("/members"), limit=MIB) == "too_large"
        assert len((await bench.egress.post(bench.site.url("/bomb"), b"", limit=1000)).body) == 1000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB


async def test_bodies_are_whole_up_to_the_limit(bench: Bench) -> None:
    small = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = small.compress(b"x" * 1000) + small.flush()
    bench.site.paths["/plain"] = answer(b"200 OK", b"x" * 1000)
    bench.site.paths["/gzip"] = answer(b"200 OK", packed, b"Content-Encoding: gzip")
    for path in ("/plain", "/gzip"):
        assert (await bench.egress.get(bench.site.url(path), limit=1000)).body == b"x" * 1000
        assert await bench.failed(bench.site.url(path), limit=999) == "too_large"


async def test_statuses_are_returned_however_long_their_page(bench: Bench) -> None:
    bench.site.paths["/gone"] = answer(b"410 Gone", b"x" * 5000, b"Retry-After: 7")
    for response in (
        await bench.egress.get(bench.site.url("/gone"), limit=1000),
        await bench.egress.post(bench.site.url("/gone"), b"", limit=1000),
    ):
        assert (response.status, len(response.body), response.headers["retry-after"]) == (410, 1000, "7")
    await bench.still_good()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "connect"),
        (b"SSH-2.0-OpenSSH\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\nx" % (b"9" * 40), "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx", "too_large"),
    ],
)
async def test_broken_answers_fail(bench: Bench, raw: bytes, reason: str) -> None:
    async def handle(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    bench.site.paths["/broken"] = handle
    assert await bench.failed(bench.site.url("/broken")) == reason


async def test_unreachable_hosts_fail_by_reason(bench: Bench) -> None:
    with socket.create_server((GOOD, 0)) as closed:
        port = closed.getsockname()[1]
    bench.names.names["empty.test"] = [[]]
    for host, reason in ((GOOD, "connect"), ("nobody.test", "dns"), ("empty.test", "dns")):
        assert await bench.failed(f"http://{host}:{port}/") == reason
        with pytest.raises(Failed, match=reason):
            await bench.egress.websocket(f"ws://{host}:{port}/", max_size=MIB)


async def test_system_resolver_is_guarded_too(bench: Bench) -> None:
    async with bench_up(resolve=None) as plain:
        assert await plain.egress.get(plain.site.url("/good", GOOD))
        with pytest.raises(Refused, match="address"):
            await plain.egress.get(f"http://localhost:{plain.canary.port}/")
        assert plain.canary.hits == 0


async def test_environment_names_no_proxy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{bench.canary.port}")
    await bench.still_good()
    with pytest.raises(Failed, match="status"):
        await bench.egress.websocket(bench.site.url("/good", scheme="ws"), max_size=MIB)
    await bench.still_good()


async def test_cookies_are_not_kept(bench: Bench) -> None:
    bench.site.paths["/set"] = answer(b"200 OK", b"", b"Set-Cookie: a=b; Path=/")
    await bench.egress.get(bench.site.url("/set"))
    await bench.still_good()
    assert all("cookie" not in head.lower() for head in bench.site.heads)


async def test_connections_to_one_host_are_few(bench: Bench) -> None:
    together = asyncio.Event()

    async def unhurried(_head: str, writer: asyncio.StreamWriter) -> None:
        if bench.site.now == CONNECTIONS_PER_HOST:
            together.set()
        await together.wait()
        await answer(b"200 OK", b"ok")(_head, writer)

    bench.site.paths["/slow"] = unhurried
    responses = await asyncio.gather(*(bench.egress.get(bench.site.url("/slow")) for _ in range(20)))
    assert [response.body for response in responses] == [b"ok"] * 20
    assert bench.site.peak == CONNECTIONS_PER_HOST


async def test_tls_names_are_checked_and_never_downgraded(tmp_path: Path) -> None:
    server, client = authority(tmp_path, "good.test")
    names = Names(other=[[GOOD]])
    async with bench_up(names, tls=client) as bench, Site(server) as site:
        site.paths["/down"] = redirect(bench.site.url("/good"))
        bench.site.paths["/up"] = redirect(site.url("/good", scheme="https"))
        for host in ("good.test", "good.test.", GOOD):
            assert (await bench.egress.get(site.url("/good", host, "https"))).body == b"good"
        assert (await bench.egress.get(bench.site.url("/up"))).url == site.url("/good", scheme="https")
        assert await bench.refused(site.url("/down", scheme="https")) == "downgrade"
        assert await bench.failed(site.url("/good", "other.test", "https")) == "tls"
        with pytest.raises(Failed, match="tls"):
            await bench.egress.websocket(site.url("/good", "other.test", "wss"), max_size=MIB)
    async with bench_up(names) as bench, Site(server) as site:
        assert await bench.failed(site.url("/good", scheme="https")) == "tls"


async def _echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message if message != "big" else "x" * 2000)


async def test_websocket_talks_within_its_size(tmp_path: Path) -> None:
    server, client = authority(tmp_path, "good.test")
    for scheme, tls in (("ws", None), ("wss", server)):
        async with bench_up(tls=client) as bench, serve(_echo, GOOD, 0, ssl=tls) as relay:
            port = next(iter(relay.sockets)).getsockname()[1]
            url = f"{scheme}://good.test:{port}/relay?a=b"
            opened = await bench.egress.websocket(url, max_size=1000, headers={"X-A": "1"})
            await opened.send("hello")
            assert await opened.recv() == "hello"
            request = opened.request
            assert request is not None
            assert request.path == "/relay?a=b"
            assert request.headers["Host"] == f"good.test:{port}"
            assert request.headers["User-Agent"] == "bridged/test"
            assert request.headers["X-A"] == "1"
            assert "Sec-WebSocket-Extensions" not in request.headers
            await opened.send("big")
            with pytest.raises(ConnectionClosed) as closed:
                await opened.recv()
            assert closed.value.sent is not None
            assert closed.value.sent.code == 1009


async def test_websocket_says_why_it_was_turned_away(bench: Bench) -> None:
    bench.site.paths["/busy"] = answer(b"429 Too Many", b"", b"Retry-After: 30")
    with pytest.raises(Failed) as failed:
        await bench.egress.websocket(bench.site.url("/busy", scheme="ws"), max_size=MIB)
    error = failed.value
    assert (error.reason, error.status, error.after, error.host) == ("status", 429, 30.0, "good.test")


async def test_websocket_tries_the_next_address() -> None:
    names = Names(two=[["127.0.0.4", GOOD]])
    async with bench_up(names, allow=[ip_network("127.0.0.0/29")]) as bench, serve(_echo, GOOD, 0) as relay:
        port = next(iter(relay.sockets)).getsockname()[1]
        opened = await bench.egress.websocket(f"ws://two.test:{port}/", max_size=MIB)
        await opened.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cret@good.test/?token=s3cret",
        "http://127.0.0.1/?token=s3cret",
        "http://nobody.test/?token=s3cret",
        "http://good.test:1/?token=s3cret",
        "http://good .test/?token=s3cret",
        "http://good.test:PORT/reject?token=s3cret",
        "http://good.test:PORT/broken?token=s3cret",
        "http://good.test:PORT/away?token=s3cret",
    ],
)
async def test_errors_carry_no_secret(bench: Bench, url: str) -> None:
    bench.site.paths["/reject"] = answer(b"200 OK", b"xx")
    bench.site.paths["/broken"] = answer(b"200 OK", b"nope", b"Content-Encoding: gzip")
    bench.site.paths["/away"] = redirect("https://u:s3cret@good.test/")
    url = url.replace("PORT", str(bench.site.port))
    for call in (
        bench.egress.get(url, limit=1),
        bench.egress.websocket(url.replace("http:", "ws:"), max_size=MIB),
    ):
        with pytest.raises((Refused, Failed)) as caught:
            await call
        error: Any = caught.value
        printed = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
        assert "s3cret" not in printed


async def test_egress_is_what_adapters_are_promised(bench: Bench) -> None:
    http: Http = bench.egress
    assert (await http.get(bench.site.url("/good"))).body == b"good"
    with pytest.raises(EgressRefused, match=r"^address 127\.0\.0\.1$"):
        await http.get("http://127.0.0.1/")
    with pytest.raises(EgressFailed, match=r"^dns nobody\.test$"):
        await http.get("http://nobody.test/")


async def test_a_call_given_up_leaves_nothing_behind(bench: Bench) -> None:
    """Cancelled by its caller, a call is cancelled, not failed, and its connection is free again."""
    arrived = asyncio.Event()

    async def hang(_head: str, _writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    bench.site.paths["/hang"] = hang
    for _ in range(2 * CONNECTIONS_PER_HOST):
        arrived.clear()
        call = asyncio.create_task(bench.egress.get(bench.site.url("/hang")))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await bench.still_good()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("1e9", None),
        ("٣", None),
        ("9" * 5000, 86_400.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_reads_both_forms(value: str, expected: float | None) -> None:
    assert retry_after(value, 60.0) == expected


@given(st.text(max_size=50))
def test_retry_after_raises_nothing(value: str) -> None:
    wait = retry_after(value, 0.0)
    assert wait is None or wait >= 0


def test_egress_is_built_without_a_loop() -> None:
    Egress(user_agent="bridged/test", count=print, tls=ssl.create_default_context())
