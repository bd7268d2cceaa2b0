"""What we say is read back with all that means something in it, in every script."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapters.activitypub.decode import decode
from bridged.api import Envelope, Post, Ref, Span
from tests.unit.activitypub.fake import GHOST, NOW
from tests.unit.activitypub.telling import BOB, OTHER, OTHERS_GHOST, POST, body, said

SCRIPTS = st.sampled_from(
    ["a", "é", "日本語", "हिन्दी", "👨\u200d👩\u200d👧", "العربية", "עברית", "ไทย", "한국어", "<b>", "&"]
)
MEANT = st.one_of(
    st.sampled_from([BOB.ref, OTHER.ref]).map(lambda ref: ("mention", ref, "@someone")),
    st.sampled_from(["Go", "日本語", "עברית", "ไทย"]).map(lambda name: ("tag", name, f"#{name}")),
    st.sampled_from(["https://a.test/x?y=1&z", "https://例え.jp/路"]).map(lambda url: ("link", url, url)),
    st.sampled_from(["a", "b_c"]).map(lambda code: ("emoji", f"https://e.test/{code}.png", f":{code}:")),
)


@given(st.lists(st.tuples(SCRIPTS, MEANT, st.sampled_from([" ", "\n", "\n\n"])), max_size=6))
def test_nothing_that_means_something_is_lost_on_the_way_there_and_back(parts: list[Any]):
    plain, spans = "", list[Span]()
    for word, (kind, target, letters), gap in parts:
        plain += f"{word} "
        spans.append(Span(len(plain), len(plain) + len(letters), kind, target))
        plain += letters + gap
    (part,) = said(Post(body(plain, *spans)), POST).parts
    (back,) = decode(Envelope("activitypub", "x", part.body, "inbox", GHOST.ref, NOW))
    there = {OTHER.ref: OTHERS_GHOST.ref}
    text = back.act.body.text
    found = [(s.kind, s.target) for s in text.spans]
    assert [kind for kind, _ in found] == [span.kind for span in spans]
    meant = [there.get(s.target, s.target) if isinstance(s.target, Ref) else s.target for s in spans]
    assert [target for kind, target in found if kind != "link"] == [
        target for target, span in zip(meant, spans, strict=True) if span.kind != "link"
    ]
    assert set(text.mentions()) == {ref for ref in meant if isinstance(ref, Ref)}
    assert all(str(target).startswith("https://") for kind, target in found if kind == "link")
