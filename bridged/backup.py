"""`bridged backup` and `bridged restore`: the whole database as one file, and back again.

A backup is read in one snapshot, so that it is of one moment while the daemon goes on writing. Keys in it stay sealed;
the secret is not in it. A restore puts the tables back as they were, upgrades them, and then sees to it that nothing
which was already used outwards is used again, and that what was missed is asked for: ADR 10.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Table

from bridged import __version__, agenda, digest, keys, registry
from bridged.archive import FORMAT, PROOF, BadArchive, Kept, Manifest, Progress, Reader, Writer
from bridged.config import Settings
from bridged.daemon import Refuse
from bridged.keys import KeyRing
from bridged.model import HOME, Ref
from bridged.store import dump, follows, identity, inboxes, looks, processes
from bridged.store import settings as kept
from bridged.store.engine import Store, Tx, url_of
from bridged.store.upgrade import CORE

EACH = 3.0
"""Seconds between two accounts that are asked what they said meanwhile."""


class NotEmpty(Exception):
    """There is something in the database that would be lost."""


async def backup(settings: Settings, env: Mapping[str, str], path: Path, progress: Progress) -> Manifest:
    """Writes all there is into `path`, which must not exist. Raises Refuse, SecretError, Busy, Unwritable."""
    ring = keys.load(settings.secret.file, settings.secret.env, env, make=False)
    store = _database(settings, make=False)
    await store.open()
    try:
        return await store.read(lambda tx: _written(tx, settings, ring, path, progress))
    finally:
        await store.close()


def _database(settings: Settings, *, make: bool) -> Store:
    store = Store(url_of(settings.store, settings.data_dir))
    if make:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    elif store.sqlite and not Path(store.url.removeprefix("sqlite:///")).is_file():
        raise Refuse(f"there is no database in {settings.data_dir} yet; `bridged run` makes it")
    return store


def _written(tx: Tx, settings: Settings, ring: KeyRing, path: Path, progress: Progress) -> Manifest:
    networks = registry.networks()
    revisions = {part: r for part in ("bridged", *networks) if (r := dump.revision(tx, part)) is not None}
    if "bridged" not in revisions:
        raise Refuse("there is nothing in the database yet; `bridged run` fills it")
    domain, proof = kept.get(tx, "domain"), kept.sealed(tx, "bridge", "proof")
    if domain is None or domain != settings.domain:
        raise Refuse(f"this database belongs to {domain}, the config says {settings.domain}; back it up with its own")
    if proof is not None:
        ring.unseal("bridge/proof", proof)
    tables = dump.tables(tx, networks)
    manifest = Manifest(
        FORMAT,
        f"bridged {__version__}",
        time.time(),
        domain,
        revisions,
        tuple(_kept(tx, table) for table in tables),
        ring.seal(PROOF, b"bridged"),
    )
    with Writer(path, ring) as out:
        out.manifest(manifest)
        done = 0
        for number, table in enumerate(tables):
            for row in dump.stream(tx, table):
                out.row(number, tuple(row))
                done += 1
                if done % dump.PAGE == 0:
                    progress(done, manifest.rows)
    progress(done, manifest.rows)
    return manifest


def _kept(tx: Tx, table: Table) -> Kept:
    return Kept(
        str(table.name), tuple(str(c.name) for c in table.columns), dump.count(tx, table), dump.serial(tx, table)
    )


async def restore(settings: Settings, env: Mapping[str, str], path: Path, progress: Progress) -> Manifest:
    """Fills an empty database from `path`. Raises BadArchive, NotEmpty, SecretError, BadAdapter, Busy, OSError."""
    ring = keys.load(settings.secret.file, settings.secret.env, env, make=False)
    reader = Reader(path, ring)
    manifest = reader.manifest
    if manifest.domain != settings.domain:
        raise BadArchive(
            f"{path} is of the bridge at {manifest.domain}, the config says {settings.domain}: every id and handle in"
            f" it is under {manifest.domain} and would break. Put `domain: {manifest.domain}` into the config"
        )
    folders = {part: _folder(part, revision, manifest) for part, revision in manifest.revisions.items()}
    reader.verify(lambda done, of: progress(done, of * 2))
    store = _database(settings, make=True)
    await store.open()
    try:
        networks = registry.networks()
        if not await store.write(lambda tx: dump.clear(tx, networks)):
            raise NotEmpty(_occupied(settings))
        for part, folder in folders.items():
            await store.migrate(folder, dump.version_table(part), manifest.revisions[part])
        await store.write(lambda tx: _fill(tx, reader, networks, progress))
        for part, folder in folders.items():
            await store.migrate(folder, dump.version_table(part))
        await store.write(lambda tx: turn(tx, settings, time.time()))
    finally:
        await store.close()
    return manifest


def _folder(part: str, revision: str, manifest: Manifest) -> Path:
    """Where the migrations of a part of the schema are, if they know the state that the backup is in."""
    if part == "bridged":
        folder: Path | None = CORE
    elif part in registry.networks():
        folder = registry.load(part).migrations
    else:
        raise BadArchive(f"the backup holds what the adapter for {part} kept, which is not installed here; install it")
    try:
        if folder is not None:
            ScriptDirectory(str(folder)).get_revision(revision)
            return folder
    except CommandError:
        pass
    raise BadArchive(
        f"the backup was made by {manifest.made_by}, whose tables ({part} {revision}) this version, {__version__},"
        " does not know yet; restore it with that version or a later one"
    )


def _occupied(settings: Settings) -> str:
    if settings.store == "sqlite":
        where = settings.data_dir / "bridged.sqlite3"
        return (
            f"{where} is not empty, and a restore would replace it: stop the bridge, move {where} and what stands"
            " beside it (-wal, -shm) away, and restore again"
        )
    return "the database is not empty, and a restore would replace it: make an empty one and name it in `store`"


def _fill(tx: Tx, reader: Reader, networks: list[str], progress: Progress) -> None:
    """All or nothing: a daemon that finds half a restore does not start on it."""
    tables = {table.name: table for table in dump.tables(tx, networks)}
    done, of = 0, reader.manifest.rows
    for table, rows in reader.rows():
        if table.name not in tables:
            raise BadArchive(f"the backup holds a table {table.name}, which its own version did not have")
        dump.load(tx, tables[table.name], table.columns, rows)
        done += len(rows)
        progress(of + done, of * 2)
    for table in reader.manifest.tables:
        if table.serial is not None and table.name in tables:
            dump.jump(tx, tables[table.name], table.serial)
    kept.put(tx, "restoring", reader.manifest.made_by)


def turn(tx: Tx, settings: Settings, now: float) -> None:
    """From the past of the backup to the present: what was said since must not be said otherwise under its own name,
    and is to be asked for again.

    Ids and bytes of what is derived from a native act come out the same again. What replaces something is dated later
    than anything that may have been sent (`Core.not_before`), serial numbers have jumped.
    """
    kept.put(tx, "restored_at", f"{now:.0f}")
    kept.drop(tx, "restoring")
    processes.forget(tx)
    # told by then, most likely; told once more they would say something else under the same name
    inboxes.forgo(tx, HOME, digest.CHANNEL, now)
    looks.look_at_all(tx, now)
    due = now
    for network in settings.adapters or registry.networks():
        if registry.load(network).capabilities.hearing != "push":
            continue  # its cursors are as old as the backup, so what was missed is read anyway
        joined = [ref.id for ref, state, _ in identity.members_of(tx, network) if state == "in"]
        for id in dict.fromkeys((*joined, *follows.wanted(tx, network))):
            agenda.order(tx, "recent", Ref(network, id), now, due)
            due += EACH
