"""No secret gets out: not into logs, figures, tracebacks, the database, a backup or an export, whatever goes wrong."""

import asyncio
import base64
import gzip
import json
import os
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.nostr import nip17
from bridged import keys
from bridged.keys import KeyRing
from bridged.model import BOT, HOME, Ref
from tests import databases
from tests.interop.world import ENVIRON

from .hunt import Hunt, der_lines, forms
from .kit import eventually
from .kit.daemon import ROOT, Daemon, database
from .kit.fediverse import Answer, Peer
from .kit.heard import until_heard
from .kit.nostr import Relay, as_object, key, npub, said, secret

ROOT_SECRET = bytes(range(7, 39))
BREAK = (
    "ALTER TABLE copies ADD CONSTRAINT broken CHECK (false) NOT VALID",
    "CREATE TRIGGER broken BEFORE INSERT ON copies BEGIN SELECT RAISE(ABORT, 'broken'); END",
)
MEND = ("ALTER TABLE copies DROP CONSTRAINT broken", "DROP TRIGGER broken")
"""On PostgreSQL, on SQLite."""
PASSWORD = "hunter2-hunter2-hunter2"


async def run(*commands: tuple[Path, *tuple[str, ...]]) -> list[tuple[int, bytes]]:
    """Commands with their config files, one after the other in one process, and all they say."""
    program = (
        "import json, sys; from bridged import cli\n"
        "for words in json.loads(sys.argv[1]): print('\\0', cli.call(['-c', *words]), '\\0', flush=True)"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, json.dumps([[str(word) for word in words] for words in commands])),
        env={**ENVIRON, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    parts = (await asyncio.wait_for(process.communicate(), 120))[0].split(b"\0")
    assert len(parts) == 2 * len(commands) + 1, parts
    return [(int(code), text) for text, code in zip(parts[::2], parts[1::2], strict=False)]


async def keys_of(daemon: Daemon, ring: KeyRing, *owners: Ref) -> dict[str, bytes]:
    """All that can be made of the secret, and what is sealed with it."""
    known = {"the root secret": ROOT_SECRET, "the sealing key": keys._hkdf(ROOT_SECRET, keys._info("seal"))}
    known["the key of backups"] = ring.derive("backup", Ref(HOME, "backup"))
    for owner in (BOT, *owners):
        known[f"the ghost key of {owner}"] = ring.derive("nostr-ghost", owner)
        known[f"the message seed of {owner}"] = ring.derive("nostr-message", owner)
    for row in await daemon.rows("SELECT network, name, sealed FROM secrets"):
        opened = ring.unseal(f"{row['network']}/{row['name']}", bytes(row["sealed"]))
        if b"PRIVATE KEY" in opened:
            known[f"{row['network']}'s {row['name']}"] = der_lines(opened)
    assert len(known) >= 8
    return known


async def tables(daemon: Daemon) -> list[str]:
    if daemon.store == "sqlite":
        rows = await daemon.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [r["name"] for r in rows]
    rows = await daemon.rows("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    return [r["name"] for r in rows]


async def lively(daemon: Daemon, peer: Peer, relay: Relay) -> None:
    """Some of everything that uses keys: follows, posts, profiles, messages, a rotation of what peers answer."""
    alice, inbox = peer.actor("alice"), f"{daemon.base}/inbox"
    bot, nora = await daemon.actor_of("bridge"), await daemon.actor_of(npub("nora"))
    for whom in (bot, nora):
        assert await alice.send(alice.follow(whom), inbox) == 202
    await eventually(lambda: len(peer.posts("Accept")) == 2)
    create = alice.create("hello")
    await until_heard(daemon, "activitypub", lambda: alice.send(create, inbox))
    note = await eventually(lambda: [e for e in relay.events(kinds=[1]) if e["content"] == "hello"][-1])
    await relay.publish(said("nora", 1, "an answer", ("e", note["id"]), ("p", note["pubkey"])))
    await eventually(lambda: [p for p in peer.posts("Create") if b"an answer" in p.body])
    about_bot = json.loads((await daemon.get("/.well-known/nostr.json?name=_"))[2])
    letter = nip17.wrap(secret("nora"), about_bot["names"]["_"], "status", int(time.time()), os.urandom(32))
    await relay.publish(as_object(letter))
    await eventually(lambda: relay.events(kinds=[1059]))


async def troubled(daemon: Daemon, peer: Peer, relay: Relay) -> None:
    """Wrong signatures, nonsense, a peer that answers rubbish, a relay that cuts, and a table gone from under it."""
    alice, inbox = peer.actor("alice"), f"{daemon.base}/inbox"
    peer.script = lambda got: Answer(500, body=b"\xff" * 100) if got.method == "POST" else None
    relay.script = lambda frame: "drop" if frame.json[0] == "EVENT" else None
    assert await alice.send(alice.create("with trouble"), inbox) == 202
    assert await alice.send(b"{" * 1000, inbox) == 400
    assert await alice.send(alice.create("forged"), inbox, key=peer.actor("mallory").key) in (401, 503)
    await relay.publish(said("nora", 1, "x" * 2000, ("e", "zz"), ("p", "")))
    await relay.publish({**as_object(said("nora", 1, "bad")), "sig": "00" * 64})
    await eventually(lambda: daemon.metric("bridged_deliveries_total", outcome="retry"))
    await _sql(daemon, BREAK[daemon.store == "sqlite"])
    assert await alice.send(alice.create("into the void"), inbox) == 202
    await relay.publish(said("nora", 1, "into the void"))
    # what the database says goes into the log, with the values it was given
    await eventually(lambda: daemon.log.count("IntegrityError") >= 2 or daemon.log.count("CheckViolation") >= 2)
    for path in ("/", "/relay", f"/users/nostr/{key('nora')}", "/objects/nostr/x", "/nothing", "/readyz"):
        await daemon.get(path)
    await _sql(daemon, MEND[daemon.store == "sqlite"])


async def _sql(daemon: Daemon, statement: str) -> None:
    if daemon.store == "sqlite":
        import sqlite3

        with sqlite3.connect(daemon.data / "bridged.sqlite3", timeout=20) as db:
            db.execute(statement)
        db.close()
        return
    connection = await databases.connected(daemon.store)
    await connection.execute(statement)
    await connection.close()


async def misconfigured(daemon: Daemon) -> bytes:
    """What is said where the settings or the secret are wrong; the secret itself written where it does not belong."""
    heard = b""
    other = daemon.folder / "wrong"
    other.mkdir()
    hexed = ROOT_SECRET.hex()
    (other / "short.key").touch(0o600)
    (other / "short.key").write_text(hexed[:40])
    (other / "open.key").write_text(hexed)
    (other / "open.key").chmod(0o644)
    changes: list[dict[str, Any]] = [
        {"secret": hexed},
        {"secret": {"file": hexed, "key": hexed}},
        {"secret": {"env": hexed}},
        {"secret": {"env": "LOST"}},
        {"secret": {"file": str(other / "short.key")}},
        {"secret": {"file": str(other / "open.key")}},
        {"store": f"postgresql://bridged:{PASSWORD}@127.0.0.1/x"},
        {"store": f"postgresql+asyncpg://bridged:{PASSWORD}@127.0.0.1:1/x"},
        {"store": f"postgresql+asyncpg://bridged:{PASSWORD}@127.0.0.1:x/x"},
        {"adapters": {"nostr": {"relays": [f"wss://{PASSWORD}@[x"]}}},
    ]
    for number, change in enumerate(changes):
        file = other / f"{number}.yaml"
        file.write_text(yaml.safe_dump({**daemon.config, "log": {"level": "debug"}, **change}))
    for code, text in await run(*((other / f"{number}.yaml", "run") for number in range(len(changes)))):
        assert code != 0, text
        assert b"bridged: " in text, text
        heard += text
    return heard


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_secrets_are_nowhere_after_a_rich_and_troubled_life(kind: str, tmp_path: Path) -> None:
    async with database(kind) as store, Peer() as peer, Relay() as relay:
        config = {"adapters": {"nostr": {"relays": [relay.url]}}, "log": {"level": "debug"}}
        daemon = Daemon(tmp_path / "bridge", store, config)
        daemon.data.mkdir(parents=True)
        (daemon.data / "secret.key").touch(0o600)
        (daemon.data / "secret.key").write_text(ROOT_SECRET.hex())
        await relay.publish(said("nora", 0, json.dumps({"name": "nora"})))
        await daemon.start()
        await lively(daemon, peer, relay)
        alice = peer.actor("alice")
        ring = KeyRing(ROOT_SECRET)
        hunt = Hunt({**await keys_of(daemon, ring, Ref("activitypub", alice.id)), "a password": PASSWORD.encode()})
        await troubled(daemon, peer, relay)

        pages = [(await daemon.get(path))[2] for path in ("/metrics", "/", "/.well-known/nostr.json?name=_")]
        export = ("export", f"activitypub:{alice.id}", str(tmp_path / "export"))
        commands = (("backup", str(tmp_path / "saved")), export, ("status",), ("trace", alice.id), ("reports",))
        told = [text for _, text in await run(*((daemon.file, *words) for words in commands))]
        wrong = await misconfigured(daemon) if kind == "sqlite" else b""

        hits = hunt.in_file(daemon.log_file) + hunt.in_file(tmp_path / "saved") + hunt.in_file(tmp_path / "export")
        hits += hunt.hits("pages", b"\n".join(pages)) + hunt.hits("commands", b"\n".join(told))
        hits += hunt.hits("what wrong settings bring", wrong)
        sent = b"\n".join(got.body for got in peer.got) + "\n".join(f.text for f in relay.frames).encode()
        hits += hunt.hits("what was sent", sent)
        for path in daemon.data.iterdir():
            if path.is_file() and path.name != "secret.key":
                hits += hunt.in_file(path)  # with the WAL, while it runs
        for table in await tables(daemon):
            values = [v for row in await daemon.rows(f'SELECT * FROM "{table}"') for v in row.values()]
            whole = (bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in values)
            hits += hunt.hits("rows", b"\n".join(whole))
        await daemon.stop()
        for path in daemon.data.iterdir():
            if path.is_file() and path.name != "secret.key":
                hits += hunt.in_file(path)
        assert hits == []
        assert hunt.searched["rows"] > 10_000
        assert hunt.searched["log"] > 5_000
        assert "Traceback" in daemon.log
        # it would have been found: the secret's own file
        assert hunt.in_file(daemon.data / "secret.key") == ["secret.key: the root secret (hex)"]


@pytest.mark.parametrize("form", sorted(forms(ROOT_SECRET)))
def test_hunt_finds_a_key_in_every_form_and_hiding_place(form: str, tmp_path: Path) -> None:
    hunt = Hunt({"it": ROOT_SECRET})
    planted = b"some words before " + forms(ROOT_SECRET)[form] + b" and after"
    for name, content in (("log", planted), ("saved", gzip.compress(planted))):
        (tmp_path / name).write_bytes(content)
        assert any("it (" in hit for hit in hunt.in_file(tmp_path / name)), name
    with zipfile.ZipFile(tmp_path / "export", "w") as packed:
        packed.writestr("a.json", planted)
    assert hunt.in_file(tmp_path / "export")
    assert hunt.hits("clean", b"some words before and after") == []


@pytest.mark.parametrize("shift", range(6))
def test_hunt_finds_a_key_in_something_longer_that_was_encoded(shift: int) -> None:
    packed = base64.b64encode(b"z" * shift + ROOT_SECRET + b"more")
    assert Hunt({"it": ROOT_SECRET}).hits("row", packed)


@pytest.mark.parametrize(
    "text",
    [
        "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_hunt_finds_what_looks_like_a_key_of_anybody(text: str) -> None:
    assert len(Hunt({}).hits("log", f"x {text} y".encode())) == 1
