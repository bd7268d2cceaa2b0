"""The story of a post, an account or a follow, told from what the stations wrote down."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridged import config
from bridged.adapter import Envelope
from bridged.consent import join, leave
from bridged.daemon import Daemon, opened
from bridged.model import Activity, Follow, Post, PostBody, Ref, Text
from bridged.store import acts, ledger
from bridged.trace import Story, lines, meant, trace
from tests.unit.core import toynet

CONFIG = """
domain: bridge.example
adapters: {alpha: {}, beta: {down: true}}
"""
ANN = Ref("alpha", "ann")


class Bridge:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon, self.core = daemon, daemon.core

    async def settle(self) -> None:
        """Both stations run until nothing is due."""
        while await self.daemon.bridge.step() + await self.daemon.outbox.step():
            pass

    async def hear(self, ident: str, author: str, text: str) -> None:
        body = f"{ident} {author} {text}".encode()
        envelope = Envelope("alpha", ident, body, "alpha door", Ref("alpha", author), self.core.now())
        host = self.core.adapters["alpha"].host  # pyright: ignore[reportAttributeAccessIssue]
        await host.receive(envelope)
        await self.settle()

    async def told(self, asked: str) -> Story:
        story = await trace(self.core, asked)
        assert story is not None
        return story

    async def text(self, asked: str) -> str:
        return "\n".join(lines(await self.told(asked)))


@pytest.fixture
async def bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bridge]:
    """Ann of alpha is bridged; beta's square is closed."""
    for folder in toynet.install(tmp_path / "toys"):
        monkeypatch.syspath_prepend(folder)
    file = tmp_path / "bridge.yaml"
    file.write_text(CONFIG)
    async with opened(config.load(file, {}), {}, mint=True) as daemon:
        made = Bridge(daemon)
        await daemon.core.store.write(lambda tx: join(daemon.core, tx, ANN, "operator"))
        await made.settle()
        yield made


async def test_post_is_told_from_hearing_to_next_try(bridge: Bridge) -> None:
    await bridge.hear("p1", "ann", "good morning")
    story = await bridge.told("alpha://p1")
    assert [(s.step, s.to, s.endpoint, s.reason) for s in story.steps] == [
        ("heard", "", "", "alpha door"),
        ("carried", "beta", "", "member"),
        ("copied", "beta", "", ""),
        ("retry", "beta", "beta square", "the square is closed"),
    ]
    text = await bridge.text("alpha://p1")
    assert text.startswith("Post on alpha: alpha://p1\n")
    for part in (
        "by       ann@home (alpha://ann)",
        "text     good morning",
        "retry     on beta to beta square as beta://copy-p1: the square is closed",
        "beta://copy-p1 (part 0, version 1)",
        "Post to beta square: ready, 1 attempt, next try 20",
        "; the square is closed",
    ):
        assert part in text


@pytest.mark.parametrize("asked", ["alpha://p1", "beta://copy-p1", "alpha:p1", "beta:copy-p1", "p1", "copy-p1", " p1 "])
async def test_originals_and_copies_lead_to_the_same_story(bridge: Bridge, asked: str) -> None:
    await bridge.hear("p1", "ann", "good morning")
    assert (await bridge.told(asked)).origin.id == "p1"


@pytest.mark.parametrize("asked", ["alpha://ann", "beta://ghost-ann", "ann_ghost", "@ann_ghost@bridge.example"])
async def test_account_is_told_with_its_ghosts(bridge: Bridge, asked: str) -> None:
    story = await bridge.told(asked)
    assert (story.kind, story.state, story.handle) == ("Account", "in", "ann@home")
    assert [(g.network, g.id) for g in story.ghosts] == [("beta", "ghost-ann")]
    assert "ghost    beta: ann_ghost (beta://ghost-ann)" in "\n".join(lines(story))
    assert "minted" in [s.step for s in story.steps]


async def test_post_that_was_taken_back_is_told_without_its_text(bridge: Bridge) -> None:
    await bridge.hear("p1", "ann", "better forgotten")
    await bridge.core.store.write(lambda tx: leave(bridge.core, tx, ANN, "operator"))
    await bridge.settle()
    text = await bridge.text("beta://copy-p1")
    assert "better forgotten" not in text
    assert "state    deleted" in text


async def test_act_only_the_ledger_knows_is_told(bridge: Bridge) -> None:
    ref = Ref("alpha", "p9")
    await bridge.core.store.write(lambda tx: ledger.write(tx, 0.0, "dropped", ref, actor=ANN, reason="blocked"))
    assert await bridge.text("alpha://p9") == (
        "An act on alpha: alpha://p9\n  id       p9\nIts way\n  1970-01-01 00:00:00Z dropped: blocked"
    )


async def test_follow_is_told_with_whom_it_is_about(bridge: Bridge) -> None:
    follow = Activity(Ref("beta", "f1"), Ref("beta", "bob"), 0.0, Follow(ANN))
    await bridge.core.store.write(lambda tx: acts.record(tx, follow, ANN))
    story = await bridge.told("beta://f1")
    assert (story.kind, story.about and story.about.name) == ("Follow", "alpha://ann")
    assert "about    alpha: alpha://ann" in "\n".join(lines(story))


async def test_hostile_text_stays_on_its_line(bridge: Bridge) -> None:
    ref = Ref("alpha", "p2")
    body = PostBody(ref, ANN, Text("one\n  state    live\x1b[2J\u202e"), 0.0)
    await bridge.core.store.write(lambda tx: acts.record(tx, Activity(ref, ANN, 0.0, Post(body)), None))
    told = lines(await bridge.told("alpha://p2"))
    assert [line for line in told if line.startswith("  state ")] == ["  state    live"]
    assert not any(c < " " or c in "\x7f\u202e" for line in told for c in line)


@pytest.mark.parametrize("asked", ["", "   ", "alpha://nothing", "x" * 5000, "gamma:zork", "alpha:"])
async def test_unknown_is_none(bridge: Bridge, asked: str) -> None:
    assert await trace(bridge.core, asked) is None


async def test_meant_lists_each_ref_once_adapters_first(bridge: Bridge) -> None:
    assert meant(bridge.core, "beta://x")[0] == Ref("beta", "x")
    found = meant(bridge.core, "alpha:x")
    assert found[0] == Ref("alpha", "x")
    assert len(found) == len(set(found))
