"""PyPI arroba with one repository in its `MemoryStorage`: it commits what it is told to. Runs in arroba's own venv.

{"do": "fill", "posts": [[record key, record], …]}     -> how many there are then
{"do": "commit", "posts": [[record key, record], …]}   -> [milliseconds by the clock, of the processor]: medians of
                                                          a commit of each
"""

import asyncio
import statistics
import time
from typing import Any

from arroba.repo import Repo  # pyright: ignore[reportMissingImports]
from arroba.storage import MemoryStorage  # pyright: ignore[reportMissingImports]
from arroba.util import Action, Write, new_key  # pyright: ignore[reportMissingImports]

from tests.bench.child import answer

MOST = 200
"""Writes that arroba takes in one commit."""


async def main() -> None:
    storage = MemoryStorage()
    repo = Repo.create(storage, f"did:plc:{'a' * 24}", handle="arroba.test", signing_key=new_key())

    def write(rkey: str, record: dict[str, Any]) -> Any:
        return Write(Action.CREATE, record["$type"], rkey, record)

    async def handle(do: str, posts: list[tuple[str, dict[str, Any]]]) -> Any:
        if do == "fill":
            for start in range(0, len(posts), MOST):
                storage.commit(repo, [write(*post) for post in posts[start : start + MOST]])
            return repo.mst.leaf_count()
        spent: list[tuple[float, float]] = []
        for post in posts:
            wall, busy = time.perf_counter(), time.process_time()
            storage.commit(repo, write(*post))
            spent.append((time.perf_counter() - wall, time.process_time() - busy))
        return [statistics.median(each) * 1000 for each in zip(*spent, strict=True)]

    await answer({}, handle)


if __name__ == "__main__":
    asyncio.run(main())
