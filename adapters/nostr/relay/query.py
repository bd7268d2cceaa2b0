"""Finding events by filters, along indexes.

A filter becomes one or more branches, each an equality on what an index begins with, so that the newest come
out of the index in order and the limit ends the search. Filters with more combinations than that is worth
become one branch with sets.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import sqlalchemy as sa

from adapters.nostr.event import GIFT_WRAP
from adapters.nostr.filters import Filter
from adapters.nostr.relay import search
from adapters.nostr.relay.tables import events, key, tags, words
from bridged.api import Tx

MAX_LIMIT: Final = 500
"""Events that one filter brings."""
MAX_COUNT: Final = 10_000
"""Highest exact answer to COUNT."""
_BRANCHES: Final = 16

Branch = sa.Select[Any, Any]


def _anybody(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks. Gift wraps (NIP-59) are shown only to whom they are for: `keys`, or None, who sees everything.

    `searchable` says whether what a key wrote may be found by `search`.
    """

    keys: AbstractSet[str] | None = None
    searchable: Callable[[str], bool] = _anybody


BRIDGE: Final = Reader()


def find(tx: Tx, filters: Iterable[Filter], now: float, most: int = MAX_LIMIT, reader: Reader = BRIDGE) -> list[str]:
    """Ids of what meets any of the filters, newest first, at equal times by id; no filter brings more than its limit.

    What has expired by `now` is left out.
    """
    found = {(-at, event_id) for filter_ in filters for at, event_id in newest(tx, filter_, now, most, reader)}
    return [event_id for _, event_id in sorted(found)]


def newest(tx: Tx, filter_: Filter, now: float, most: int, reader: Reader = BRIDGE) -> list[tuple[int, str]]:
    """(created_at, id) of what meets the filter, newest first; no more than its limit, and than `most`."""
    limit = most if filter_.limit is None else min(filter_.limit, most)
    branches = _branches(tx, filter_, now, limit, reader) if limit else []
    if not branches:
        return []
    rows = tx.execute(branches[0] if len(branches) == 1 else sa.union_all(*map(_nested, branches))).all()
    ordered = sorted({(-at, event_id) for event_id, at in rows})
    return [(-at, event_id) for at, event_id in ordered[:limit]]


def count(tx: Tx, filters: Iterable[Filter], now: float, reader: Reader = BRIDGE) -> int:
    """How many events meet any of the filters, whatever their limits; MAX_COUNT + 1 for any number above MAX_COUNT."""
    terms = [
        _nested(branch.order_by(None))
        for filter_ in filters
        for branch in _branches(tx, filter_, now, MAX_COUNT + 1, reader)
    ]
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


def _branches(tx: Tx, filter_: Filter, now: float, limit: int, reader: Reader) -> list[Branch]:
    """Selects of (id, created_at), newest first, at most `limit` each; none when nothing can match."""
    sets = (filter_.ids, filter_.authors, filter_.kinds, *(values for _, values in filter_.tags))
    if any(values is not None and not values for values in sets):
        return []
    shown = [_alive(now), *_shown(filter_, reader)]
    if filter_.search is not None and search.asks(filter_.search):
        return _found_branch(tx, filter_, shown, limit, reader)
    if filter_.ids is None and filter_.tags:
        return _tag_branches(filter_, shown, limit)
    rest = [*_times(filter_, events), *shown]
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


def _found_branch(tx: Tx, filter_: Filter, shown: list[Any], limit: int, reader: Reader) -> list[Branch]:
    """What a search finds, by id; who may be searched is no question for the database."""
    wanted = search.words_in(filter_.search or "")
    candidates = search.candidates(tx, wanted, _times(filter_, words)) if wanted else None
    if candidates is None:
        return []
    met = [*shown, *(_has_tag(name, values) for name, values in filter_.tags)]
    for column, values in (
        (events.c.id, filter_.ids),
        (events.c.pubkey, filter_.authors),
        (events.c.kind, filter_.kinds),
    ):
        if values is not None:
            met.append(column.in_(sorted(values)))
    rows = tx.execute(
        sa.select(events.c.id, events.c.created_at, events.c.pubkey)
        .join(candidates, events.c.id == candidates.c.event_id)
        .where(*met)
    ).all()
    shown_of = {pubkey: reader.searchable(pubkey) for pubkey in {row[2] for row in rows}}
    found = sorted((-at, event_id) for event_id, at, pubkey in rows if shown_of[pubkey])[:limit]
    ids = [event_id for _, event_id in found]
    return [sa.select(events.c.id, events.c.created_at).where(events.c.id.in_(ids))] if ids else []


def _tag_branches(filter_: Filter, shown: list[Any], limit: int) -> list[Branch]:
    """Led by the tag with the fewest values; what else there is, is looked up for each event found."""
    (name, values), *others = sorted(filter_.tags, key=_size)
    keys = sorted(key(name, value) for value in values)
    rest = [*_times(filter_, tags), *shown]
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


def _shown(filter_: Filter, reader: Reader) -> list[Any]:
    if reader.keys is None or (filter_.kinds is not None and GIFT_WRAP not in filter_.kinds):
        return []
    public = events.c.kind != GIFT_WRAP
    return [public | _has_tag("p", reader.keys) if reader.keys else public]


def _alive(now: float) -> Any:
    return events.c.expires.is_(None) | (events.c.expires > int(now))


def _combinations(choices: Iterable[Sequence[object]]) -> int:
    number = 1
    for choice in choices:
        number *= len(choice)
    return number


def _size(tag: tuple[str, frozenset[str]]) -> int:
    return len(tag[1])
