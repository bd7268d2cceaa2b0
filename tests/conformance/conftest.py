"""Databases that have the tables of all adapters."""

import pytest

from adapters.activitypub.adapter import ActivityPub
from adapters.atproto.adapter import Atproto
from adapters.nostr.adapter import Nostr
from tests import databases


@pytest.fixture
def tables() -> databases.Migrations:
    adapters = [(a.migrations, f"{a.network}_version") for a in (ActivityPub, Atproto, Nostr) if a.migrations]
    return (*databases.CORES, *adapters)
