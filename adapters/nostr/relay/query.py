"""Finding events by filters, along indexes.

A filter becomes one or more branches, each an equality on what an index begins with, so that the newest come
out of the index in order and the limit ends the search. Filters with more combinations than that is worth
become one branch with sets.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, Final

import sqlalchemy as sa

from adapters.nostr.filters import Filter
from adapters.nostr.relay.tables import events, key, tags
from bridged.api import Tx

MAX_LIMIT: Final = 500
"""Events that one filter brings."""
MAX_COUNT: Final = 10_000
"""Highest exact answer to COUNT."""
_BRANCHES: Final = 16

Branch = sa.Select[Any, Any]


def find(tx: Tx, filters: Iterable[Filter], now: float, most: int = MAX_LIMIT) -> list[str]:
    """Ids of what meets any of the filters, newest first, at equal times by id; no filter brings more than its limit.

    What has expired by `now` is left out.
    """
    found: dict[str, int] = {}
    for filter_ in filters:
        limit = most if filter_.limit is None else min(filter_.limit, most)
        branches = _branches(filter_, now, limit) if limit else []
        if not branches:
            continue
        rows = tx.execute(branches[0] if len(branches) == 1 else sa.union_all(*map(_nested, branches))).all()
        for at, event_id in sorted({(-at, event_id) for event_id, at in rows})[:limit]:
            found[event_id] = at
    return [event_id for _, event_id in sorted((at, event_id) for event_id, at in found.items())]


def count(tx: Tx, filters: Iterable[Filter], now: float) -> int:
    """How many events meet any of the filters, whatever their limits; MAX_COUNT + 1 for any number above MAX_COUNT."""
    terms = [_nested(branch.order_by(None)) for filter_ in filters for branch in _branches(filter_, now, MAX_COUNT + 1)]
    if not terms:
        return 0
    table = sa.union_all(*terms).subquery()
    number: int = tx.execute(sa.select(sa.func.count(table.c.id.distinct()))).scalar_one()
    return min(number, MAX_COUNT + 1)


def bodies(tx: Tx, event_ids: Sequence[str]) -> list[bytes]:
    """The JSON of those events that are still held, in the order given."""
    rows = tx.execute(sa.select(events.c.id, events.c.body).where(events.c.id.in_(event_ids))).all()
    held = {event_id: bytes(body) for event_id, body in rows}
    return [held[event_id] for event_id in event_ids if event_id in held]


def _nested(branch: Branch) -> Branch:
    """A branch as a term of a union: order and limit are not allowed there bare."""
    return sa.select(branch.subquery())


def _branches(filter_: Filter, now: float, limit: int) -> list[Branch]:
    """Selects of (id, created_at), newest first, at most `limit` each; none when nothing can match."""
    sets = (filter_.ids, filter_.authors, filter_.kinds, *(values for _, values in filter_.tags))
    if any(values is not None and not values for values in sets):
        return []
    if filter_.ids is None and filter_.tags:
        return _tag_branches(filter_, now, limit)
    rest = [*_times(filter_, events), _alive(now)]
    choices: list[list[Any]] = []
    if filter_.ids is not None:
        rest.append(events.c.id.in_(sorted(filter_.ids)))
        rest += [_has_tag(name, values) for name, values in filter_.tags]
    for column, values in ((events.c.pubkey, filter_.authors), (events.c.kind, filter_.kinds)):
        if values is not None:
            choices.append([column == value for value in sorted(values)])
    if filter_.ids is not None or _combinations(choices) > _BRANCHES:
        choices = [
            [column.in_(sorted(values))]
            for column, values in ((events.c.pubkey, filter_.authors), (events.c.kind, filter_.kinds))
            if values is not None
        ]
    return [
        sa.select(events.c.id, events.c.created_at)
        .where(*chosen, *rest)
        .order_by(events.c.created_at.desc(), events.c.id)
        .limit(limit)
        for chosen in product(*choices)
    ]


def _tag_branches(filter_: Filter, now: float, limit: int) -> list[Branch]:
    """Led by the tag with the fewest values; what else there is, is looked up for each event found."""
    (name, values), *others = sorted(filter_.tags, key=_size)
    keys = sorted(key(name, value) for value in values)
    rest = [*_times(filter_, tags), _alive(now)]
    rest += [_has_tag(other, wanted) for other, wanted in others]
    if filter_.authors is not None:
        rest.append(events.c.pubkey.in_(sorted(filter_.authors)))
    several = False
    choices: list[list[Any]] = [[tags.c.key == each for each in keys]]
    if filter_.kinds is not None:
        choices.append([tags.c.kind == kind for kind in sorted(filter_.kinds)])
    if _combinations(choices) > _BRANCHES:
        several = len(keys) > 1
        choices = [[tags.c.key.in_(keys)]]
        if filter_.kinds is not None:
            choices.append([tags.c.kind.in_(sorted(filter_.kinds))])
    columns = sa.select(tags.c.event_id.label("id"), tags.c.created_at)
    if several:
        columns = columns.distinct()
    return [
        columns.join(events, events.c.id == tags.c.event_id)
        .where(*chosen, *rest)
        .order_by(tags.c.created_at.desc(), tags.c.event_id)
        .limit(limit)
        for chosen in product(*choices)
    ]


def _has_tag(name: str, values: Iterable[str]) -> Any:
    """One look-up by the whole primary key, for each event found and each value."""
    other = tags.alias()
    return sa.exists().where(
        other.c.key.in_(sorted(key(name, value) for value in values)),
        other.c.kind == events.c.kind,
        other.c.created_at == events.c.created_at,
        other.c.event_id == events.c.id,
    )


def _times(filter_: Filter, table: sa.Table) -> list[Any]:
    found: list[Any] = []
    if filter_.since is not None:
        found.append(table.c.created_at >= filter_.since)
    if filter_.until is not None:
        found.append(table.c.created_at <= filter_.until)
    return found


def _alive(now: float) -> Any:
    return events.c.expires.is_(None) | (events.c.expires > int(now))


def _combinations(choices: Iterable[Sequence[object]]) -> int:
    number = 1
    for choice in choices:
        number *= len(choice)
    return number


def _size(tag: tuple[str, frozenset[str]]) -> int:
    return len(tag[1])
