"""Films with a title as events of their own kind (NIP-71)."""

from dataclasses import replace

import pytest

from bridged.api import Edit, Media, Post
from tests.unit.nostr.test_nostr_encode import BODY, copy, drafts, one

FILM = Media("https://tube.test/1.mp4", "video/mp4", size=(1920, 1080))
SHOWN = replace(BODY, title="Bees", media=(FILM,))


@pytest.mark.parametrize(("size", "kind"), [((1920, 1080), 34235), ((1080, 1920), 34236), (None, 34235)])
def test_a_titled_film_is_a_video_of_its_shape(size: tuple[int, int] | None, kind: int) -> None:
    draft = one(Post(replace(SHOWN, media=(replace(FILM, size=size),))))
    assert draft.kind == kind
    assert ("title", "Bees") in draft.tags
    assert draft.content == "Hello", "the film is in its imeta, the title in its tag"
    assert [tag[1] for tag in draft.tags if tag[0] == "imeta"] == ["url https://tube.test/1.mp4"]


def test_a_film_among_pictures_or_without_a_title_is_a_note_or_article() -> None:
    picture = Media("https://tube.test/1.png", "image/png")
    assert one(Post(replace(SHOWN, media=(FILM, picture)))).kind == 30023
    assert one(Post(replace(SHOWN, title=""))).kind == 1


def test_an_edited_video_takes_the_place_of_the_old() -> None:
    old = copy(34235, [["d", "x"]], at=9_000_000_000)
    (draft,) = drafts(Edit(replace(SHOWN, title="More bees")), previous=(old,))
    assert (draft.kind, draft.at) == (34235, 9_000_000_001)
