"""A raw firehose that lies, floods and breaks, against a running daemon: nothing of it counts, and the rest goes on.

No relay installs: `kit/sky.py` stands in, written from the specs (atproto.com/specs/{sync,repository,event-stream}).
"""

import copy
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection

from adapters.atproto.crypto import SigningKey
from tests.unit.atproto import scripted_repo

from .kit import eventually
from .kit.fediverse import Answer
from .kit.heaven import Heaven, heaven
from .kit.spoilt_repo import BAD, Spoil, by_another

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> AsyncIterator[Heaven]:
    async with heaven(tmp_path_factory.mktemp("firehose"), kind=database_kind) as made:
        yield made


@pytest.mark.parametrize(("spoil", "reason"), BAD.values(), ids=BAD)
async def test_spoilt_commit_is_dropped_and_the_next_one_counts(here: Heaven, spoil: Spoil, reason: str) -> None:
    cursors = len(here.sky.hose.cursors)
    async with here.refuses(reason):
        await here.sky.hose.write(spoil(copy.deepcopy(here.ada.repo), here.sky.next()))
    assert len(here.sky.hose.cursors) == cursors, "nobody is hung up on for one mistake"


# --- keys -----------------------------------------------------------------------------------------------------


async def test_wrong_key_has_the_directory_asked_once_a_minute_and_no_more(here: Heaven) -> None:
    def asked() -> int:
        return len(here.sky.asked(f"/plc/{here.ada.did}"))

    await here.later()
    before = asked()
    for _ in range(5):
        async with here.refuses("signature", good=False):
            await here.sky.hose.write(by_another(copy.deepcopy(here.ada.repo), here.sky.next()))
    assert asked() == before + 1
    await here.good()


async def test_key_that_was_changed_without_a_word_is_found_by_that_look(here: Heaven) -> None:
    await here.later()
    here.ada.repo.key = SigningKey(b"n" * 32)
    await here.good()


async def test_directory_that_is_down_costs_no_member_anything(here: Heaven) -> None:
    """What was signed with a key that cannot be looked at is dropped for now; what follows makes up for it."""
    await here.later()
    here.ada.repo.key = SigningKey(b"m" * 32)
    here.sky.script = lambda got: Answer(503) if got.path.startswith("/plc/") else None
    async with here.refuses("signature", good=False):
        await here.sky.say(here.ada, here.ada.post("said while the directory was down"))
    here.sky.script = lambda got: None
    await here.good()
    await eventually(lambda: here.copies("said while the directory was down"))


# --- gaps -----------------------------------------------------------------------------------------------------


@pytest.mark.both
async def test_commit_that_was_never_heard_is_made_up_for_and_nothing_is_said_twice(here: Heaven) -> None:
    asked = len(here.sky.asked("sync.getRepo"))
    here.ada.repo.change(0, here.ada.post("never on the stream"))
    await here.good()
    await eventually(lambda: here.copies("never on the stream"))
    assert len(here.copies("never on the stream")) == 1
    (got,) = here.sky.asked("sync.getRepo")[asked:]
    assert "since=" in got.path, "from where we were, not from the beginning"
    assert "atproto_gap" in here.daemon.log


@pytest.mark.both
async def test_gap_that_is_only_claimed_costs_one_look_and_changes_nothing(here: Heaven) -> None:
    """A commit of hers, signed as it should be, which says to follow another than it does."""
    asked, sent = len(here.sky.asked("sync.getRepo")), len(here.peer.posts())
    twin = copy.deepcopy(here.ada.repo)
    twin.change(0, {})
    await here.sky.hose.write(twin.say(here.sky.next(), here.ada.post("of a fork that is not hers")))
    await eventually(lambda: len(here.sky.asked("sync.getRepo")) > asked)
    assert len(here.peer.posts()) == sent
    await here.good()
    assert here.copies("of a fork that is not hers") == []


@pytest.mark.both
@pytest.mark.parametrize("word", ["FutureCursor", "OutdatedCursor"])
async def test_stream_that_lost_its_place_has_every_repo_looked_at_and_none_begun_anew(here: Heaven, word: str) -> None:
    ada, sky = here.ada, here.sky
    rows = await here.daemon.rows("SELECT did FROM atproto_known_repos")
    ada.repo.change(0, ada.post(f"missed before {word}"))

    async def lost(socket: ServerConnection, cursor: str) -> None:
        assert cursor
        if word == "FutureCursor":
            await socket.send(scripted_repo.error(word))
            sky.seq = 0  # it counts anew
            sky.hose.kept.clear()
        else:
            await socket.send(scripted_repo.info(word))

    sky.hose.turns = [lost]
    await sky.hose.drop()
    await eventually(lambda: here.copies(f"missed before {word}"))
    assert len(here.copies(f"missed before {word}")) == 1
    await eventually(lambda: sky.hose.sockets)
    if word == "FutureCursor":
        assert sky.hose.cursors[-1] == ""
    await here.good()
    assert await here.daemon.rows("SELECT did FROM atproto_known_repos") == rows
    assert f'"why": "{word}"' in here.daemon.log
