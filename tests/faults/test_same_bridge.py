"""The daemon does not start where it would break what it said before, says what that is, and changes nothing."""

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from .kit.daemon import Daemon


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """A bridge that ran once."""
    daemon = Daemon(tmp_path_factory.mktemp("lived"))

    async def live() -> int:
        await daemon.start()
        return await daemon.stop()

    assert asyncio.run(live()) == 0
    return daemon


def _domain(daemon: Daemon) -> None:
    daemon.config["domain"] = "localhost:1"


def _base_url(daemon: Daemon) -> None:
    daemon.config["base_url"] = f"https://{daemon.domain}"


def _secret(daemon: Daemon) -> None:
    (daemon.data / "secret.key").write_text("ab" * 32)


def _lost_secret(daemon: Daemon) -> None:
    (daemon.data / "secret.key").unlink()


def _later(daemon: Daemon) -> None:
    _execute(daemon, "UPDATE bridged_version SET version_num = '9999'")


def _later_adapter(daemon: Daemon) -> None:
    _execute(daemon, "UPDATE nostr_version SET version_num = '9999'")


def _execute(daemon: Daemon, sql: str) -> None:
    with closing(sqlite3.connect(daemon.data / "bridged.sqlite3")) as database, database:
        database.execute(sql)


def _state(daemon: Daemon) -> str:
    """All rows of the database."""
    with closing(sqlite3.connect(daemon.data / "bridged.sqlite3")) as database:
        return hashlib.sha256("\n".join(database.iterdump()).encode()).hexdigest()


@pytest.mark.parametrize(
    ("change", "breaks", "mend"),
    [
        (_domain, "every id and handle made so far is under 127.0.0.1:{port} and would break", "Put `domain: "),
        (_base_url, "begins with http://127.0.0.1:{port} and would break", "Put `base_url: http://127.0.0.1:{port}`"),
        (_secret, "made with another secret", "put the old one back"),
        (_lost_secret, "its secret is not at", "put back the one it was made with"),
        (_later, "a later version than", "install it again, or restore a backup from before"),
        (_later_adapter, "a later version than", "install it again, or restore a backup from before"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
async def test_daemon_refuses_what_would_break_and_says_what_to_do(
    lived: Daemon, tmp_path: Path, change: Callable[[Daemon], None], breaks: str, mend: str
) -> None:
    daemon = Daemon(tmp_path, port=lived.port)
    daemon.data.mkdir()
    for name in ("bridged.sqlite3", "secret.key"):
        (daemon.data / name).write_bytes((lived.data / name).read_bytes())
        (daemon.data / name).chmod(0o600)
    change(daemon)
    before = _state(daemon)
    with pytest.raises(RuntimeError, match="bridged ended with 3"):
        await daemon.start()
    last = daemon.log.strip().splitlines()[-1]
    assert last.startswith("bridged: ")
    for words in (breaks, mend):
        assert words.format(port=lived.port) in last
    assert "Traceback" not in daemon.log
    assert _state(daemon) == before
    if change is _lost_secret:
        assert not (daemon.data / "secret.key").exists()
