"""`bridged reports` and `bridged move`."""

import asyncio
from pathlib import Path

import pytest

from bridged import cli, config
from bridged.daemon import opened
from bridged.model import Activity, Ref, Report
from bridged.store import acts
from tests.ports import free_port
from tests.unit.core import toynet
from tests.unit.core.test_cli import CONFIG


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in toynet.install(tmp_path):
        monkeypatch.syspath_prepend(folder)
    path = tmp_path / "bridge.yaml"
    path.write_text(CONFIG.format(port=free_port(), down="false"))
    return path


async def report(file: Path) -> None:
    async with opened(config.load(file), mint=True) as daemon:
        act = Report(Ref("beta", "bob"), (Ref("beta", "post1"),), "spam", "sells \x1b[31mthings")
        await daemon.core.store.write(
            lambda tx: acts.record(
                tx, Activity(Ref("alpha", "r1"), Ref("alpha", "amy"), 1_790_000_000.0, act), act.target
            )
        )


def test_reports_are_told_newest_first_and_harmless_to_a_terminal(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(report(file))
    capsys.readouterr()
    assert cli.call(["-c", str(file), "reports"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "2026-09-21 14:13  beta beta://bob: spam, says alpha alpha://amy"
    assert "beta://post1" in said
    assert "\x1b" not in said


def test_reports_of_a_quiet_bridge_say_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def once() -> None:
        async with opened(config.load(file), mint=True):
            pass

    asyncio.run(once())
    capsys.readouterr()
    assert cli.call(["-c", str(file), "reports"]) == 0
    assert capsys.readouterr().out == "Nobody has reported anything.\n"


@pytest.mark.parametrize(
    ("to", "code", "complaint"),
    [
        ("alpha:ann", 2, "moves within one network are made there"),
        ("beta:ann", 1, "has no ghost on beta"),
    ],
)
def test_move_that_cannot_be_says_why(
    file: Path, capsys: pytest.CaptureFixture[str], to: str, code: int, complaint: str
) -> None:
    assert cli.call(["-c", str(file), "move", "alpha:amy", to]) == code
    assert complaint in capsys.readouterr().err
