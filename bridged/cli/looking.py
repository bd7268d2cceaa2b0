"""`bridged check`, `status` and `trace`: they look, beside a running daemon or without one, and change nothing."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bridged import checks
from bridged import trace as traces
from bridged.adapter import Finding
from bridged.cli.output import NO, Failure, show
from bridged.cli.settled import carry_out
from bridged.config import Settings
from bridged.core import Core
from bridged.daemon import opened
from bridged.logs import plain
from bridged.store import acts, dead, hosts, identity, inboxes, ledger, processes, queued
from bridged.store.engine import Tx

HOUR = 3600.0


def check(file: Path, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        found: list[Finding] = []
        async for finding in checks.findings(str(file), settings):
            found.append(finding)
            if not as_json:
                show(None, _line(finding), False)
        ok = all(f.ok for f in found)
        if as_json:
            show({"ok": ok, "findings": [asdict(f) for f in found]}, [], True)
        return 0 if ok else NO

    return carry_out(file, work)


def _line(finding: Finding) -> list[str]:
    head = f"{'ok' if finding.ok else '✗ '} {finding.what}: {finding.said}"
    return [plain(head)] + ([plain(f"     {finding.mend}")] if finding.mend and not finding.ok else [])


def status(file: Path, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        async with opened(settings, mint=False) as daemon:
            document = await daemon.core.store.read(lambda tx: _status(daemon.core, tx))
            show(document, _status_lines(document), as_json)
            return 0

    return carry_out(file, work)


def _status(core: Core, tx: Tx) -> dict[str, Any]:
    now = core.now()
    counted = identity.count_members(tx)
    members: Counter[tuple[str, str]] = Counter()
    for (network, state, _), count in counted.items():
        members[network, state] += count
    depths = queued.depth(tx)
    waiting, since = inboxes.backlog(tx, now)
    hour: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (step, reason), count in sorted(ledger.tally(tx, now - HOUR).items()):
        hour[step][reason] = count
    networks: dict[str, Any] = {}
    for network in sorted(core.adapters):
        depth, oldest = depths.get(network, (0, None))
        networks[network] = {
            "consent": core.consent(network),
            "members": members[network, "in"],
            "left": members[network, "out"],
            "members_by": _by(counted, network, "in"),
            "left_by": _by(counted, network, "out"),
            "ghosts": identity.count_ghosts(tx, network),
            "posts": acts.count_posts(tx, network),
            "queue": depth,
            "queue_age": None if oldest is None else round(max(0.0, now - oldest), 1),
        }
    return {
        "domain": core.settings.domain,
        "networks": networks,
        "inbox": waiting,
        "inbox_age": None if since is None else round(max(0.0, now - since), 1),
        "dead": dead.count(tx, dead.Which()),
        "hosts_down": hosts.count_shut(tx, now),
        "last_hour": {step: hour.get(step, {}) for step in ("sent", "dropped", "lost", "dead")},
        "processes": [asdict(process) for process in processes.living(tx)],
    }


_DECIDED = {
    "config": "named in the settings",
    "operator": "the operator's decision",
    "person": "their own decision",
    "profile": "their profile says no",
    "gone": "gone from their home",
    "ended-for-good": "removed for good",
}


def _by(counted: Mapping[tuple[str, str, str], int], network: str, state: str) -> dict[str, int]:
    """Who decided, and for how many."""
    return {by: count for (there, standing, by), count in counted.items() if (there, standing) == (network, state)}


def _status_lines(document: dict[str, Any]) -> list[str]:
    out = [f"The bridge at {document['domain']}"]
    for network, facts in document["networks"].items():
        out += [
            f"{network} ({facts['consent']})",
            f"  members   {facts['members']} in, {facts['left']} out",
            *(f"    {n:>7}  in: {_DECIDED.get(by, by)}" for by, n in facts["members_by"].items()),
            *(f"    {n:>7}  out: {_DECIDED.get(by, by)}" for by, n in facts["left_by"].items()),
            f"  here      {facts['ghosts']} ghosts, {facts['posts']} copies of posts",
            f"  queue     {_waiting(facts['queue'], facts['queue_age'])}",
        ]
    out.append(f"Inbox: {_waiting(document['inbox'], document['inbox_age'])}")
    out.append(f"Undelivered: {document['dead']} dead letters, {document['hosts_down']} hosts down; see `bridged dead`")
    for process in document["processes"]:
        out.append(
            plain(
                f"Process {process['id']} on {process['host']} (pid {process['pid']}): {process['roles']}; last sign of"
                f" life {process['silent']:.0f} s ago; alone: {', '.join(process['leases']) or 'nothing'}"
            )
        )
    out.append("Last hour:")
    for step, reasons in document["last_hour"].items():
        out.append(f"  {step:<9} {sum(reasons.values())}")
        if step != "sent":
            ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
            out += [plain(f"    {count:>7}  {reason or 'no reason'}") for reason, count in ordered]
    return out


def _waiting(count: int, age: float | None) -> str:
    return f"{count} waiting" + ("" if age is None else f", the oldest for {age:.0f} s")


def trace(file: Path, what: str, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        async with opened(settings, mint=False) as daemon:
            core = daemon.core
            story = await traces.trace(core, what)
            if story is None:
                looked = ", ".join(dict.fromkeys(f"{r.network}:{r.id}" for r in traces.meant(core, what)))
                raise Failure(plain(f"nothing is known of {what}; looked for {looked[:600]}"), NO)
            show(story, traces.lines(story), as_json)
            return 0

    return carry_out(file, work)
