"""Logging set-up: structlog and the standard library through one handler, secrets struck out as a second lock.

The first lock is that nobody logs a secret. This one is for the day somebody does, or an exception quotes one.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog

from bridged.config import Log

GONE = "[redacted]"
MAX_TEXT = 8192
"""Longest string that goes into a line, in characters; tracebacks may be four times as long."""
MAX_DEPTH = 6
"""How deep values in values are looked through; what lies deeper is left out."""

_TRACES = frozenset({"exception", "stack"})
_SECRET_NAME = re.compile(
    r"(secret|private|privkey|password|passwd|token|cookie|authorization|nsec|seed|mnemonic)", re.IGNORECASE
)
_KEY_NAME = re.compile(r"key", re.IGNORECASE)
_HEX_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]{1,40}-----.*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", re.DOTALL), GONE),
    (re.compile(r"\b(nsec1|ncryptsec1)[02-9ac-hj-np-z]{6,}", re.IGNORECASE), r"\1" + GONE),
    # 64 hex digits after a word that smells of a key, public ones left alone
    (
        re.compile(
            r"\b(?!pub)((?:\w(?!pub)){0,40}?(?:secret|priv|key|seed|token|password)\w{0,20}[\"']?\s{0,3}[:=]\s{0,3}"
            r"b?[\"']?)(?:0x)?[0-9a-f]{64}",
            re.IGNORECASE,
        ),
        r"\1" + GONE,
    ),
    (re.compile(r"\b(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)[^\r\n\"']+", re.IGNORECASE), r"\1" + GONE),
    (re.compile(r"\b(bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), r"\1" + GONE),
    # HTTP signatures: `signature="…"` in one header (cavage), `sig1=:…:` in the other (RFC 9421)
    (re.compile(r"\b(signature=\\?[\"'])[A-Za-z0-9+/=_-]{16,}", re.IGNORECASE), r"\1" + GONE),
    (re.compile(r"\b([\w*.-]{1,60}=:)[A-Za-z0-9+/=]{40,}:"), r"\1" + GONE + ":"),
    # a password in an address
    (re.compile(r"(://[^\s/:@]{0,256}:)[^\s/@]{1,256}@"), r"\1" + GONE + "@"),
)

# What a terminal would obey. Line breaks and tabs stay in tracebacks only.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CONTROL_IN_TRACE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def redact(text: str) -> str:
    """`text` without what looks like a secret: private keys, PEM blocks, credentials, signatures of requests."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def plain(text: str) -> str:
    """`text` as one line that no terminal takes for commands."""
    return _CONTROL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def redaction(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor: every value of the event, by its name and by what it looks like."""
    for name, value in event.items():
        if not name.startswith("_"):
            event[name] = _clean(name, value, 0)
    return event


def _clean(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _is_secret(name, value):
        return GONE
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value).items()
        return {str(k): _clean(str(k), v, depth + 1) for k, v in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(name, v, depth + 1) for v in cast("list[Any]", value)]
    limit = MAX_TEXT * 4 if name in _TRACES else MAX_TEXT
    text = str(value)
    # struck out before it is cut: half a secret is still one
    text = redact(text[: limit * 4])
    if len(text) > limit:
        text = text[:limit] + "…"
    return (_CONTROL_IN_TRACE if name in _TRACES else _CONTROL).sub(_escaped, text)


def _is_secret(name: str, value: Any) -> bool:
    name = name.lower()
    if name in ("signature", "signature-input"):
        return True
    if _SECRET_NAME.search(name) and isinstance(value, str | bytes | bytearray):
        return True
    if not _KEY_NAME.search(name) or "pub" in name:
        return False
    return isinstance(value, bytes | bytearray) or (isinstance(value, str) and bool(_HEX_KEY.fullmatch(value.strip())))


def configure(log: Log, stream: TextIO | None = None) -> None:
    """Sends all logging to `stream` (standard error): one line each, JSON, or console when that suits a terminal."""
    out = stream or sys.stderr
    console = log.format == "console" or (log.format == "auto" and out.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console, key="at"),
    ]
    ending: list[Any] = [
        structlog.processors.StackInfoRenderer(),
        # without the variables of the frames, which may hold keys
        structlog.processors.format_exc_info,
        redaction,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(), timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
        )
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=False)
    )
    level = logging.getLevelNamesMapping()[log.level.upper()]
    structlog.configure(
        processors=[*shared, *ending, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, *ending],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("aiohttp", "asyncio", "websockets", "sqlalchemy", "alembic"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
