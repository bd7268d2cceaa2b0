"""`bridged dead` and `bridged retry`: what they say, and that a wrong question is answered by what would be right."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridged import cli, config
from bridged.adapter import Part
from bridged.cli.undelivered import meaning
from bridged.daemon import opened
from bridged.model import Account, Ref
from bridged.store import acts, hosts, identity, queue
from bridged.store.engine import Tx
from tests.ports import free_port
from tests.unit.core import toynet
from tests.unit.core.test_cli import CONFIG

AMY, ANN = Ref("alpha", "amy"), Ref("alpha", "ann")
Bridged = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in toynet.install(tmp_path):
        monkeypatch.syspath_prepend(folder)
    path = tmp_path / "bridge.yaml"
    path.write_text(CONFIG.format(port=free_port(), down="false"))
    asyncio.run(_fill(path))
    return path


async def _fill(file: Path) -> None:
    """Two letters of amy refused a day ago, one of ann just now, and a host that is down."""
    now = time.time()

    def letter(tx: Tx, number: int, actor: Ref, endpoint: str, why: str, at: float) -> None:
        part = Part(Ref("alpha", f"post{number}"), Ref("beta", f"copy{number}"), b"x", b"x", (endpoint,))
        copy, _ = acts.add_copy(tx, part, "beta", actor, "Post", at)
        queue.enqueue(tx, "beta", [endpoint], actor, copy, "Post", b"x", (), 0.0, at)
        (lane,) = [lane for lane in queue.claim(tx, at, 10, ()) if lane.endpoint == endpoint and lane.actor == actor]
        item = queue.head(tx, lane)
        assert item is not None
        queue.settle(tx, item, "dead", why, at)

    def unit(tx: Tx) -> None:
        identity.save_account(tx, Account(AMY, "amy", alias="amy@alpha.test"), now)
        identity.save_account(tx, Account(ANN, "ann"), now)
        for number in (1, 2):
            letter(tx, number, AMY, "https://strict.test/1", "HTTP 403", now - 86400)
        letter(tx, 3, ANN, "https://odd.test/1", "in its \x1b[31mown words", now)
        hosts.put(tx, hosts.Trouble("down.test", 9, now - 3600, now, now + 600, 1, "timeout down.test"))

    async with opened(config.load(file), mint=True) as daemon:
        await daemon.core.store.write(unit)


@pytest.fixture
def bridged(file: Path, capsys: pytest.CaptureFixture[str]) -> Bridged:
    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.call(["-c", str(file), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_dead_letters_are_told_by_host_and_reason_with_what_it_means(bridged: Bridged) -> None:
    code, out, _ = bridged("dead")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "3 dead letters"
    assert lines[1] == "odd.test (beta)"
    assert lines[4] == "strict.test (beta)"
    assert lines[5] == "        2  HTTP 403: it refuses us: perhaps this bridge is blocked there"
    assert lines[6].endswith("by 1 account")
    assert "bridged retry --host HOST" in lines[7]
    assert lines[8].startswith("down.test has been down since ")
    assert "(timeout down.test); it is tried again at" in lines[8]
    assert "\x1b" not in out


def test_dead_letters_are_told_as_json_too(bridged: Bridged) -> None:
    told = json.loads(bridged("dead", "--json", "--newer", "1h")[1])
    assert told["dead"] == 1
    assert told["groups"][0]["host"] == "odd.test"
    assert told["down"][0]["host"] == "down.test"


def test_status_counts_dead_letters_and_hosts_that_are_down(bridged: Bridged) -> None:
    assert "Undelivered: 3 dead letters, 1 hosts down; see `bridged dead`" in bridged("status")[1]


@pytest.mark.parametrize(
    ("words", "retried"),
    [
        (["--host", "STRICT.test"], 2),
        (["--account", "alpha:amy"], 2),
        (["--account", "alpha:ann"], 1),
        (["--account", "alpha:amy@alpha.test"], 2),
        (["--reason", "http 4"], 2),
        (["--older", "12h"], 2),
        (["--newer", "30m"], 1),
        (["--newer", "2d", "--host", "odd.test"], 1),
        (["--newer", "2d", "--limit", "1"], 1),
    ],
)
def test_retry_takes_what_every_option_fits(bridged: Bridged, words: list[str], retried: int) -> None:
    dry = json.loads(bridged("retry", *words, "--dry-run", "--json")[1])
    assert (dry["dry_run"], dry["retried"]) == (True, retried)
    assert json.loads(bridged("dead", "--json")[1])["dead"] == 3
    code, out, _ = bridged("retry", *words)
    assert code == 0
    assert out.splitlines()[0] == f"Tried again, oldest first: {retried}"
    assert "The running daemon sends them" in out
    assert json.loads(bridged("dead", "--json")[1])["dead"] == 3 - retried
    assert ("2 more would do" in out) == ("--limit" in words)


def test_retry_of_nothing_says_so(bridged: Bridged) -> None:
    code, out, _ = bridged("retry", "--host", "well.test")
    assert code == 1
    assert out.splitlines()[-1] == "Nothing to try again; `bridged dead` lists what there is"


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ([], 2, "retry what? name a --host"),
        (["--older", "long"], 2, "--older: 'long' is no span of time; write it like 90m, 12h, 3d or 1w"),
        (["--account", "amy"], 2, "is not NETWORK:HANDLE"),
        (["--account", "alpha:nobody at all"], 1, "nothing is known of"),
    ],
)
def test_wrong_question_is_answered_by_what_would_be_right(
    bridged: Bridged, words: list[str], code: int, complaint: str
) -> None:
    got, _, err = bridged("retry", *words)
    assert got == code
    assert complaint in err


@pytest.mark.parametrize("reason", ["HTTP 301", "HTTP 418", "HTTP 599", "dns a.test", "tls a.test", "no-ghost"])
def test_reasons_of_our_own_have_a_meaning(reason: str) -> None:
    assert meaning(reason)
