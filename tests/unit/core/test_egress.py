"""The one door to the outside: where it does not lead. After every bad case a good one still passes."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from typing import Any

import pytest

from bridged.egress import Egress, Failed, Refused
from tests.unit.core.egress_servers import GOOD, Bench, Names, Site, answer, bench_up, flood, redirect

MIB = 1 << 20


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with bench_up() as made:
        yield made


SPELLINGS = """
127.0.0.1 127.0.0.2 127.1 127.0.1 0x7f.1 0x7f.0.0.1 0x7f000001 0X7F000001 2130706433 0177.0.0.1
017700000001 0177.0x0.0.1 127.0.0.01 127.0.0.1. 127.0.0.2. 00000000177.0.0.1 4294967297 0 0.0.0.0 0x0
127.0.0.1%00.test %31%32%37.0.0.1 １２７.0.0.1 127。0。0。1 ①②⑦.0.0.1 localhost LOCALHOST localhost. ⓛⓞⓒⓐⓛⓗⓞⓢⓣ
[::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:127.0.0.1]
[::ffff:0:127.0.0.1] [::127.0.0.1] [::ffff:0x7f000001] [64:ff9b::127.0.0.1] [2002:7f00:1::]
[2001:0:7f00:1::] [::1%25lo] [::1%lo] [fe80::1%25lo] [::ffff:127.0.0.1%25lo] 10.0.0.1 100.64.0.1
169.254.169.254 172.16.0.1 192.168.0.1 192.0.0.170 198.18.0.1 224.0.0.1 255.255.255.255 [fd00:ec2::254]
[ff02::1] inside.test mixed.test mapped.test zone.test good.test@127.0.0.1 127.0.0.1#@good.test
127.0.0.1\\@good.test 127.0.0.1?@good.test
"""

INSIDE = {
    "inside": [["127.0.0.1"]],
    "mixed": [[GOOD, "127.0.0.1"]],
    "mapped": [["::ffff:127.0.0.1"]],
    "zone": [["::1%lo"]],
}


@pytest.mark.parametrize("host", SPELLINGS.split())
@pytest.mark.parametrize("way", ["get", "post", "websocket"])
async def test_egress_makes_no_connection_inside(host: str, way: str) -> None:
    async with bench_up(Names(**INSIDE)) as bench:
        netloc = host if "@" in host else f"{host}:{bench.canary.port}"
        calls: dict[str, Callable[[], Any]] = {
            "get": lambda: bench.egress.get(f"http://{netloc}/"),
            "post": lambda: bench.egress.post(f"http://{netloc}/", b"x"),
            "websocket": lambda: bench.egress.websocket(f"ws://{netloc}/", max_size=MIB),
        }
        with pytest.raises(Refused) as refused:
            await calls[way]()
        assert refused.value.reason in {"address", "url", "userinfo"}
        assert bench.counted == [refused.value.reason]
        bench.counted.clear()
        await bench.still_good()


async def test_canaries_hear_when_their_network_is_listed() -> None:
    """Without this, no other test here would prove anything."""
    async with bench_up(allow=[ip_network("127.0.0.0/8"), ip_network("::1")]) as bench:
        for way in ("127.0.0.1", "localhost", "[::ffff:127.0.0.2]"):
            response = await bench.egress.get(f"http://{way}:{bench.canary.port}/")
            assert response.body == b"inside"
        with pytest.raises(Failed):
            await bench.egress.websocket(f"ws://127.0.0.1:{bench.canary.port}/", max_size=MIB)
        assert bench.canary.hits == 4


async def test_egress_keeps_to_its_ports_outside_listed_networks() -> None:
    async with bench_up(Names(far=[["1.1.1.1"]], half=[[GOOD, "1.1.1.1"]])) as bench:
        for host in ("1.1.1.1", "[2606:4700::1111]", "far.test", "half.test"):
            assert await bench.refused(f"http://{host}:22/") == "port"
            with pytest.raises(Refused, match="port"):
                await bench.egress.websocket(f"ws://{host}:22/", max_size=MIB)
            assert bench.counted.pop() == "port"
        assert await bench.refused(f"http://{GOOD}:0/") == "port"


@pytest.mark.parametrize("status", [b"301 M", b"302 F", b"303 S", b"307 T", b"308 P"])
async def test_get_refuses_redirects_to_the_inside(bench: Bench, status: bytes) -> None:
    for host in ("127.0.0.1", "[::1]", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"):
        bench.site.paths["/in"] = redirect(f"http://{host}:{bench.canary.port}/", status)
        assert await bench.refused(bench.site.url("/in")) == "address"


async def test_get_follows_three_redirects_and_no_fourth(bench: Bench) -> None:
    for hop in range(3):
        bench.site.paths[f"/{hop}"] = redirect(f"/{hop + 1}?q")
    bench.site.paths["/3"] = answer(b"200 OK", b"there")
    response = await bench.egress.get(bench.site.url("/0#fragment"))
    assert (response.body, response.url) == (b"there", bench.site.url("/3?q"))

    bench.site.paths["/4"] = redirect("/0")
    assert await bench.refused(bench.site.url("/4")) == "redirects"
    bench.site.paths["/loop"] = redirect("/loop")
    bench.site.heads.clear()
    assert await bench.refused(bench.site.url("/loop")) == "redirects"
    assert sum("/loop" in head for head in bench.site.heads) == 4


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("ftp://good.test/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("ws://good.test/", "scheme"),
        ("http://u:p@good.test/", "userinfo"),
        ("http://good.test:99999/", "url"),
    ],
)
async def test_get_refuses_redirects_elsewhere(bench: Bench, location: str, reason: str) -> None:
    bench.site.paths["/off"] = redirect(location)
    assert await bench.refused(bench.site.url("/off")) == reason


async def test_get_returns_a_redirect_that_names_nothing(bench: Bench) -> None:
    bench.site.paths["/odd"] = answer(b"302 Found", b"hm")
    assert (await bench.egress.get(bench.site.url("/odd"))).status == 302


async def test_post_and_websocket_follow_no_redirect(bench: Bench) -> None:
    bench.site.paths["/there"] = redirect("/good", b"307 T")
    response = await bench.egress.post(bench.site.url("/there"), b"x")
    assert (response.status, response.headers["location"]) == (307, "/good")
    assert len(bench.site.heads) == 1
    for location in (f"ws://127.0.0.1:{bench.canary.port}/", "/good", bench.site.url("/good")):
        bench.site.paths["/there"] = redirect(location)
        with pytest.raises(Refused, match="redirects"):
            await bench.egress.websocket(bench.site.url("/there", scheme="ws"), max_size=MIB)
        assert bench.counted.pop() == "redirects"
        await bench.still_good()


async def test_names_that_change_their_mind_reach_nothing(bench: Bench) -> None:
    """Each connection is judged by the answer it uses, the second hop to the same name included."""
    bench.names.names["turn.test"] = [[GOOD], ["127.0.0.1"], [GOOD], ["127.0.0.1"]]
    again = f"http://turn.test:{bench.site.port}/good"
    bench.site.paths["/again"] = redirect(again)
    assert await bench.refused(bench.site.url("/again", "turn.test")) == "address"
    assert (await bench.egress.get(again)).body == b"good"
    assert await bench.refused(again) == "address"


async def test_sockets_are_refused_even_past_the_resolver(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last wall stands alone: here the check of names is taken away."""
    monkeypatch.setattr(bench.egress, "_lookup", bench.names)
    bench.names.names["inside.test"] = [["127.0.0.1"]]
    with pytest.raises(Refused, match="address"):
        await bench.egress.websocket(f"ws://inside.test:{bench.canary.port}/", max_size=MIB)
    assert bench.counted.pop() == "address"
    assert await bench.refused(f"http://inside.test:{bench.canary.port}/") == "address"
    bench.names.names["inside.test"] = [["127.0.0.1", "127.0.0.2", "::1"]]
    # Racing several addresses, aiohttp loses the reason; what counts is that none was reached.
    with pytest.raises((Refused, IndexError)):
        await bench.egress.get(f"http://inside.test:{bench.canary.port}/")
    await bench.still_good()


async def test_get_signs_every_hop_and_keeps_secrets_at_their_origin(bench: Bench) -> None:
    signed: list[tuple[str, str]] = []

    def sign(method: str, url: str) -> dict[str, str]:
        signed.append((method, url))
        return {"Signature": f"for {url}", "Date": "today"}

    async with Site() as other:
        other.paths["/c"] = answer(b"200 OK", b"c")
        bench.site.paths["/a"] = redirect("/b")
        bench.site.paths["/b"] = redirect(other.url("/c"))
        headers = {"Accept": "text/plain", "authorization": "Bearer x", "Cookie": "y", "date": "never"}
        response = await bench.egress.get(bench.site.url("/a"), headers=headers, sign=sign)
    urls = [bench.site.url("/a"), bench.site.url("/b"), other.url("/c")]
    assert response.url == urls[2]
    assert signed == [("GET", url) for url in urls]
    heads = [*bench.site.heads, *other.heads]
    for url, head in zip(urls, heads, strict=True):
        assert f"Signature: for {url}\r\n" in head
        assert "Date: today\r\n" in head
        assert "never" not in head
        assert "Accept: text/plain\r\n" in head
        assert "User-Agent: bridged/test\r\n" in head
    assert ["Bearer x" in head and "Cookie: y" in head for head in heads] == [True, True, False]
    assert "Bearer" not in heads[2]
    assert "Cookie" not in heads[2]


async def test_post_sends_the_body_once_signed(bench: Bench) -> None:
    taken: list[bytes] = []

    async def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await _reader.readuntil(b"\r\n\r\n")
        taken.append(head + await _reader.readexactly(5))
        writer.write(b"HTTP/1.1 202 Accepted\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    async with await asyncio.start_server(take, GOOD, 0) as server:
        port = server.sockets[0].getsockname()[1]
        response = await bench.egress.post(
            f"http://good.test:{port}/inbox?a=b",
            b"hello",
            headers={"Content-Type": "application/activity+json", "Host": "elsewhere"},
            sign=lambda method, url: {"Signature": f"{method} {url}"},
        )
    assert (response.status, response.body, response.headers["x-a"]) == (202, b"ok", "1, 2")
    assert taken[0].startswith(b"POST /inbox?a=b HTTP/1.1\r\n")
    assert b"Host: good.test:%d\r\n" % port in taken[0]
    assert b"elsewhere" not in taken[0]
    assert b"Signature: POST http://good.test:%d/inbox?a=b\r\n" % port in taken[0]
    assert taken[0].endswith(b"hello")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
STALLING = {
    "body a byte at a time": flood(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", 0.02),
    "chunks of one byte": flood(CHUNKED, b"1\r\nx\r\n", 0.02),
    "headers without end": flood(b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n", 0.02),
    "one header without end": flood(b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.02),
    "continues without end": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
    "nothing": flood(b"", b"", 0.02),
}
FLOODING = {
    "headers without end": flood(b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 1000),
    "one header without end": flood(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 10000),
    "a status line without end": flood(b"HTTP/1.1 200 ", b"y" * 10000),
    "a chunk extension without end": flood(CHUNKED + b"1;", b"y" * 10000),
    "trailers without end": flood(CHUNKED + b"0\r\n", b"X-Y: z\r\n" * 1000),
    "continues without end": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "chunks without end": flood(CHUNKED, b"1\r\nx\r\n" * 1000),
    "a body without end": flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10000),
}


@pytest.mark.parametrize("case", STALLING)
async def test_slow_answers_are_cut_in_time(case: str) -> None:
    async with bench_up(timeout=0.4) as bench:
        bench.site.paths["/slow"] = STALLING[case]
        started = time.monotonic()
        for scheme in ("http", "ws"):
            url = bench.site.url("/slow?secret=1", scheme=scheme)
            with pytest.raises(Failed) as failed:
                await (bench.egress.get(url) if scheme == "http" else _open(bench.egress, url))
            assert failed.value.host == "good.test"
            expected = {"timeout", "protocol", "status"} if scheme == "ws" else {"timeout"}
            assert failed.value.reason in expected
        assert time.monotonic() - started < 10
        await bench.still_good()


async def _open(egress: Egress, url: str) -> None:
    await (await egress.websocket(url, max_size=MIB)).close()


@pytest.mark.parametrize("case", FLOODING)
async def test_endless_answers_are_cut_in_space(case: str) -> None:
    async with bench_up(timeout=1.5) as bench:
        bench.site.paths["/flood"] = FLOODING[case]
        tracemalloc.start()
        try:
            reason = await bench.failed(bench.site.url("/flood"), limit=MIB)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert reason in {"protocol", "too_large", "timeout"}
        assert peak < 16 * MIB
