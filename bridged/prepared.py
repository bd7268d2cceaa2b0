"""Statements that are run over and over: put together once, and on SQLite given straight to the driver.

SQLAlchemy takes 20 to 60 µs for each statement, the driver of SQLite one or two. Which SQL is sent is still
SQLAlchemy's doing, and so is everything on PostgreSQL.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import BindParameter, Connection, Executable
from sqlalchemy.sql.visitors import replacement_traverse

_LONGEST = 1000
"""Values that one list in a statement may have here; SQLAlchemy takes more."""


class Rows(list[Any]):
    """What a statement gave: rows as named tuples, with those methods of SQLAlchemy's results that are used."""

    rowcount = -1

    def all(self) -> "Rows":
        return self

    def first(self) -> Any:
        return self[0] if self else None

    def one(self) -> Any:
        """Raises ValueError unless there is exactly one."""
        (row,) = self
        return row

    def scalars(self) -> "Rows":
        return Rows(row[0] for row in self)

    def scalar(self) -> Any:
        return self[0][0] if self else None

    def scalar_one(self) -> Any:
        """Raises ValueError unless there is exactly one row."""
        return self.one()[0]


@dataclass(frozen=True, slots=True)
class _Plain:
    """SQL as the driver takes it: `values` makes its arguments of the parameters, `row` a row of what it gives."""

    sql: str
    values: Callable[[Mapping[str, Any]], Sequence[Any]]
    row: Callable[[Sequence[Any]], Any] | None


@dataclass(frozen=True, slots=True)
class _Slot:
    """Stands for a parameter while a statement is put together; `index` for one of a list."""

    name: str
    index: int = -1


class Prepared:
    """A statement that never changes but for its parameters; given to `Tx.execute`, with a dict or a list of dicts.

    What a column says must be what SQLite itself says: texts, numbers, bytes. Every parameter and every column of an
    INSERT is to be given a value. A list may have an empty one, of one length or another.
    """

    def __init__(self, statement: Executable) -> None:
        self.statement: Any = statement
        self._plain: dict[tuple[Any, ...], _Plain] = {}

    @cached_property
    def _lists(self) -> list[str]:
        """Parameters that are lists. To ask takes as long as a statement of SQLAlchemy's: not for what is never run."""
        return [bind.key for bind in _binds(self.statement) if bind.expanding]

    def run(self, conn: Connection, parameters: Any) -> Any:
        if conn.dialect.name != "sqlite":
            return conn.execute(self.statement, parameters)
        driver: Any = conn.connection.dbapi_connection
        if isinstance(parameters, list):
            rows = cast("list[Mapping[str, Any]]", parameters)
            plain = self._put_together(conn, rows[0])
            found = Rows()
            found.rowcount = driver.executemany(plain.sql, [plain.values(row) for row in rows]).rowcount
            return found
        given: Mapping[str, Any] = parameters or {}
        if self._lists:
            given = {**given, **{name: _padded(given[name]) for name in self._lists}}
            if any(len(given[name]) > _LONGEST for name in self._lists):
                return conn.execute(self.statement, parameters)
        plain = self._put_together(conn, given)
        cursor = driver.execute(plain.sql, plain.values(given))
        # to the end, which lets go of the snapshot
        found = Rows(map(plain.row, cursor.fetchall())) if plain.row else Rows()
        found.rowcount = cursor.rowcount
        return found

    def _put_together(self, conn: Connection, given: Mapping[str, Any]) -> _Plain:
        key = (*given, *(len(given[name]) for name in self._lists)) if self._lists else tuple(given)
        plain = self._plain.get(key)
        if plain is None:
            plain = self._plain[key] = _compiled(self.statement, conn, given, self._lists)
        return plain


def _binds(statement: Any) -> list[Any]:
    return list(statement.compile().binds.values())


def _padded(values: Any) -> list[Any]:
    """With the last value again and again, so that there are few lengths, and few statements."""
    found = list(values)
    size = 1 << (len(found) - 1).bit_length() if found else 0
    return found + found[-1:] * (size - len(found))


def _compiled(statement: Any, conn: Connection, given: Mapping[str, Any], lists: Sequence[str]) -> _Plain:
    made = _with_constants(statement).compile(dialect=conn.dialect, column_keys=list(given))
    slots: dict[str, Any] = {name: _Slot(name) for name in given}
    slots |= {name: [_Slot(name, n) for n in range(len(given[name]))] for name in lists}
    state = made.construct_expanded_state(slots)
    names = [column.keyname for column in made._result_columns]  # pyright: ignore[reportPrivateUsage]
    row = namedtuple("Row", names, rename=True)._make if names else None  # pyright: ignore[reportUntypedNamedTuple]
    return _Plain(state.statement, _taker(state.positional_parameters), row)


def _with_constants(statement: Any) -> Any:
    """With what is always the same said in the SQL: given as a parameter that an index of some rows depends on, it
    would have SQLite plan anew each time."""

    def said(element: Any, **_: Any) -> Any:
        constant = isinstance(element, BindParameter) and not (element.required or element.expanding)
        return cast("Any", element).render_literal_execute() if constant else None

    return cast("Any", replacement_traverse(statement, {}, said))


def _taker(order: Sequence[Any]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """What makes the driver's arguments of the parameters: `order` has slots, and a constant here and there."""
    if len(order) > 1 and all(isinstance(at, _Slot) and at.index < 0 for at in order):
        return itemgetter(*(at.name for at in order))

    def values(given: Mapping[str, Any]) -> Sequence[Any]:
        return [
            (given[at.name] if at.index < 0 else given[at.name][at.index]) if isinstance(at, _Slot) else at
            for at in order
        ]

    return values
