"""What the rooms of the adapter may not do."""

from pathlib import Path


def test_rooms_that_translate_do_no_io():
    folder = Path(__file__).parents[3] / "adapters" / "activitypub"
    for name in ("decode", "posts", "encode", "notes", "documents", "ids", "shapes", "reading", "wanted"):
        source = (folder / f"{name}.py").read_text()
        for library in ("aiohttp", "sqlalchemy", "structlog", "import time", "import random", "asyncio"):
            assert library not in source, (name, library)
