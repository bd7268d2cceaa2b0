"""A backup is of one moment, is restored whole or not at all, into either kind of database, and gives nothing away."""

import asyncio
import errno
import gzip
import json
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.util import CommandError
from sqlalchemy import text

from bridged import __version__
from bridged.adapter import Envelope
from bridged.archive import FORMAT, BadArchive, Unwritable
from bridged.backup import NotEmpty, backup, restore
from bridged.daemon import Refuse
from bridged.keys import SecretError
from bridged.model import HOME, Ref
from bridged.store import dump, identity, inboxes, ledger, looks
from bridged.store import settings as kept
from bridged.store.engine import Tx
from bridged.testing import FakeNetwork, Harness

SECRET = "harness." * 4
Bridge = Callable[..., Awaitable[Harness]]
on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
"""The rest is the same on both."""


def quiet(_done: int, _of: int) -> None: ...


def keep_secret(folder: Path, secret: str = SECRET) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "secret.key").touch(0o600)
    (folder / "secret.key").write_text(secret)


async def lived(bridge: Harness, red: FakeNetwork, blue: FakeNetwork) -> None:
    """Some life: bob follows ann, who says two things; and what the daemon writes down about itself."""
    keep_secret(bridge.settings.data_dir)
    sealed = bridge.core.keys.seal("bridge/proof", b"bridged")

    def first(tx: Tx) -> None:
        kept.put(tx, "domain", bridge.settings.domain)
        kept.seal(tx, "bridge", "proof", sealed)

    await bridge.write(first)
    red.join("ann")
    blue.join("bob")
    ghost = await bridge.ghost(red.ref("ann"), "blue")
    await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id))
    await bridge.hear(red.post("ann", "hello — ü 🌉"), red.post("ann", "and again"))


async def everything(bridge: Harness, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """All rows of all tables."""

    def unit(tx: Tx) -> dict[str, Any]:
        found = {t.name: sorted(map(repr, dump.stream(tx, t))) for t in dump.tables(tx, ["activitypub", "nostr"])}
        return {name: rows for name, rows in found.items() if name not in but}

    return await bridge.read(unit)


@pytest.fixture
def red() -> FakeNetwork:
    return FakeNetwork("red")


@pytest.fixture
async def bridge(bridge_of: Bridge, red: FakeNetwork) -> Harness:
    blue = FakeNetwork("blue")
    made = await bridge_of(red, blue)
    await lived(made, red, blue)
    return made


def beside(bridge: Harness, folder: Path, store: str = "sqlite", **changes: Any) -> Harness:
    """A bridge of the same name and secret, whose database is empty."""
    keep_secret(folder)
    made = Harness(bridge.classes, data_dir=folder, store=store, clock=bridge.clock, **changes)
    made.settings = made.settings.model_copy(update={"adapters": {}})
    return made


async def saved(bridge: Harness, path: Path) -> Path:
    await backup(bridge.settings, {}, path, quiet)
    return path


async def restored(bridge: Harness, path: Path) -> Harness:
    await restore(bridge.settings, {}, path, quiet)
    await bridge.open()
    return bridge


@pytest.mark.parametrize("into", ["sqlite", "other"])
async def test_backup_comes_back_row_by_row_in_either_kind_of_database(
    bridge: Harness, tmp_path: Path, into: str, scratch_beside: str
) -> None:
    before = await everything(bridge)
    path = await saved(bridge, tmp_path / "b")
    other = beside(bridge, tmp_path / "other", "sqlite" if into == "sqlite" else scratch_beside)
    await restored(other, path)
    try:
        after = await everything(other)
    finally:
        await other.close()
    assert before.keys() == after.keys()
    turned = {"settings", "accounts", "inbox"}
    assert {n: r for n, r in after.items() if n not in turned} == {n: r for n, r in before.items() if n not in turned}
    assert set(before["inbox"]) <= set(after["inbox"])
    assert len(before["copies"]) >= 2


async def test_what_is_written_while_a_backup_is_made_is_in_it_whole_or_not_at_all(
    bridge: Harness, tmp_path: Path
) -> None:
    ref = Ref("red", "x")

    async def write(number: int) -> None:
        def unit(tx: Tx) -> None:
            kept.put(tx, "twin", str(number))
            ledger.write(tx, float(number), "twin", ref)

        await bridge.write(unit)

    async def writing() -> None:
        for number in range(10_000):
            await write(number)
            await asyncio.sleep(0)

    await write(0)
    task = asyncio.create_task(writing())
    try:
        for number in range(3):
            await saved(bridge, tmp_path / f"b{number}")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for number in range(3):
        other = beside(bridge, tmp_path / f"other{number}")
        await restored(other, tmp_path / f"b{number}")
        twin, rows = await other.read(lambda tx: (kept.get(tx, "twin"), ledger.about(tx, ref, 100_000)))
        await other.close()
        assert twin is not None
        assert [r["at"] for r in rows][-1] == float(twin)


@on_sqlite
async def test_manifest_says_what_it_is_and_the_file_is_its_owners(bridge: Harness, tmp_path: Path) -> None:
    path = await saved(bridge, tmp_path / "b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with gzip.open(path) as file:
        manifest = json.loads(file.readline())
    assert (manifest["format"], manifest["made_by"]) == (FORMAT, f"bridged {__version__}")
    assert manifest["domain"] == "bridge.test"
    assert manifest["revisions"]["bridged"].startswith("0")
    assert {t["name"]: t["rows"] for t in manifest["tables"]}["copies"] >= 2
    assert sorted(os.listdir(tmp_path)) == ["b", "var"]


@on_sqlite
async def test_backup_writes_over_nothing_and_leaves_nothing_half_done(
    bridge: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b"
    path.write_text("mine")
    with pytest.raises(Unwritable):
        await saved(bridge, path)
    assert path.read_text() == "mine"

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bridged.archive.gzip.GzipFile.write", fail)
    with pytest.raises(Unwritable, match="cannot be written: No space left"):
        await saved(bridge, tmp_path / "c")
    assert sorted(os.listdir(tmp_path)) == ["b", "var"]


@on_sqlite
async def test_backup_with_another_secret_or_domain_is_refused(bridge: Harness, tmp_path: Path) -> None:
    with pytest.raises(Refuse, match=r"belongs to bridge\.test"):
        await backup(bridge.settings.model_copy(update={"domain": "other.test"}), {}, tmp_path / "b", quiet)
    keep_secret(bridge.settings.data_dir, "z" * 32)
    with pytest.raises(SecretError, match="another secret"):
        await saved(bridge, tmp_path / "b")
    assert not (tmp_path / "b").exists()


async def refused(bridge: Harness, path: Path, match: str, kind: type[Exception] = BadArchive) -> None:
    """Nothing is restored, and nothing is in the way of trying again."""
    with pytest.raises(kind, match=match):
        await restore(bridge.settings, {}, path, quiet)
    where = bridge.settings.data_dir / "bridged.sqlite3"
    assert not where.exists() or where.stat().st_size <= 4096


@pytest.fixture
async def one(bridge: Harness, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Harness, Path]:
    """An empty bridge, and a backup for it."""
    return beside(bridge, tmp_path / "other"), await saved(bridge, tmp_path / "b")


@on_sqlite
async def test_file_that_was_cut_anywhere_is_refused(one: tuple[Harness, Path]) -> None:
    bridge, path = one
    whole = path.read_bytes()
    for share in (0, 0.001, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        await refused(bridge, path, "cut off|no backup")
    inner = gzip.decompress(whole)
    for size in (10, len(inner) // 2, len(inner) - 40, len(inner) - 32, len(inner) - 1):
        path.write_bytes(gzip.compress(inner[:size]))
        await refused(bridge, path, "cut off|no backup")
    path.write_bytes(whole)
    await restored(bridge, path)
    await bridge.close()


@on_sqlite
async def test_file_that_was_changed_anywhere_is_refused(one: tuple[Harness, Path]) -> None:
    bridge, path = one
    inner = bytearray(gzip.decompress(path.read_bytes()))
    end = inner.index(b"\n")
    for at in (end + 3, end + 20, len(inner) // 2, len(inner) - 36, len(inner) - 1):
        inner[at] ^= 1
        path.write_bytes(gzip.compress(bytes(inner)))
        await refused(bridge, path, "cut off or was changed")
        inner[at] ^= 1
    manifest = json.loads(inner[:end])
    manifest["made_by"] = "bridged 0.0.9"
    path.write_bytes(gzip.compress(json.dumps(manifest, separators=(",", ":")).encode() + bytes(inner[end:])))
    await refused(bridge, path, "cut off or was changed")
    path.write_bytes(gzip.compress(bytes(inner) + b"more"))
    await refused(bridge, path, "cut off or was changed")
    path.write_bytes(b"SQLite format 3\0" + bytes(100))
    await refused(bridge, path, "no backup of bridged")


@on_sqlite
async def test_backup_of_another_domain_or_secret_is_refused(one: tuple[Harness, Path]) -> None:
    bridge, path = one
    other = bridge.settings
    bridge.settings = other.model_copy(update={"domain": "other.test"})
    await refused(bridge, path, "`domain: bridge.test`")
    bridge.settings = other
    keep_secret(other.data_dir, "z" * 32)
    await refused(bridge, path, "made with another secret; put the secret of the bridge at bridge.test")
    (other.data_dir / "secret.key").unlink()
    await refused(bridge, path, "no secret at", SecretError)


@on_sqlite
async def test_backup_of_a_later_version_is_refused(one: tuple[Harness, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    bridge, path = one
    inner = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(inner.replace(b"bridged-backup-1", b"bridged-backup-2")))
    await refused(bridge, path, "a later form; restore it with the version that made it")
    monkeypatch.setattr("bridged.backup.ScriptDirectory", Unknowing)
    path.write_bytes(gzip.compress(inner))
    await refused(bridge, path, "does not know yet; restore it with that version or a later one")


class Unknowing:
    """Migrations that end before the backup's."""

    def __init__(self, _folder: str) -> None: ...

    def get_revision(self, revision: str) -> None:
        raise CommandError(f"Can't locate revision identified by {revision!r}")


async def test_database_that_is_not_empty_is_left_as_it_is(bridge: Harness, tmp_path: Path) -> None:
    path = await saved(bridge, tmp_path / "b")
    before = await everything(bridge)
    with pytest.raises(NotEmpty, match="not empty"):
        await restore(bridge.settings, {}, path, quiet)
    assert await everything(bridge) == before


@on_sqlite
async def test_restore_that_ends_in_the_middle_is_not_started_on_and_can_be_repeated(
    one: tuple[Harness, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge, path = one

    def fail(*_: object) -> None:
        raise RuntimeError("in the middle")

    with monkeypatch.context() as patch:
        patch.setattr(dump, "jump", fail)
        with pytest.raises(RuntimeError):
            await restore(bridge.settings, {}, path, quiet)
    with monkeypatch.context() as patch:
        patch.setattr("bridged.backup.turn", fail)
        with pytest.raises(RuntimeError):
            await restore(bridge.settings, {}, path, quiet)
    await bridge.open()
    half = await bridge.read(lambda tx: kept.get(tx, "restoring"))
    await bridge.close()
    assert half == f"bridged {__version__}"


async def test_serial_numbers_jump_even_where_nothing_is_left_of_them(bridge: Harness, tmp_path: Path) -> None:
    last = await bridge.read(lambda tx: tx.execute(text("SELECT max(id) FROM outbox")).scalar())
    await bridge.write(lambda tx: tx.execute(text("DELETE FROM outbox")))
    path = await saved(bridge, tmp_path / "b")
    other = beside(bridge, tmp_path / "other")
    await restored(other, path)
    red = bridge.classes[0].world  # type: ignore[attr-defined]
    await other.hear(red.post("ann", "after"))
    first = await other.read(lambda tx: tx.execute(text("SELECT min(id) FROM outbox")).scalar())
    await other.close()
    assert first > last + dump.JUMP - 1


@on_sqlite
async def test_what_was_missed_is_asked_for_and_everybody_looked_at(
    bridge_of: Bridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red, blue = FakeNetwork("red", hearing="push"), FakeNetwork("blue")
    bridge = await bridge_of(red, blue)
    await lived(bridge, red, blue)
    ann = red.ref("ann")
    await bridge.write(lambda tx: identity.set_standing(tx, ann, "in", "person", 0.0))
    path = await saved(bridge, tmp_path / "b")
    missed = red.post("ann", "said after the backup")
    await bridge.hear(missed)
    assert len(await bridge.copies(red.ref(missed.id), "blue")) == 1
    other = beside(bridge, tmp_path / "other")
    networks = {a.network: a for a in bridge.classes}
    monkeypatch.setattr("bridged.registry.load", networks.__getitem__)
    monkeypatch.setattr("bridged.registry.networks", lambda: sorted(networks))
    monkeypatch.setattr("bridged.backup.time.time", bridge.clock)
    await restored(other, path)
    assert await other.copies(red.ref(missed.id), "blue") == ()
    due, _ = await other.read(lambda tx: looks.due(tx, ["red"], bridge.clock(), 10))
    await other.settle()
    assert len(await other.copies(red.ref(missed.id), "blue")) == 1
    await other.close()
    assert [look.account.ref for look in due] == [ann]


@on_sqlite
async def test_digest_that_was_due_before_the_restore_is_not_told_anew(bridge: Harness) -> None:
    def unit(tx: Tx) -> list[str]:
        for name, due in (("past", 10.0), ("future", 1e12)):
            inboxes.add(tx, Envelope(HOME, f"digest:{name}", b"{}", "digest", Ref(HOME, "x"), 0.0), due_at=due)
        inboxes.forgo(tx, HOME, "digest", 1000.0)
        return [n for n in ("past", "future") if inboxes.waiting(tx, HOME, f"digest:{n}")]

    assert await bridge.write(unit) == ["future"]
