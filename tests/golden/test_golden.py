"""The golden table: every case, in all directions. `make golden-update` writes the files anew."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridged.testing import golden
from bridged.testing.dialect import Dialect
from tests.golden.atproto import OnAtproto
from tests.golden.dialects import OnActivityPub, OnNostr

HERE = Path(__file__).parent
PEOPLE: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "cast.yaml").read_text())
UPDATE = os.environ.get("GOLDEN") == "update"


@pytest.fixture(scope="module")
def dialects() -> dict[str, Dialect]:
    return {"activitypub": asyncio.run(OnActivityPub.started()), "nostr": OnNostr(), "atproto": OnAtproto()}


@pytest.mark.parametrize("case", golden.cases(HERE), ids=lambda case: case.name)
async def test_case_crosses_as_written(case: Path, dialects: dict[str, Dialect]) -> None:
    result = await golden.run(case, dialects, PEOPLE)
    if UPDATE:
        golden.update(case, result)
    found = golden.differences(case, result)
    assert not found, f"{found}\n\nIf that is better than before: make golden-update, and read the difference."


@pytest.mark.parametrize("file", ["neutral.json", "to-nostr.json", "meta.yaml"])
async def test_case_that_is_written_otherwise_is_found(file: str, tmp_path: Path, dialects: dict[str, Dialect]) -> None:
    case = shutil.copytree(HERE / "mastodon_language_region", tmp_path / "case")
    written = (case / file).read_text()
    (case / file).write_text(written.replace("lang", "tongue").replace("Bom", "Mau"))
    result = await golden.run(case, dialects, PEOPLE)
    assert f"case/{file} wanted" in golden.differences(case, result)
    golden.update(case, result)
    assert golden.differences(case, result) == ""
    assert (case / file).read_text() == written


async def test_placeholder_of_nobody_is_an_error(tmp_path: Path, dialects: dict[str, Dialect]) -> None:
    case = shutil.copytree(HERE / "nostr_like", tmp_path / "case")
    (case / "nostr.json").write_text((case / "nostr.json").read_text().replace("toot", "nothing"))
    with pytest.raises(KeyError):
        await golden.run(case, dialects, PEOPLE)


def test_every_case_says_what_must_survive() -> None:
    for case in golden.cases(HERE):
        assert len((case / "note.md").read_text().split()) >= 5, case.name
    assert len(golden.cases(HERE)) >= 350
