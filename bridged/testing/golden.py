"""Golden cases: what one native input means, and what it becomes on every other network, as files to read.

A case is a folder:

    note.md            what must survive, and whose shape it is
    <network>.json     what arrives there: one native object, or a list of them
    neutral.json       what that means: the decoded activities (see `meaning.shown`)
    to-<network>.json  what is said on another network: the parts, in order
    meta.yaml          see below; may be absent

`meta.yaml`: `at` is the clock (seconds; when it is heard). `cast` adds people to those in `cast.yaml`, or changes them.
`before` lists what was said earlier, each {name, on: network, say: native object}, so that it can be answered.
`files` are those that a network which must own them can get, each address with {mime, size, width, height}, and `cards`
what linked pages say of themselves, each address with {title, description, thumb}.
`malformed` is the reason why it is not even read, `refused` why policy does not carry it. `losses` are, by
network, what the encoder says was lost; `changes` what does not come back when our own output is read again.

In native files and in `before`, `{{name}}` is the id, on the file's own network, of somebody in the cast or of what
has that name in `before`; `{{name.form}}` is written in a form of that network, `{{name.1}}` is a
further part of its copy; `{{network:name}}` is the id there.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import yaml

from bridged.adapter import Blob, Card, Malformed
from bridged.model import BOT, Account
from bridged.testing.dialect import Dialect
from bridged.testing.meaning import changes, shown
from bridged.testing.rehearsal import Heard, Rehearsal

AT = 1_790_000_000.0
"""When the input of a case is heard, unless its meta.yaml says otherwise."""

_PLACE = re.compile(r"\{\{(?:(\w+):)?(\w+)(?:\.(\w+))?\}\}")


@dataclass(slots=True)
class Result:
    """What a case came to: the text of every file it must consist of, and the findings its meta.yaml must list."""

    files: dict[str, str] = field(default_factory=dict[str, str])
    found: dict[str, Any] = field(default_factory=dict[str, Any])


def cases(folder: Path) -> list[Path]:
    """The cases in a folder, by name."""
    return sorted(path.parent for path in folder.glob("*/note.md"))


async def run(case: Path, dialects: Mapping[str, Dialect], people: Mapping[str, Mapping[str, Any]]) -> Result:
    """Plays one case. Raises what the adapters raise, Malformed and Rejected apart."""
    meta = read_meta(case)
    rehearsal = Rehearsal(dialects)
    extra: Mapping[str, Mapping[str, Any]] = meta.get("cast", {})
    for name in {**people, **extra}:
        entry = {**people.get(name, {}), **extra.get(name, {})}
        dialect = dialects[entry["network"]]
        await rehearsal.join(name, dialect.account(entry), fan=bool(entry.get("fan")), only=entry.get("ghosts"))
    await rehearsal.join("bot", Account(BOT, "bridge", name="Bridge", bot=True))
    files: Mapping[str, Mapping[str, Any]] = meta.get("files", {})
    cards: Mapping[str, Mapping[str, str]] = meta.get("cards", {})
    rehearsal.blobs = {url: Blob(sha256(url.encode()).digest(), **facts) for url, facts in files.items()}
    rehearsal.cards = {url: Card(url, **facts) for url, facts in cards.items()}
    at = float(meta.get("at", AT))
    before: Sequence[Mapping[str, Any]] = meta.get("before", [])
    for number, entry in enumerate(before):
        when = at - 60 * (len(before) - number)
        envelope = dialects[entry["on"]].envelope(_filled(entry["say"], entry["on"], rehearsal), when)
        for activity in rehearsal.read(envelope):
            for heard in rehearsal.play(activity, when):
                rehearsal.names.setdefault(entry["name"], heard.activity.ref)
    result = Result()
    meant: list[Any] = []
    for network, dialect in dialects.items():
        native = case / f"{network}.json"
        if native.exists():
            said = json.loads(native.read_text())
            for one in cast(list[Any], said) if isinstance(said, list) else [said]:
                meant += _play(_filled(one, network, rehearsal), dialect, rehearsal, at, result)
    result.files["neutral.json"] = _dumped(meant)
    return result


def read_meta(case: Path) -> dict[str, Any]:
    """meta.yaml, {} when there is none."""
    path = case / "meta.yaml"
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


def _filled(said: Any, network: str, rehearsal: Rehearsal) -> Any:
    def place(match: re.Match[str]) -> str:
        where = match[1] or network
        form = match[3] or ""
        ref = rehearsal.id(match[2], where, int(form) if form.isdigit() else 0)
        if form.isdigit():
            return ref.id
        return rehearsal.dialects[where].written(ref, match[3]) if match[3] else ref.id

    if isinstance(said, str):
        return _PLACE.sub(place, said)
    if isinstance(said, list):
        return [_filled(item, network, rehearsal) for item in cast(list[Any], said)]
    if isinstance(said, dict):
        return {key: _filled(value, network, rehearsal) for key, value in cast(dict[str, Any], said).items()}
    return said


def _play(said: Any, dialect: Dialect, rehearsal: Rehearsal, at: float, result: Result) -> list[Any]:
    try:
        activities = rehearsal.read(dialect.envelope(said, at))
    except Malformed as error:
        result.found["malformed"] = error.reason
        return []
    for activity in activities:
        for heard in rehearsal.play(activity, at):
            _told(heard, rehearsal, at, result)
    return [shown(activity, dialect.hidden) for activity in activities]


def _told(heard: Heard, rehearsal: Rehearsal, at: float, result: Result) -> None:
    if heard.refused:
        result.found["refused"] = heard.refused
    for network, out in heard.said.items():
        dialect = rehearsal.dialects[network]
        parts = [part for part in out.parts if part.body] or [part for part in out.parts if part.served]
        if parts:
            name = f"to-{network}.json"
            listed: list[Any] = json.loads(result.files.get(name, "[]"))
            result.files[name] = _dumped([*listed, *map(dialect.shown, parts)])
        _add(result, "losses", network, out.losses)
        if network == heard.activity.actor.network or not parts:
            continue
        envelopes = [envelope for part in parts if (envelope := dialect.back(part, at))]
        back = [rehearsal.resolved(raw) for envelope in envelopes for raw in rehearsal.read(envelope)]
        _add(result, "changes", network, changes(heard.activity, back))


def _add(result: Result, name: str, network: str, found: Sequence[str]) -> None:
    if found:
        listed: list[str] = result.found.setdefault(name, {}).setdefault(network, [])
        listed.extend(each for each in found if each not in listed)


def differences(case: Path, result: Result) -> str:
    """What is not as the case's files say, as a diff; "" when all is well."""
    found: list[str] = []
    for name in sorted({*result.files, *(path.name for path in _outputs(case))}):
        path = case / name
        wanted = path.read_text() if path.exists() else ""
        found += _diff(wanted, result.files.get(name, ""), f"{case.name}/{name}")
    listed = {name: value for name, value in read_meta(case).items() if name in _FOUND}
    found += _diff(_yaml(listed), _yaml(result.found), f"{case.name}/meta.yaml")
    return "\n".join(found)


def update(case: Path, result: Result) -> None:
    """Writes what came out into the case's files. Read the difference before you commit it."""
    for path in _outputs(case):
        if path.name not in result.files:
            path.unlink()
    for name, text in result.files.items():
        (case / name).write_text(text)
    meta = read_meta(case)
    listed = {name: value for name, value in meta.items() if name in _FOUND}
    if listed != result.found:
        kept = {name: value for name, value in meta.items() if name not in _FOUND}
        text = _yaml(kept) if kept else ""
        text += _yaml(result.found) if result.found else ""
        path = case / "meta.yaml"
        if text:
            path.write_text(text)
        else:
            path.unlink(missing_ok=True)


_FOUND = ("malformed", "refused", "losses", "changes")


def _outputs(case: Path) -> list[Path]:
    return [*case.glob("to-*.json"), *case.glob("neutral.json")]


def _dumped(value: Any) -> str:
    """JSON with short things on one line, so that a diff shows what changed and no more."""
    return _lines(value, "") + "\n"


def _lines(value: Any, indent: str) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + len(indent) <= 118 or not isinstance(value, dict | list) or not value:
        return flat
    inner = indent + "  "
    if isinstance(value, list):
        rows = [inner + _lines(item, inner) for item in cast(list[Any], value)]
        return "[\n" + ",\n".join(rows) + f"\n{indent}]"
    pairs = cast(dict[str, Any], value).items()
    rows = [f"{inner}{json.dumps(key)}: {_lines(item, inner)}" for key, item in pairs]
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}"


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=118) if value else ""


def _diff(wanted: str, got: str, name: str) -> list[str]:
    lines = difflib.unified_diff(wanted.splitlines(), got.splitlines(), f"{name} wanted", f"{name} got", lineterm="")
    return list(lines)
