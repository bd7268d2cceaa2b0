"""The one door to the outside: every HTTP request and websocket of the bridge goes through `Egress`.

What it promises its callers:
- A socket is only made for an address that `guard.py` has judged, at the moment it is made: `Egress._socket`
  makes them all, for HTTP and websockets. IP literals, redirects and names that change their mind end there
  too. A name is refused as a whole when one of its addresses is.
- Proxies and `.netrc` of the environment are not looked at, cookies not kept, redirects followed by hand.
- One call takes at most `timeout` seconds from first to last, and keeps at most `limit` bytes of body,
  counted after decompression.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from yarl import URL

from bridged.adapter import EgressFailed, EgressRefused, Response, Sign, retry_after
from bridged.guard import (
    HTTP_SCHEMES,
    WEBSOCKET_SCHEMES,
    Forbidden,
    Guard,
    Network,
    check_redirect,
    check_url,
    is_address,
)
from bridged.websocket import Websocket

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(name, port) -> its addresses. Raises OSError when there are none to be had."""

_AddrInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""One row of `getaddrinfo`."""

MAX_REDIRECTS = 3
CONNECTIONS_PER_HOST = 4
CONNECTIONS = 400
"""All HTTP connections together: many hosts that hang must not keep the others waiting."""

REST = 2.0
"""Seconds that the body of the answer to a POST is waited for."""

_DNS_THREADS = 32
_DIALS = 3
"""Addresses tried, one after the other, for a websocket."""
_GOODBYE = 2.0
"""Seconds the other side has to answer the end of a websocket."""
_PING, _PONG = 20.0, 20.0
"""Seconds between the pings of a websocket, and until one is answered: who is gone without a word is noticed then."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OF_ONE_HOST = frozenset({"host"})
_OF_ONE_ORIGIN = frozenset({"host", "authorization", "cookie", "proxy-authorization"})


class Refused(EgressRefused):
    """The guard said no; `reason` and `host` as in `guard.Forbidden`. Final."""

    def __init__(self, reason: str, host: str) -> None:
        super().__init__(f"{reason} {host}".rstrip())
        self.reason, self.host = reason, host


class Failed(EgressFailed):
    """The other side could not be used this time; a later try may go well.

    `reason` is one of dns, connect, tls, timeout, too_large, protocol, status (a websocket handshake answered
    with the HTTP `status`). `after` is how many seconds the other side asked us to wait, if it did.
    """

    def __init__(self, reason: str, host: str, *, status: int | None = None, after: float | None = None) -> None:
        super().__init__(f"{reason} {host}".rstrip(), after)
        self.reason, self.host, self.status = reason, host, status


class Egress:
    """A guarded HTTP and websocket client. Built without I/O; used on one event loop; `close` ends it.

    allow       networks let through beside the public internet, on any port
    ports       ports open on the public internet
    user_agent  sent with everything
    count       called with the reason of every refusal
    tls         context for https and wss; by default the system's certificate authorities
    timeout     seconds a call may take in all, waiting for a free connection included
    resolve     how names are looked up; by default the system's resolver, in threads of its own
    """

    def __init__(
        self,
        *,
        user_agent: str,
        count: Callable[[str], None],
        allow: Sequence[Network] = (),
        ports: Collection[int] = (80, 443),
        tls: ssl.SSLContext | None = None,
        timeout: float = 10.0,
        resolve: Resolve | None = None,
    ) -> None:
        self._guard = Guard(tuple(allow), frozenset(ports))
        self._user_agent = user_agent
        self._count = count
        self._tls = tls or _default_tls()
        self._timeout = timeout
        self._resolve = resolve or self._ask_system
        # Slow name servers are a stranger's to have: they must not hold the threads others work in.
        self._dns = ThreadPoolExecutor(_DNS_THREADS, thread_name_prefix="egress-dns")
        self._opened: aiohttp.ClientSession | None = None

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 20,
        sign: Sign | None = None,
        redirects: int = MAX_REDIRECTS,
    ) -> Response:
        """GET `url`, following at most `redirects` of them; `Response.url` is where the answer came from.

        `sign` is called for every hop, with the method and the URL as sent. Headers that belong to one origin
        (Authorization, Cookie) do not follow to another. Every status is returned, not raised. A body above
        `limit` raises Failed (too_large) when the status is 2xx, and is cut there otherwise.
        Raises Refused, Failed.
        """
        async with self._bounded(url):
            target = check_url(url, HTTP_SCHEMES)
            static = _without(headers or {}, _OF_ONE_HOST)
            for _ in range(redirects + 1):
                async with self._exchange("GET", target, static, sign) as answer:
                    location = answer.headers.get("Location")
                    if answer.status not in _REDIRECTS or location is None:
                        return await (self._whole if 200 <= answer.status < 300 else self._begun)(answer, limit)
                source, target = target, check_redirect(target, location)
                if source.origin() != target.origin():
                    static = _without(static, _OF_ONE_ORIGIN)
            raise Forbidden("redirects", target.raw_host or "")

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 16,
        sign: Sign | None = None,
    ) -> Response:
        """POST `body` to `url`, once: redirects are returned as they are.

        The status says what became of it: the answer's body is cut at `limit`, after REST seconds, or where it breaks.
        Raises Refused, Failed (the other side may have taken the body all the same).
        """
        async with self._bounded(url):
            target = check_url(url, HTTP_SCHEMES)
            static = _without(headers or {}, _OF_ONE_HOST)
            async with self._exchange("POST", target, static, sign, body) as answer:
                return await self._begun(answer, limit)

    async def websocket(self, url: str, *, max_size: int, headers: Mapping[str, str] | None = None) -> ClientConnection:
        """Open a websocket whose messages have at most `max_size` bytes. No redirects, no compression.

        The caller closes it; the time limit is on opening. Raises Refused, Failed.
        """
        async with self._bounded(url):
            target = check_url(url, WEBSOCKET_SCHEMES)
            host = target.raw_host or ""
            with _failures(host):
                options: dict[str, Any] = {"sock": await self._dial(host, target.port or 0)}
                if target.scheme == "wss":
                    options |= {"ssl": self._tls, "server_hostname": host.rstrip(".")}
                opened = await _Connect(
                    str(target),
                    create_connection=Websocket,
                    additional_headers=_without(headers or {}, _OF_ONE_HOST),
                    user_agent_header=self._user_agent,
                    max_size=max_size,
                    compression=None,
                    proxy=None,
                    open_timeout=None,
                    ping_interval=_PING,
                    ping_timeout=_PONG,
                    close_timeout=_GOODBYE,
                    **options,
                )
                assert isinstance(opened, Websocket)
                opened.on_flood = lambda: self._count("flood")
                return opened

    async def close(self) -> None:
        """Close all HTTP connections. Open websockets stay their owners'."""
        if self._opened is not None:
            await self._opened.close()
        self._dns.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def _bounded(self, url: str) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except Forbidden as no:
            self._count(no.reason)
            raise Refused(no.reason, no.host) from None
        except TimeoutError:
            raise Failed("timeout", _host(url)) from None

    @asynccontextmanager
    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], sign: Sign | None, body: bytes | None = None
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        signed: Mapping[str, str] = sign(method, str(url)) if sign is not None else {}
        sent = _without(headers, frozenset(name.lower() for name in signed)) | dict(signed)
        with _failures(url.raw_host or ""):
            async with self._session().request(method, url, headers=sent, data=body, allow_redirects=False) as answer:
                yield answer

    async def _whole(self, answer: aiohttp.ClientResponse, limit: int) -> Response:
        """A body above `limit` is an error."""
        host = answer.url.raw_host or ""
        if answer.content_length is not None and answer.content_length > limit:
            raise Failed("too_large", host)
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise Failed("too_large", host)
        return Response(answer.status, str(answer.url), _lowered(answer.headers), bytes(body))

    async def _begun(self, answer: aiohttp.ClientResponse, limit: int) -> Response:
        """As much of the body as comes soon."""
        body = bytearray()
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(REST):
                async for chunk in answer.content.iter_any():
                    body += chunk[: limit - len(body)]
                    if len(body) >= limit:
                        break
        return Response(answer.status, str(answer.url), _lowered(answer.headers), bytes(body))

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            connector = aiohttp.TCPConnector(
                socket_factory=self._socket,
                resolver=_Resolver(self._lookup),
                # A cached answer would be shared by calls that may each be refused for reasons of their own.
                use_dns_cache=False,
                ssl=self._tls,
                limit=CONNECTIONS,
                limit_per_host=CONNECTIONS_PER_HOST,
            )
            self._opened = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent, "Accept-Encoding": "gzip, deflate"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                trust_env=False,
            )
        return self._opened

    def _socket(self, info: _AddrInfo) -> socket.socket:
        """A socket for `info`, if the guard lets it be: the last word before anything is sent."""
        family, kind, protocol, _, sockaddr = info
        address = str(sockaddr[0])
        self._guard.check(address, int(sockaddr[1]), address)
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    async def _lookup(self, host: str, port: int) -> Sequence[str]:
        """All addresses of a name. One that is refused condemns the rest: an honest name has no such."""
        addresses = await self._resolve(host, port)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no addresses")
        for address in addresses:
            self._guard.check(address, port, host)
        return addresses

    async def _ask_system(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._dns, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return list(dict.fromkeys(str(info[4][0]) for info in found))

    async def _dial(self, host: str, port: int) -> socket.socket:
        """A connected socket. Raises OSError, Forbidden, Failed (dns)."""
        try:
            addresses = [host] if is_address(host) else await self._lookup(host, port)
        except OSError:
            raise Failed("dns", host) from None
        failed: OSError | None = None
        for address in addresses[:_DIALS]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = self._socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)))
            try:
                async with asyncio.timeout(self._timeout / _DIALS):
                    await asyncio.get_running_loop().sock_connect(sock, (address, port))
            except OSError as error:
                sock.close()
                failed = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failed or OSError("no address")


class _Resolver(AbstractResolver):
    """Hands aiohttp addresses that were looked up and judged by us."""

    def __init__(self, lookup: Resolve) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await self._lookup(host, port)
        ]

    async def close(self) -> None:
        """The threads behind it belong to Egress."""


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception:
        """A redirect is an answer like any other that is not 101."""
        return exc


@contextmanager
def _failures(host: str) -> Generator[None]:
    """Turns the libraries' errors into ours. Their own messages quote whole URLs, so they are let go of."""
    try:
        yield
    except InvalidStatus as error:
        status = error.response.status_code
        if 300 <= status < 400:
            raise Forbidden("redirects", host) from None
        wait = retry_after(error.response.headers.get("Retry-After", ""), time.time())
        raise Failed("status", host, status=status, after=wait) from None
    except aiohttp.InvalidURL:
        raise Forbidden("url", host) from None
    except aiohttp.ClientConnectorDNSError:
        raise Failed("dns", host) from None
    except (aiohttp.ClientSSLError, ssl.SSLError):
        raise Failed("tls", host) from None
    except (aiohttp.ClientConnectionError, OSError):
        raise Failed("connect", host) from None
    except (aiohttp.ClientError, WebSocketException):
        raise Failed("protocol", host) from None


def _default_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _host(url: str) -> str:
    try:
        return URL(url).raw_host or ""
    except ValueError:
        return ""


def _without(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in names}


def _lowered(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Lower-case names; repeated fields joined (RFC 9110 §5.3)."""
    joined: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined
