"""Logs: nothing secret in a line, nothing a terminal would obey, whoever logs."""

import io
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bridged import logs
from bridged.config import Log

HEX = "0123456789abcdef" * 4
NSEC = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nabc=\n-----END PRIVATE KEY-----"


@pytest.fixture
def lines() -> Callable[..., list[Any]]:
    """Sets logging up as `log` says, runs `act`, and gives the lines written, parsed when they are JSON."""

    def written(act: Callable[[], None], form: Any = "json", level: Any = "info") -> list[Any]:
        stream = io.StringIO()
        logs.configure(Log(format=form, level=level), stream)
        act()
        found = stream.getvalue().splitlines()
        return [json.loads(line) for line in found] if form == "json" else found

    return written


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"the key is {NSEC}.", NSEC[5:]),
        (f"THE KEY IS {NSEC.upper()}", NSEC[5:].upper()),
        (f"loaded\n{PEM}\nwell", "MIIEvQ"),
        (PEM[:60], "MIIE"),
        (f"secret_key={HEX}", HEX),
        (f'{{"private_key": "{HEX}"}}', HEX),
        (f"seed: 0x{HEX}", HEX),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("'authorization': 'Nostr eyJpZCI6ImFi'", "eyJpZCI6ImFi"),
        ('keyId="https://x/#key",signature="c2lnbmF0dXJlIGJ5dGVz/w=="', "c2lnbmF0dXJlIGJ5dGVz"),
        (f"Signature: sig1=:{'QUJD' * 20}:", "QUJD" * 20),
        ("postgresql+asyncpg://bridge:hunter2@db/bridged", "hunter2"),
    ],
)
def test_secrets_are_struck_out_of_text(text: str, secret: str) -> None:
    cleaned = logs.redact(text)
    assert secret not in cleaned
    assert logs.GONE in cleaned


@pytest.mark.parametrize(
    "text",
    [
        f"pubkey={HEX}",
        f'"pubkey": "{HEX}"',
        f"event {HEX} from wss://relay.example:7777/x@y",
        "npub1fu64hh9hes90w2808n8tjc2ajp5yhddjef0ctx4s7zmsgp6cwx4qgy4eg9",
        "bad signature: expired",
        "https://alice.example/@bob",
        f"https://bridge.example/objects/red/{HEX}",
    ],
)
def test_what_is_public_stays(text: str) -> None:
    assert logs.redact(text) == text


@given(
    before=st.text(max_size=40),
    after=st.text(max_size=40),
    key=st.text(alphabet="023456789acdefghjklmnpqrstuvwxyz", min_size=58, max_size=58),
)
def test_no_secret_key_survives_in_any_text(before: str, after: str, key: str) -> None:
    # a letter or digit right before would make it part of another word
    text = f"{before} nsec1{key}{after}"
    assert key not in logs.redact(text)


def test_redaction_of_hostile_text_is_quick() -> None:
    import time

    started = time.process_time()
    for piece in ("key", "key=", "a" * 40 + "key:", "-----BEGIN A-----", "://a:", "authorization", "sig=:", "\\"):
        logs.redact(piece * (32_000 // len(piece)))
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", "Basic abc"),
        ("Signature", "keyId=x"),
        ("secret", "hunter2"),
        ("private_key", b"\x01" * 32),
        ("key", HEX),
        ("token", "t0ken"),
        ("nsec", "whatever"),
    ],
)
def test_values_are_struck_out_by_name(lines: Any, name: str, value: Any) -> None:
    (line,) = lines(
        lambda: structlog.get_logger().info("x", **{name: value}, headers={name: value}, many=[{name: value}])
    )
    assert line[name] == logs.GONE
    assert line["headers"][name] == logs.GONE
    assert line["many"][0][name] == logs.GONE


def test_keys_that_are_public_stay(lines: Any) -> None:
    (line,) = lines(lambda: structlog.get_logger().info("x", pubkey=HEX, key_id="https://x/#main-key", keys=3))
    assert (line["pubkey"], line["key_id"], line["keys"]) == (HEX, "https://x/#main-key", 3)


def test_bytes_are_counted_not_shown(lines: Any) -> None:
    (line,) = lines(lambda: structlog.get_logger().info("x", body=b"\x00\x01private"))
    assert line["body"] == "<9 bytes>"


def test_exceptions_are_told_without_secrets_and_without_variables(lines: Any) -> None:
    def act() -> None:
        hidden = "local-variable-value"
        try:
            raise ValueError(f"cannot use {NSEC} and {len(hidden)}")
        except ValueError:
            structlog.get_logger().exception("job_failed", job="x")

    (line,) = lines(act)
    assert line["event"] == "job_failed"
    assert "ValueError: cannot use nsec1" + logs.GONE in line["exception"]
    assert "local-variable-value" not in json.dumps(line)


def test_standard_library_logs_pass_the_same_lock(lines: Any) -> None:
    (line,) = lines(lambda: logging.getLogger("some.library").warning("got %s", NSEC))
    assert line["event"] == f"got nsec1{logs.GONE}"
    assert (line["level"], line["logger"]) == ("warning", "some.library")


@pytest.mark.parametrize("name", ["aiohttp.access", "websockets.client", "sqlalchemy.engine", "alembic.runtime"])
def test_libraries_that_talk_much_are_kept_to_warnings(lines: Any, name: str) -> None:
    def act() -> None:
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble")

    assert [line["event"] for line in lines(act, level="debug")] == ["trouble"]


def test_level_is_kept(lines: Any) -> None:
    def act() -> None:
        log = structlog.get_logger()
        log.info("quiet")
        log.warning("loud")
        logging.getLogger("x").info("quiet")

    assert [line["event"] for line in lines(act, level="warning")] == ["loud"]


def test_json_lines_have_time_and_level(lines: Any) -> None:
    (line,) = lines(lambda: structlog.get_logger().info("ready", listen="x"))
    assert line["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["at"])


def test_nothing_from_outside_reaches_the_terminal_as_a_command(lines: Any) -> None:
    def act() -> None:
        structlog.get_logger().info("x", said="one\ntwo\x1b[2J\u202e\r\x07")
        logging.getLogger("x").warning("three\nfour\x1b[0m")

    found = lines(act, form="console")
    assert len(found) == 2
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", "".join(found))
    assert r"one\ntwo\x1b[2J" in found[0]


def test_long_values_are_cut(lines: Any) -> None:
    (line,) = lines(lambda: structlog.get_logger().info("x", said="a" * 100_000))
    assert len(line["said"]) == logs.MAX_TEXT + 1


def test_endless_nesting_is_cut(lines: Any) -> None:
    deep: list[Any] = []
    deep.append(deep)
    (line,) = lines(lambda: structlog.get_logger().info("x", deep=deep))
    assert "…" in json.dumps(line, ensure_ascii=False)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_auto_is_console_on_a_terminal_and_json_elsewhere() -> None:
    for stream, is_json in ((_Terminal(), False), (io.StringIO(), True)):
        logs.configure(Log(format="auto", level="info"), stream)
        structlog.get_logger().info("hello")
        assert stream.getvalue().startswith("{") is is_json
        assert "hello" in stream.getvalue()
