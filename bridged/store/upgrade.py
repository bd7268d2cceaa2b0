"""Schema upgrades by Alembic, without its command line: each folder of migrations keeps its own version table."""

from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from bridged.seams import seam


class Later(Exception):
    """The tables are those of a later version than this."""


CORE = Path(__file__).parent / "migrations"


def upgrade(conn: Connection, folder: Path, table: str, to: str = "head") -> None:
    """Runs what is missing of `folder`, up to `to`, in one transaction; `table` remembers how far it got.

    Raises Later.
    """
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
