"""Makes the fixtures beside it: a database as an earlier version left it, on SQLite and PostgreSQL, and what is in it.

    git worktree add /tmp/issue-2 issue-2
    cd /tmp && PYTHONPATH=/tmp/issue-2 .../.venv/bin/python .../tests/upgrade/make.py issue-2

It lives `life.Town` with the code of that version. PostgreSQL is taken from BRIDGED_POSTGRES, or
postgres@127.0.0.1:5432; it needs pg_dump.
"""

import asyncio
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import asyncpg
import life

from bridged.testing import Harness

HERE = Path(__file__).parent
POSTGRES = os.environ.get("BRIDGED_POSTGRES", "postgres@127.0.0.1:5432")


async def lived(version: str, store: str, folder: Path) -> dict[str, object]:
    outside = life.Outside()
    adapters, more = life.networks(version)
    async with Harness(adapters, data_dir=folder, store=store, http=outside, **more) as bridge:
        return await life.Town(bridge, outside).live()


def keep(name: str, dump: str, facts: dict[str, object]) -> None:
    (HERE / f"{name}.sql.gz").write_bytes(gzip.compress(dump.encode(), 9, mtime=0))
    packed = json.dumps(facts, indent=1, ensure_ascii=False).encode()
    (HERE / f"{name}.json.gz").write_bytes(gzip.compress(packed, 9, mtime=0))


def dumped(url: str) -> str:
    command = ["pg_dump", "--inserts", "--no-owner", "--no-acl", url]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    # without what psql alone understands
    return "\n".join(line for line in lines if not line.startswith("\\"))


async def main(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        facts = await lived(name, "sqlite", Path(folder))
        with sqlite3.connect(Path(folder) / "bridged.sqlite3") as database:
            keep(f"{name}.sqlite", "\n".join(database.iterdump()), facts)
    admin = await asyncpg.connect(f"postgresql://{POSTGRES}/postgres")
    scratch = f"bridged_{name.replace('-', '_')}_made"
    await admin.execute(f"CREATE DATABASE {scratch}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            facts = await lived(name, f"postgresql+asyncpg://{POSTGRES}/{scratch}", Path(folder))
        keep(f"{name}.postgresql", dumped(f"postgresql://{POSTGRES}/{scratch}"), facts)
    finally:
        await admin.execute(f"DROP DATABASE {scratch} WITH (FORCE)")
        await admin.close()


asyncio.run(main(sys.argv[1]))
