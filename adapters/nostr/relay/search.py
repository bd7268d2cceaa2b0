"""Search by words (NIP-50): an index of words that works alike on every database.

An event is found when it holds all words of the question, as whole words, whatever their case. Scripts written
without spaces are indexed letter by letter. Of the rarest word the newest WINDOW events are looked at, so that
no question costs more than that.
"""

import unicodedata
from collections.abc import Iterable
from typing import Any, Final, Protocol, cast

import msgspec
import regex
import sqlalchemy as sa

from adapters.nostr import plan
from adapters.nostr.event import Event, parse_event, tag_values
from adapters.nostr.relay.tables import events, texts, words
from bridged.api import Prepared

WINDOW: Final = 5_000
MAX_SEARCHES: Final = 2
"""Filters with `search` in one question."""
KINDS: Final = frozenset({0, 11}) | plan.POST_KINDS
"""Kinds with text for people."""

_MAX_WORDS: Final = 300
"""Of one event; what comes later in it is not found."""
_MAX_ASKED: Final = 16
"""Of a question; what comes later is not asked for."""
_MAX_LENGTH: Final = 40
_TITLES: Final = ("title", "summary", "alt")
_PROFILE: Final = ("name", "display_name", "about", "nip05")

_UNSPACED: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD: Final = regex.compile(rf"[{_UNSPACED}]|[[\w\p{{M}}]--[{_UNSPACED}]]+", regex.VERSION1)
_EXTENSION: Final = regex.compile(r"[a-z_]+:(?!//)\S+")


_INSERT_TEXTS: Final = Prepared(sa.insert(texts))
_INSERT_WORDS: Final = Prepared(sa.insert(words))
_NUMBERS: Final = Prepared(
    sa.select(texts.c.event_id, texts.c.seq).where(texts.c.event_id.in_(sa.bindparam("ids", expanding=True)))
)
_DELETE_WORDS: Final = sa.delete(words).where(
    words.c.word == sa.bindparam("said"),
    words.c.created_at == sa.bindparam("at"),
    words.c.seq == sa.bindparam("number"),
)


class _Executes(Protocol):
    def execute(self, statement: Any, parameters: Any = None) -> Any: ...


def words_of(event: Event) -> frozenset[str]:
    """What an event is found by; nothing for kinds without text."""
    return frozenset(_words(" ".join(_text(event)), _MAX_WORDS)) if event.kind in KINDS else frozenset()


def asks(question: str) -> bool:
    """Whether it asks for anything: `key:value` extensions are ignored, since none is supported."""
    return bool(_spoken(question))


def words_in(question: str) -> frozenset[str]:
    """What to look for; nothing is found by a question without a word."""
    return frozenset(_words(_spoken(question), _MAX_ASKED))


def index(tx: _Executes, *several: Event) -> None:
    """Make events that have just been stored findable."""
    found = [(event, said) for event in several if (said := words_of(event))]
    if not found:
        return
    tx.execute(_INSERT_TEXTS, [{"event_id": event.id} for event, _ in found])
    numbers = dict(tx.execute(_NUMBERS, {"ids": [event.id for event, _ in found]}).all())
    rows = [
        {"word": word, "created_at": event.created_at, "seq": numbers[event.id]}
        for event, said in found
        for word in said
    ]
    # in the order of the index: neighbours are put in together
    tx.execute(_INSERT_WORDS, sorted(rows, key=lambda row: (row["word"], row["created_at"], row["seq"])))


def forget(tx: _Executes, event_ids: Iterable[str]) -> None:
    """Of events that are about to be thrown away.

    Their words are found by reading them again, so that the words need no second index, which would be the
    largest of all. Whoever changes `words_of` has to index anew what is held.
    """
    held = sa.select(texts.c.seq, events.c.body).join(events, events.c.id == texts.c.event_id)
    rows = tx.execute(held.where(texts.c.event_id.in_(list(event_ids)))).all()
    if not rows:
        return
    doomed: list[dict[str, Any]] = []
    for seq, body in rows:
        event = parse_event(bytes(body))
        doomed += [{"said": word, "at": event.created_at, "number": seq} for word in words_of(event)]
    if doomed:
        tx.execute(_DELETE_WORDS, doomed)
    tx.execute(sa.delete(texts).where(texts.c.seq.in_([seq for seq, _ in rows])))


def candidates(tx: _Executes, wanted: frozenset[str], times: Iterable[Any]) -> sa.Subquery | None:
    """Ids (`event_id`) of at most WINDOW events that hold all the words; None when there are none.

    `times` are conditions on `words.created_at`.
    """
    counts: dict[str, int] = {}
    for word in wanted:
        some = sa.select(words.c.seq).where(words.c.word == word).limit(WINDOW).subquery()
        counts[word] = tx.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    rarest, *others = sorted(wanted, key=lambda word: (counts[word], word))
    if not counts[rarest]:
        return None
    newest = (
        sa.select(words.c.created_at, words.c.seq)
        .where(words.c.word == rarest, *times)
        .order_by(words.c.created_at.desc(), words.c.seq.desc())
        .limit(WINDOW)
        .subquery()
    )
    found = sa.select(texts.c.event_id).join(newest, texts.c.seq == newest.c.seq)
    for word in others:
        other = words.alias()
        found = found.where(
            sa.exists().where(
                other.c.word == word, other.c.created_at == newest.c.created_at, other.c.seq == newest.c.seq
            )
        )
    return found.subquery()


def _spoken(question: str) -> str:
    return " ".join(part for part in question.split() if _EXTENSION.fullmatch(part) is None)


def _words(text: str, most: int) -> list[str]:
    """Distinct, in order; those that are endless are no words."""
    found: dict[str, None] = {}
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).casefold()):
        word = match.group()
        if len(word) <= _MAX_LENGTH:
            found[word] = None
            if len(found) == most:
                break
    return list(found)


def _text(event: Event) -> Iterable[str]:
    for name in _TITLES:
        yield from tag_values(event, name)
    if event.kind != 0:
        yield event.content
        return
    try:
        content: object = msgspec.json.decode(event.content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return
    if isinstance(content, dict):
        members = cast(dict[str, object], content)
        yield from (value for name in _PROFILE if isinstance(value := members.get(name), str))
