"""Requests to the inbox that are not signed as they must be: refused, counted, and nothing is changed.

Over real sockets, as a stranger would send them: each case is followed by an honest post that is heard.
"""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .kit.scene import Scene, scene
from .kit.spoilt import ALL, CASES, Request

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("signatures")) as made:
        made.peer.actor("nina")
        yield made


@pytest.mark.parametrize("how", CASES)
async def test_request_that_is_not_rightly_signed_is_refused(here: Scene, how: str) -> None:
    spoil, reasons = CASES[how]
    request = Request(here)
    spoil(request)
    here.other.got.clear()
    async with here.refuses(*reasons.split()):
        assert await here.post(request.body, request.headers, request.url) == 401
        assert here.other.got == [], "no stranger's server is asked"


@pytest.mark.parametrize("scheme", ["cavage", "rfc9421", "hs2019"])
async def test_same_request_unspoilt_is_heard(here: Scene, scheme: str) -> None:
    """What all the cases above are made of."""
    request = Request(here)
    if scheme == "hs2019":
        request.cavage(f"{ALL} content-type", "hs2019")
    else:
        request.sign(scheme)
    assert await here.post(request.body, request.headers) == 202
    assert await here.daemon.rows(f"SELECT id FROM inbox WHERE native_id = '{json.loads(request.body)['id']}'")


async def test_replay_is_taken_once(here: Scene) -> None:
    request = Request(here)
    assert await here.post(request.body, request.headers) == 202
    async with here.refuses("duplicate", kind="dropped"):
        assert await here.post(request.body, request.headers) == 202
