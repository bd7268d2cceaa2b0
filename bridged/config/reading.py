"""A YAML file and the environment as one tree that remembers where each value came from.

Only plain YAML is read: mappings, lists, text, numbers, booleans and null. Anchors, aliases, tags, duplicate
keys and deep nesting are refused, so a file means what it looks like and can't grow when read.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
PREFIX = "BRIDGED_"
# Read by other parts or by the tests; these are no overrides.
RESERVED = ("SECRET", "CONFIG", "VECTORS", "PEERS", "POSTGRES", "SEED", "CRASH")

Loc = tuple[str | int, ...]
"""The way to a value: mapping keys and list indexes from the top."""

_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")}
# Ends as it begins, so that `[::1]:8080` is text.
_FLOW = re.compile(r"""\s*(\[.*\]|\{.*\}|".*"|'.*')\s*""", re.DOTALL)
_PLAIN = re.compile(r"tag:yaml\.org,2002:(str|timestamp|merge|value)")


class ConfigError(Exception):
    """The settings can't be used. `str()` is one line: `bridge.yaml:12: consent.x: what is wrong`.

    `path` is the file, or the environment variable that holds the value; `key` is the dotted key, "" when the
    whole file is meant; `line` counts from 1, None where there is none.
    """

    def __init__(self, path: str, key: str, line: int | None, message: str) -> None:
        super().__init__(path, key, line, message)
        self.path, self.key, self.line, self.message = path, key, line, " ".join(message.split())

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return ": ".join(part for part in (where, self.key, self.message) if part)


@dataclass(slots=True)
class Tree:
    """The values read, the line of each key, and the variable that overrode it if one did."""

    path: str = "settings"
    folder: Path = field(default_factory=Path.cwd)
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    lines: dict[Loc, int] = field(default_factory=dict[Loc, int])
    variables: dict[Loc, str] = field(default_factory=dict[Loc, str])

    def variable(self, loc: Loc) -> Loc | None:
        """The part of `loc` that a variable set, if one did."""
        return next((part for part in _upwards(loc) if part in self.variables), None)

    def error(self, loc: Loc, message: str) -> ConfigError:
        """`message` about the value at `loc`, with the variable or the nearest line it came from."""
        if (part := self.variable(loc)) is not None:
            rest = dotted(loc[len(part) :])
            return ConfigError(self.variables[part], rest, None, message)
        line = next((self.lines[part] for part in _upwards(loc) if part in self.lines), None)
        return ConfigError(self.path, dotted(loc), line, message)


def dotted(loc: Loc) -> str:
    """`("egress", "ports", 0)` as people write it: `egress.ports[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


def read(path: Path, env: Mapping[str, str]) -> Tree:
    """The file at `path` with the overrides of `env` laid over it. Raises `ConfigError`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), "", None, f"can't be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(str(path), "", None, f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), "", line, "is not UTF-8 text") from None
    tree = Tree(str(path), path.resolve().parent)
    values = _Builder(tree.path, tree.lines).parse(text)
    if not isinstance(values, dict | None):
        raise ConfigError(tree.path, "", 1, "must be a mapping of keys to values")
    tree.values = _mapping(values)
    _override(tree, env)
    return tree


def _override(tree: Tree, env: Mapping[str, str]) -> None:
    """Lay `BRIDGED_A__B=value` over `a.b`. Quoted text and flow YAML (so JSON) are read, the rest is text."""
    holds_secret = {env.get("BRIDGED_SECRET__ENV"), _mapping(tree.values.get("secret")).get("env")}
    # Sorted, so that BRIDGED_A comes before BRIDGED_A__B, which adds to it.
    for name in sorted(env):
        if not name.upper().startswith(PREFIX) or name in holds_secret or _reserved(name):
            continue
        loc = tuple(name[len(PREFIX) :].lower().split("__"))
        if "" in loc:
            raise ConfigError(name, "", None, "names no key: parts are joined by two underscores")
        value: Any = env[name]
        if _FLOW.fullmatch(value):
            value = _Builder(name, None).parse(value)
        place = tree.values
        for part in loc[:-1]:
            inner = place.get(part)
            if not isinstance(inner, dict | None):
                raise ConfigError(name, "", None, f"{part} is not a mapping in {tree.path}")
            place[part] = place = _mapping(place.get(part))
        if loc[0] == "secret":  # holds one of two keys: the new one replaces the other
            place.clear()
        place[loc[-1]] = value
        tree.variables[loc] = name


def _reserved(name: str) -> bool:
    """BRIDGED_SECRET holds the secret itself; BRIDGED_SECRET__FILE is an override like any other."""
    first = name[len(PREFIX) :].upper().split("__")[0]
    return first in RESERVED and not (first == "SECRET" and "__" in name)


def _mapping(value: Any) -> dict[str, Any]:
    return dict(cast(dict[str, Any], value)) if isinstance(value, dict) else {}


def _upwards(loc: Loc) -> Iterator[Loc]:
    return (loc[:end] for end in range(len(loc), 0, -1))


class _Builder:
    """YAML text to plain values. `path` is what errors name.

    `lines` receives the line of every key; None for the value of a variable, where lines tell nothing.
    """

    def __init__(self, path: str, lines: dict[Loc, int] | None) -> None:
        self.path, self.lines = path, lines

    def parse(self, text: str) -> Any:
        try:
            self._refuse_tricks(text)
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = ", ".join(filter(None, (error.context, error.problem)))
            raise self._error((), mark.line if mark else 0, f"is not valid YAML: {problem}") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position)
            raise self._error((), line, f"holds a character YAML does not allow: {error.reason}") from None
        return None if node is None else self._value(node, ())

    def _refuse_tricks(self, text: str) -> None:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise self._error((), line, "anchors and aliases are not read: write the value out")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                raise self._error((), line, f"is nested more than {MAX_DEPTH} deep")

    def _value(self, node: yaml.Node, loc: Loc) -> Any:
        if self.lines is not None and loc:
            self.lines.setdefault(loc, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self._value(item, (*loc, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            if node.tag in _SCALARS:
                return self._scalar(node, loc)
            if _PLAIN.fullmatch(node.tag):
                return str(node.value)
        raise self._error(loc, node.start_mark.line, f"the tag {node.tag} is not read")

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(loc, line, "a key must be a word")
            # As written: `on` and `1` are names here, whatever YAML makes of them.
            key = str(key_node.value)
            if key in values:
                raise self._error((*loc, key), line, "is there twice")
            if self.lines is not None:
                self.lines[(*loc, key)] = line + 1
            values[key] = self._value(value_node, (*loc, key))
        return values

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Any:
        try:
            return yaml.SafeLoader("").construct_object(node)  # pyright: ignore[reportUnknownMemberType]
        except (ValueError, yaml.YAMLError):
            raise self._error(loc, node.start_mark.line, "is not a value YAML knows") from None

    def _error(self, loc: Loc, line: int, message: str) -> ConfigError:
        return ConfigError(self.path, dotted(loc), None if self.lines is None else line + 1, message)
