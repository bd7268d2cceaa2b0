"""The same words from many accounts that are new here."""

from typing import Any

import pytest

from bridged.echoes import FRESH, MAX_WORDS, WITHIN, Echoes
from bridged.model import Media, PostBody, Ref, Span, Text
from tests.unit.core.test_stations_acts import Scene

SPAM = "Buy these wonderful coins while they last"


def _body(author: str, text: str = SPAM, *spans: Span, media: tuple[Media, ...] = ()) -> PostBody:
    return PostBody(Ref("red", f"{author}/1"), Ref("red", author), Text(text, spans), 0.0, media)


def _said(echoes: Echoes, count: int, text: str = SPAM, at: float = 0.0, **more: Any) -> list[bool]:
    return [echoes.too_many(Ref("red", f"new{n}"), _body(f"new{n}", text, **more), at) for n in range(count)]


def test_the_first_few_are_heard_and_no_more() -> None:
    echoes = Echoes(3)
    assert _said(echoes, 5) == [False, False, False, True, True]
    assert _said(echoes, 5) == [False, False, False, True, True], "who was heard may repeat it: the step is repeated"
    assert _said(echoes, 1, "Something else that somebody says") == [False]


def test_whom_it_mentions_and_how_it_is_spaced_makes_no_difference() -> None:
    echoes = Echoes(1)
    for n, text in enumerate((f"@ann {SPAM}", f"@bob   {SPAM.upper()} ")):
        body = _body(f"new{n}", text, Span(0, 4, "mention", Ref("blue", text[1:4])))
        assert echoes.too_many(body.author, body, 0.0) is (n == 1)


@pytest.mark.parametrize("text", ["", "gm", "Thank you!", "🎉🎉🎉"])
def test_greetings_are_anybodys(text: str) -> None:
    assert not any(_said(Echoes(1), 50, text))


def test_few_words_with_a_picture_or_link_count() -> None:
    assert _said(Echoes(1), 2, "wow", media=(Media("https://spam.example/1.png"),)) == [False, True]
    link = Span(0, 3, "link", "https://spam.example/")
    said = [Echoes(1)]
    assert [said[0].too_many(Ref("red", n), _body(n, "wow", link), 0.0) for n in "ab"] == [False, True]


def test_words_are_forgotten_after_an_hour_of_silence() -> None:
    echoes = Echoes(1)
    assert _said(echoes, 2) == [False, True]
    assert echoes.too_many(Ref("red", "new1"), _body("new1"), WITHIN), "each echo renews it"
    assert not echoes.too_many(Ref("red", "new1"), _body("new1"), 2 * WITHIN + 1)


def test_zero_is_any_number() -> None:
    assert not any(_said(Echoes(0), 50))


def test_memory_is_bounded() -> None:
    echoes = Echoes(1)
    for n in range(MAX_WORDS + 10):
        _said(echoes, 1, f"{SPAM} {n}")
    assert len(echoes._said) == MAX_WORDS  # pyright: ignore[reportPrivateUsage]


async def test_accounts_that_are_new_here_are_cut_off_and_others_are_not(bridge_of: Any) -> None:
    scene = await Scene().start(bridge_of, same_words=2)
    await scene.bridge.wait(FRESH)
    said = {}
    for who in ("n1", "n2", "n3", "bob"):
        scene.blue.join(who)
        said[who] = scene.blue.post(who, SPAM, mentions=(scene.alice_there,))
        await scene.bridge.hear(said[who])
    assert scene.red.texts().count(SPAM) == 3
    assert await scene.reasons(scene.blue.ref(said["n3"].id)) == [("dropped", "same-words")]
