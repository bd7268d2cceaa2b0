"""FEDERATION.md says what the code does."""

import re
from pathlib import Path

from adapters.activitypub import profiles, wanted
from adapters.activitypub.shapes import ACTOR_TYPES, POST_TYPES
from tests.unit.activitypub.site import Site

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "FEDERATION.md").read_text()
LINK = re.compile(
    r"\[FEP-([0-9a-f]{4})\]\(https://codeberg\.org/fediverse/fep/src/branch/main/fep/(.{4})/fep-(.{4})\.md\)"
)


def section(title: str) -> str:
    return re.split(r"^#+ ", PAGE.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def named(text: str) -> set[str]:
    return set(re.findall(r"`([A-Z][A-Za-z]+)`", text))


def test_page_has_the_sections_of_its_fep():
    titles = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert titles[:3] == ["Supported federation protocols and standards", "Supported FEPs", "ActivityPub"]
    assert titles[-1] == "Additional documentation"


def test_every_activity_read_is_listed_and_no_other():
    read = section("Activities").partition("Read, when")[2].partition("Others are")[0]
    assert named(read) == wanted._HANDLED  # pyright: ignore[reportPrivateUsage]


def test_every_object_read_is_listed_and_no_other():
    read = section("Objects").partition("Said:")[0]
    assert named(read) == POST_TYPES | ACTOR_TYPES


def test_every_object_said_is_listed_and_no_other():
    parts = {"Collection", "CollectionPage", "Emoji", "Hashtag", "Image", "Link", "Mention", "PropertyValue"}
    activities = wanted._HANDLED  # pyright: ignore[reportPrivateUsage]
    rooms = ("acts", "documents", "encode", "notes", "polls", "quotes")
    code = "".join((ROOT / "adapters" / "activitypub" / f"{room}.py").read_text() for room in rooms)
    said = {name for line in re.findall(r'"type": (.+)', code) for name in re.findall(r'"([A-Z]\w+)"', line)}
    assert said - parts - activities == named(section("Objects").partition("Said:")[2])


def test_every_fep_that_the_code_follows_is_linked():
    code = "".join(path.read_text() for path in (ROOT / "adapters" / "activitypub").glob("*.py"))
    links = LINK.findall(PAGE)
    assert all(one == two == three for one, two, three in links)
    assert set(re.findall(r"FEP-([0-9a-f]{4})", code)) <= {one for one, _, _ in links}
    assert len(re.findall(r"FEP-[0-9a-f]{4}\b", PAGE)) == len(links)


def test_words_that_say_no_are_those_that_are_read():
    for words in ("#nobridge", "#nobot"):
        assert words in section("Consent, and how to say no")
        assert profiles._REFUSAL.search(words)  # pyright: ignore[reportPrivateUsage]
    assert '"bridgeable": false' in section("Consent, and how to say no")


async def test_addresses_named_are_served(site: Site):
    copy = site.post(1)
    assert copy.ref is not None
    _, actor = await site.get("/users/nostr/" + "ab" * 32)
    for name in ("outbox", "followers", "following", "featured", "featuredTags"):
        assert f"`{name}`" in section("Addresses")
        response, _ = await site.get(actor[name].removeprefix(site.host.site.base_url))
        assert response.status == 200
        assert "ETag" in response.headers
        assert "Last-Modified" in response.headers
    response, _ = await site.get(f"{copy.ref.id}/replies".removeprefix(site.host.site.base_url))
    assert response.status == 200
