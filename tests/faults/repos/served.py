"""What the PDS hands out, against what its stream said."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from adapters.atproto.cid import Cid
from adapters.atproto.crypto import PublicKey, parse_multikey
from adapters.atproto.repo import car, commit, mst
from adapters.atproto.repo.mst import Nodes

from ..kit.daemon import Daemon

XRPC = "/xrpc/com.atproto.sync"


async def key_of(daemon: Daemon, did: str) -> PublicKey:
    """As the directory has it."""
    status, _, body = await daemon.get(f"/plc/{did}")
    assert status == 200, f"{did}: {status} {body!r}"
    return parse_multikey(json.loads(body)["verificationMethod"][0]["publicKeyMultibase"])


async def repo(
    daemon: Daemon, listed: Mapping[str, Any], head: tuple[str, Cid], records: Mapping[str, Cid]
) -> list[str]:
    """What is wrong with the file of a repository that stands at `head` (rev, tree) and holds `records`."""
    did = listed["did"]
    status, _, body = await daemon.get(f"{XRPC}.getRepo?did={did}")
    root, blocks = car.read(body, 100_000_000, 100_000)
    made = commit.read(blocks[root])
    found = _contents(blocks, made.data)
    wrong: list[str] = []
    if (status, str(root), made.rev, made.data) != (200, listed["head"], *head) or listed["rev"] != head[0]:
        wrong.append(f"{did} is served at {made.rev}, told to stand at {head[0]}, listed at {listed['rev']}")
    if found != dict(records) or not set(found.values()) <= blocks.keys():
        wrong.append(f"{did} holds {len(found)} records, {len(records)} were told of")
    return wrong


async def blob(daemon: Daemon, did: str, cid: str) -> list[str]:
    status, _, body = await daemon.get(f"{XRPC}.getBlob?did={did}&cid={cid}")
    good = status == 200 and bytes(Cid.parse(cid))[4:] == sha256(body).digest()
    return [] if good else [f"blob {cid} of {did}: {status}, {len(body)} bytes"]


def _contents(blocks: Mapping[Cid, bytes], tree: Cid) -> dict[str, Cid]:
    nodes = Nodes(blocks.get)
    return dict(mst.walk(nodes, nodes.node(tree, None)))
