"""Schema upgrades by Alembic, without its command line: each folder of migrations keeps its own version table.

A database that is up to date, which is what nearly every start finds, does without it: importing Alembic takes 10 MB
that stay, and a tenth of a second.
"""

import re
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from bridged.seams import seam

_ASSIGNED = re.compile(r"""^(revision|down_revision)\b[^=\n]*=\s*["\']([^"\']+)["\']""", re.MULTILINE)


class Later(Exception):
    """The tables are those of a later version than this."""


CORE = Path(__file__).parent / "migrations"


def upgrade(conn: Connection, folder: Path, table: str, to: str = "head") -> None:
    """Runs what is missing of `folder`, up to `to`, in one transaction; `table` remembers how far it got.

    Raises Later.
    """
    newest = _newest(folder)
    if to == "head" and newest is not None and _version(conn, table) == newest:
        conn.rollback()
        return

    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    script = ScriptDirectory(str(folder))

    def steps(revision: Any, _context: MigrationContext) -> Any:
        try:
            return script._upgrade_revs(to, revision)  # pyright: ignore[reportPrivateUsage]
        except CommandError as e:
            raise Later(f"{table} {revision}") from e

    context = MigrationContext.configure(
        conn,
        opts={"version_table": table, "fn": steps},
    )
    with context.begin_transaction(), Operations.context(context):
        context.run_migrations()
        seam("store.migrating")
    conn.commit()
    seam("store.migrated")


def _version(conn: Connection, table: str) -> str | None:
    """How far this folder's migrations got, as Alembic wrote it down; None for a database without them."""
    if not inspect(conn).has_table(table):
        return None
    return conn.exec_driver_sql(f'SELECT version_num FROM "{table}"').scalar()


def _newest(folder: Path) -> str | None:
    """The revision that no other comes after, read from the files; None where that is not clear."""
    revisions: set[str] = set()
    before: set[str] = set()
    for path in (folder / "versions").glob("*.py"):
        said = dict(_ASSIGNED.findall(path.read_text()))
        if "revision" not in said:
            return None
        revisions.add(said["revision"])
        before.add(said.get("down_revision", ""))
    last = revisions - before
    return last.pop() if len(last) == 1 else None
