"""What surrounds an adapter under test: a log that remembers, and an outside that answers as it is told."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from bridged.adapter import EgressFailed, Response, Sign

Answer = Response | Exception | Callable[[bytes, Mapping[str, str]], Response]


class Log:
    """Remembers what was logged as (level, event, values)."""

    def __init__(self, lines: list[tuple[str, str, dict[str, object]]] | None = None) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = [] if lines is None else lines

    def bind(self, **_: object) -> "Log":
        return Log(self.lines)

    def debug(self, event: str, **values: object) -> None:
        self.lines.append(("debug", event, values))

    def info(self, event: str, **values: object) -> None:
        self.lines.append(("info", event, values))

    def warning(self, event: str, **values: object) -> None:
        self.lines.append(("warning", event, values))

    def error(self, event: str, **values: object) -> None:
        self.lines.append(("error", event, values))

    def exception(self, event: str, **values: object) -> None:
        self.lines.append(("error", event, {**values, "exc_info": sys.exc_info()}))

    def errors(self) -> list[tuple[str, dict[str, object]]]:
        return [(event, values) for level, event, values in self.lines if level == "error"]


class ScriptedHttp:
    """An `Http` without a network: `pages` says what each address answers, `posted` what was sent there.

    An answer is a Response, an exception to raise, or a function of (body, headers). Nothing scripted: a GET
    answers 404, a POST cannot connect.
    """

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.posted: list[tuple[str, bytes, Mapping[str, str]]] = []

    def serve(self, url: str, body: bytes = b"", *, status: int = 200, type: str = "application/json") -> None:
        self.pages[url] = Response(status, url, {"content-type": type}, body)

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 20,
        sign: Sign | None = None,
        redirects: int = 3,
    ) -> Response:
        self.asked.append(url)
        sent = {**(headers or {}), **(sign("GET", url) if sign else {})}
        return _answer(self.pages.get(url, Response(404, url, {}, b"")), b"", sent)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 16,
        sign: Sign | None = None,
    ) -> Response:
        sent = {**(headers or {}), **(sign("POST", url) if sign else {})}
        self.posted.append((url, body, sent))
        return _answer(self.pages.get(url, EgressFailed("nobody there")), body, sent)

    async def websocket(self, url: str, *, max_size: int) -> Any:
        raise EgressFailed("nobody there")


def _answer(answer: Answer, body: bytes, headers: Mapping[str, str]) -> Response:
    if isinstance(answer, Exception):
        raise answer
    return answer if isinstance(answer, Response) else answer(body, headers)
