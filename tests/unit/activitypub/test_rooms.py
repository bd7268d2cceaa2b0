"""What the rooms of the adapter may not do."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "adapters" / "activitypub"
PURE = (
    "acts", "decode", "documents", "encode", "html", "html_out", "ids", "marks", "markup", "media", "notes", "polls",
    "posts", "profiles", "quotes", "readable", "reading", "saying", "shapes", "texts", "times", "wanted",
)  # fmt: skip


def test_rooms_that_translate_do_no_io():
    for name in PURE:
        source = (FOLDER / f"{name}.py").read_text()
        for library in ("aiohttp", "sqlalchemy", "structlog", "time", "random", "asyncio"):
            assert not re.search(rf"^(?:import|from) {library}\b", source, re.MULTILINE), (name, library)
