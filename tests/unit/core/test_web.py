"""The web server of the core: front page, probes, metrics, and what holds for every route."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from bridged import config
from bridged.adapter import Busy, Envelope
from bridged.core import Core
from bridged.daemon import opened
from bridged.keys import KeyRing
from bridged.model import HOME, Ref
from bridged.registry import BadAdapter
from bridged.store import inboxes
from bridged.store.signals import Signals
from bridged.web import app as webapp
from tests.unit.core import toynet

CONFIG = """
domain: bridge.example
trusted_proxies: {trusted}
bot: {{name: "<Bridge> & co"}}
consent: {{alpha: open, beta: listed}}
adapters: {{alpha: {{}}, beta: {{}}}}
"""

Client = TestClient[web.Request, web.Application]
TOYS = (toynet.Alpha, toynet.Beta)


class Stand:
    """A core without stations, and a client at its door."""

    client: Client

    def __init__(self, core: Core) -> None:
        self.core, self.ready = core, True

    async def get(self, path: str, **headers: str) -> tuple[int, str, Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.get(path, headers=sent) as answer:
            return answer.status, await answer.text(), answer.headers


Open = Callable[..., Awaitable[Stand]]


class Away:
    """A store whose database cannot be had."""

    signals = Signals()

    async def read(self, _unit: object) -> None:
        raise Busy("database: connection to 10.1.2.3 refused")


@pytest.fixture
async def open_stand(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a server: `await open_stand("[…]", extra=[routes of alpha], database=True)`."""
    async with AsyncExitStack() as stack:

        async def make(
            trusted: str = "[127.0.0.1/32]", *, extra: list[web.RouteDef] | None = None, database: bool = False
        ) -> Stand:
            file = tmp_path / "bridge.yaml"
            file.write_text(CONFIG.format(trusted=trusted))
            settings = config.load(file, {})
            if database:
                core = (await stack.enter_async_context(opened(settings, {}, mint=True))).core
            else:
                core = Core(settings, cast(Any, Away()), KeyRing(b"x" * 32))
                core.adapters = cast(Any, {toy.network: toy(toynet.Config(), cast(Any, None)) for toy in TOYS})
            if extra:
                alpha: Any = core.adapters["alpha"]
                routes = [*alpha.routes(), *extra]
                alpha.routes = lambda: routes
            stand = Stand(core)
            app = webapp.build(core, lambda: stand.ready)
            stand.client = await stack.enter_async_context(TestClient(TestServer(app)))
            return stand

        yield make


@pytest.fixture
async def stand(open_stand: Open) -> Stand:
    return await open_stand()


@pytest.fixture
async def whole(open_stand: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """With a database, and the bridge's own account on every network."""
    for folder in toynet.install(tmp_path / "toys"):
        monkeypatch.syspath_prepend(folder)
    return await open_stand(database=True)


# --- the front page ---


class _Page(HTMLParser):
    VOID = ("meta", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data


async def test_front_page_says_who_where_and_how(whole: Stand) -> None:
    status, text, headers = await whole.get("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = _Page(text)
    assert page.open == []
    assert {"html", "title", "header", "main", "h1", "h2", "footer"} <= set(page.seen)
    assert not {"script", "form", "img", "a"} & set(page.seen)
    assert "bridge.example is a bridge between alpha and beta" in page.words
    assert "On alpha, shout <name> & wait." in page.words
    assert "name_at_host@bridge.example" in page.words
    assert "bridge_ghost@bridge.example" in page.words
    assert "beta://ghost-bot" in page.words
    words = re.sub(r"\s+", " ", page.words)
    assert "alpha Everybody whom someone on another network follows." in words
    assert "beta Only accounts that the operator of this bridge listed." in words


async def test_front_page_escapes_what_it_is_given(whole: Stand) -> None:
    _, text, _ = await whole.get("/")
    assert "&lt;Bridge&gt; &amp; co" in text
    assert "<Bridge>" not in text


async def test_front_page_policy_allows_its_own_style_only(whole: Stand) -> None:
    _, text, headers = await whole.get("/")
    style = re.search(r"<style>(.*)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}';" in headers["Content-Security-Policy"]


# --- health ---


async def test_healthz_lives_whatever_the_rest_does(stand: Stand) -> None:
    stand.ready = False
    status, text, _ = await stand.get("/healthz")
    assert (status, text) == (200, "ok")


async def test_readyz_follows_the_daemon(whole: Stand) -> None:
    async with whole.client.get("/readyz") as answer:
        assert (answer.status, await answer.json()) == (200, {"ready": True, "reason": ""})
    whole.ready = False
    async with whole.client.get("/readyz") as answer:
        assert (answer.status, await answer.json()) == (503, {"ready": False, "reason": "starting or stopping"})


async def test_readyz_fails_without_details_when_the_database_is_away(stand: Stand) -> None:
    status, text, _ = await stand.get("/readyz")
    assert status == 503
    assert "the database does not answer" in text
    assert "10.1.2.3" not in text


async def test_readyz_does_not_wait_for_a_database_that_hangs(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(_unit: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(stand.core.store, "read", hangs)
    monkeypatch.setattr("bridged.web.health.PATIENCE", 0.05)
    status, _, _ = await stand.get("/readyz")
    assert status == 503


# --- metrics ---


async def test_metrics_show_what_waits(whole: Stand) -> None:
    now = whole.core.now()
    envelope = Envelope(HOME, "x", b"", "chore", Ref(HOME, "x"), now)
    await whole.core.store.write(lambda tx: inboxes.add(tx, envelope))
    whole.core.metrics.refused.labels("alpha", "bad-signature").inc()
    status, text, headers = await whole.get("/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "bridged_inbox_depth 1.0" in text
    assert 'bridged_queue_depth{network="beta"} 0.0' in text
    assert 'bridged_refused_total{network="alpha",reason="bad-signature"} 1.0' in text


async def test_metrics_are_served_when_the_database_is_away(stand: Stand) -> None:
    status, text, _ = await stand.get("/metrics")
    assert status == 200
    assert "bridged_received_total" in text


@pytest.mark.parametrize(
    ("trusted", "headers", "status"),
    [
        ("[127.0.0.1/32]", {}, 200),
        ("[127.0.0.1/32]", {"X_Forwarded_For": "10.1.2.3"}, 200),
        ("[127.0.0.1/32]", {"X_Forwarded_For": "fd00::7"}, 200),
        ("[127.0.0.1/32]", {"X_Forwarded_For": "198.51.100.7"}, 403),
        ("[127.0.0.1/32]", {"X_Forwarded_For": "127.0.0.1, 198.51.100.7"}, 403),
        ("[127.0.0.1/32]", {"X_Forwarded_For": "unknown"}, 403),
        # proxies nobody told us about: their word counts for nothing, and neither does their address
        ("[]", {"X_Forwarded_For": "10.1.2.3"}, 403),
        ("[]", {"Forwarded": "for=10.1.2.3"}, 403),
        ("[]", {"Via": "1.1 proxy"}, 403),
        ("[]", {}, 200),
    ],
)
async def test_metrics_are_for_the_inside(open_stand: Open, trusted: str, headers: dict[str, str], status: int) -> None:
    stand = await open_stand(trusted)
    assert (await stand.get("/metrics", **headers))[0] == status


# --- behind proxies ---


@pytest.mark.parametrize(
    ("trusted", "forwarded", "client"),
    [
        ("[127.0.0.1/32]", None, "127.0.0.1"),
        ("[127.0.0.1/32]", "203.0.113.9", "203.0.113.9"),
        # what the client itself claimed stands before what the proxy saw
        ("[127.0.0.1/32]", "10.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("[127.0.0.1/32, 192.0.2.0/24]", "203.0.113.9, 192.0.2.4", "203.0.113.9"),
        ("[127.0.0.1/32, 192.0.2.0/24]", "10.0.0.1,203.0.113.9,192.0.2.4", "203.0.113.9"),
        ("[127.0.0.1/32]", "2001:db8::9", "2001:db8::9"),
        ("[127.0.0.1/32]", "[2001:db8::9]:4711", "2001:db8::9"),
        ("[127.0.0.1/32]", "203.0.113.9:4711", "203.0.113.9"),
        ("[127.0.0.1/32]", "::ffff:203.0.113.9", "203.0.113.9"),
        ("[127.0.0.1/32]", "203.0.113.9, nonsense", ""),
        ("[]", "203.0.113.9", "127.0.0.1"),
        ("[10.0.0.0/8]", "203.0.113.9", "127.0.0.1"),
    ],
)
async def test_client_is_who_the_trusted_proxies_saw(
    open_stand: Open, trusted: str, forwarded: str | None, client: str
) -> None:
    stand = await open_stand(trusted)
    headers = {} if forwarded is None else {"X_Forwarded_For": forwarded}
    _, text, _ = await stand.get("/alpha/me", **headers)
    assert text == f"{client} http"


@pytest.mark.parametrize(
    ("trusted", "said", "scheme"),
    [
        ("[127.0.0.1/32]", "https", "https"),
        ("[127.0.0.1/32]", "http, https", "https"),
        ("[127.0.0.1/32]", "gopher", "http"),
        ("[]", "https", "http"),
    ],
)
async def test_scheme_is_believed_of_trusted_proxies(open_stand: Open, trusted: str, said: str, scheme: str) -> None:
    stand = await open_stand(trusted)
    _, text, _ = await stand.get("/alpha/me", X_Forwarded_Proto=said)
    assert text.endswith(f" {scheme}")


# --- what holds for every route ---


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/alpha/me", "/nothing/here"])
async def test_every_answer_is_secured(stand: Stand, path: str) -> None:
    _, _, headers = await stand.get(path)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "aiohttp" not in headers["Server"].lower()


async def _breaks(_request: web.Request) -> web.Response:
    raise RuntimeError("password hunter2 in row 7")


async def _is_busy(_request: web.Request) -> web.Response:
    raise Busy("the disk is slow", after=2.5)


async def _breaks_half_way(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "10"})
    await answer.prepare(request)
    await answer.write(b"half")
    raise RuntimeError("and then it broke")


async def _echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(f"hello {request.remote}")
    await socket.close()
    return socket


EXTRA = [
    web.get("/breaks", _breaks),
    web.get("/busy", _is_busy),
    web.get("/half", _breaks_half_way),
    web.get("/socket", _echo),
]


async def test_unexpected_error_is_logged_once_and_not_told(open_stand: Open) -> None:
    stand = await open_stand(extra=EXTRA)
    with capture_logs() as logged:
        status, text, headers = await stand.get("/breaks?token=abc", X_Forwarded_For="203.0.113.9")
    assert status == 500
    assert "hunter2" not in text
    assert "RuntimeError" not in text
    assert headers["X-Content-Type-Options"] == "nosniff"
    (line,) = [entry for entry in logged if entry["log_level"] == "error"]
    assert {**line, "ms": 0} == {
        "event": "request_failed",
        "log_level": "error",
        "exc_info": True,
        "method": "GET",
        "path": "/breaks",
        "status": 500,
        "client": "203.0.113.9",
        "ms": 0,
    }


async def test_busy_store_asks_to_come_back(open_stand: Open) -> None:
    stand = await open_stand(extra=EXTRA)
    status, text, headers = await stand.get("/busy")
    assert (status, headers["Retry-After"]) == (503, "3")
    assert "disk" not in text


async def test_answer_that_breaks_half_way_is_cut_not_continued(open_stand: Open) -> None:
    stand = await open_stand(extra=EXTRA)
    reader, writer = await asyncio.open_connection(stand.client.host, stand.client.port)
    writer.write(b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
    got = b""
    try:
        async with asyncio.timeout(60):
            while chunk := await reader.read(1000):
                got += chunk
    except ConnectionResetError:
        pass
    writer.close()
    assert got.count(b"HTTP/1.1") == 1
    assert b"Something went wrong" not in got


async def test_websockets_pass_and_know_their_client(open_stand: Open) -> None:
    stand = await open_stand(extra=EXTRA)
    async with stand.client.ws_connect("/socket", headers={"X-Forwarded-For": "203.0.113.9"}) as socket:
        assert await socket.receive_str() == "hello 203.0.113.9"


async def test_bodies_above_one_mebibyte_are_refused(stand: Stand) -> None:
    async with stand.client.post("/alpha/posts", data=b"x" * ((1 << 20) + 1)) as answer:
        assert answer.status == 413


async def test_unknown_path_is_404_and_logged_at_debug_only(stand: Stand) -> None:
    with capture_logs() as logged:
        status, _, _ = await stand.get("/nothing")
    assert status == 404
    assert [entry["log_level"] for entry in logged] == ["debug"]


@pytest.mark.parametrize(
    "route",
    [
        web.get("/beta/me", _breaks),
        web.head("/beta/me", _breaks),
        web.post("/beta/posts", _breaks),
        web.route("*", "/beta/me", _breaks),
        web.get("/healthz", _breaks),
        web.get("/", _breaks),
    ],
)
async def test_routes_that_clash_are_refused(open_stand: Open, route: web.RouteDef) -> None:
    with pytest.raises(BadAdapter, match="both serve"):
        await open_stand(extra=[route])


async def test_parameter_names_do_not_hide_a_clash(open_stand: Open) -> None:
    stand = await open_stand(extra=[web.get("/users/{name}/x{n:[0-9]{2}}", _breaks)])
    beta: Any = stand.core.adapters["beta"]
    beta.routes = lambda: [web.get("/users/{who}/x{m:[0-9]{2}}", _breaks)]
    with pytest.raises(BadAdapter, match="'alpha' and 'beta' both serve GET /users/"):
        webapp.build(stand.core, lambda: True)
    beta.routes = lambda: [web.get("/users/{who}/y", _breaks), web.post("/users/{who}/x{m:[0-9]{2}}", _breaks)]
    assert webapp.build(stand.core, lambda: True)


async def test_route_for_any_path_leaves_what_another_adapter_names(open_stand: Open) -> None:
    """Whole, in part, or only how it begins; whoever of them is asked first."""
    stand = await open_stand(extra=[web.get("/{text:.+}", _breaks)])
    beta: Any = stand.core.adapters["beta"]
    mine = ["/named", "/{did:did:plc:[^/]+}", "/{did:did:plc:[^/]+}/log"]
    beta.routes = lambda: [web.get(path, _breaks) for path in mine]
    paths = [resource.canonical for resource in webapp.build(stand.core, lambda: True).router.resources()]
    assert paths.index("/{text}") > max(paths.index(path) for path in ("/named", "/{did}", "/{did}/log"))
