"""Rules of the house that a tool can hold: sizes, names, pins, entry points, import contracts."""

import ast
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPO = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
CODE = sorted(
    path
    for package in ("bridged", "adapters")
    for path in (REPO / package).rglob("*")
    if path.suffix in (".py", ".html", ".css") and "__pycache__" not in path.parts
)
CORE = [path for path in CODE if path.is_relative_to(REPO / "bridged")]
PINS = ("build", "runtime", "dev")
PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)((?:.*\\\n)+.*)", re.MULTILINE)


def _name(path: Path) -> str:
    return str(path.relative_to(REPO))


def _pins(name: str) -> dict[str, set[str]]:
    """Package -> its versions, which can be several, each with a marker."""
    versions: dict[str, set[str]] = {}
    for match in PIN.finditer((REPO / "requirements" / f"{name}.txt").read_text()):
        versions.setdefault(match[1], set()).add(match[2])
    return versions


def _committed() -> list[Path]:
    """The files of this checkout, those not yet added among them; skips outside a clone."""
    if not (REPO / ".git").exists() or not shutil.which("git"):
        if os.environ.get("CI"):
            pytest.fail("needs git and a clone")
        pytest.skip("not run: needs git and a clone")
    command = ["git", "-C", str(REPO), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split("\0")
    return [path for path in (REPO / name for name in names if name) if path.is_file()]


@pytest.mark.parametrize("path", CODE, ids=_name)
def test_code_file_has_at_most_400_lines(path: Path):
    assert path.read_text().count("\n") <= 400, "it holds two rooms: split it by meaning"


NETWORK = re.compile(r"nostr|activitypub|atproto|mastodon|bluesky", re.IGNORECASE)


def _words(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of everything that runs or is shown: all but comments and docstrings."""
    text = path.read_text()
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    documentation = {
        (node.value.lineno, node.value.col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT and token.start not in documentation:
            yield token.start[0], token.string


@pytest.mark.parametrize("path", CORE, ids=_name)
def test_core_names_no_network(path: Path):
    assert [(line, word) for line, word in _words(path) if NETWORK.search(word)] == []


def test_search_for_network_names_finds_them(tmp_path: Path):
    path = tmp_path / "x.py"
    path.write_text('"""nostr"""\n# nostr\nif network == "nostr":\n    use_nostr(f"{x} on Nostr")\n')
    assert {line for line, word in _words(path) if NETWORK.search(word)} == {3, 4}


def test_committed_files_hold_no_registry_addresses():
    """Where packages come from is the business of whoever installs."""
    registry = re.compile(
        rb"//[a-z0-9.-]*\b(pypi|pythonhosted|npmjs|npmmirror|yarnpkg|deb\.debian|docker\.io|crates)\b"
        rb"|--(extra-)?index-url|--find-links|--trusted-host"
        rb'|"resolved":'
    )
    found = [
        f"{_name(path)}: {match[0].decode()}"
        for path in _committed()
        if path != Path(__file__) and (match := registry.search(path.read_bytes()))
    ]
    assert found == []


@pytest.mark.parametrize("name", PINS)
def test_requirements_are_pinned_with_hashes(name: str):
    text = (REPO / "requirements" / f"{name}.txt").read_text()
    pins = list(PIN.finditer(text))
    assert len(pins) == len(re.findall(r"^[^\s#]", text, re.MULTILINE)) > 0
    assert [pin[1] for pin in pins if "--hash=sha256:" not in pin[0]] == []


def test_every_target_of_the_makefile_has_a_rule():
    """What is .PHONY without one, make calls done."""
    text = (REPO / "Makefile").read_text()
    (named,) = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert set(named.split()) <= set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


def test_requirements_agree_with_one_another():
    runtime, dev = _pins("runtime"), _pins("dev")
    assert {name: versions for name, versions in runtime.items() if dev[name] != versions} == {}


@pytest.mark.parametrize(
    ("name", "extras"), [("runtime", ["postgres"]), ("dev", ["postgres", "dev"])], ids=["runtime", "dev"]
)
def test_requirements_meet_pyproject(name: str, extras: list[str]):
    """`make requirements` was run after the last change of a dependency."""
    pins = _pins(name)
    wanted = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    for requirement in map(Requirement, wanted):
        for version in pins[requirement.name.lower()]:
            assert requirement.specifier.contains(version), str(requirement)


@pytest.mark.parametrize(
    ("python", "machine"),
    list(
        product(
            ("3.11", "3.12", "3.13", "3.14"),
            (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64")),
        )
    ),
)
def test_every_machine_gets_one_signature_library(python: str, machine: tuple[str, str]):
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    environment |= {"sys_platform": machine[0], "platform_machine": machine[1]}
    found = [
        requirement.name
        for requirement in map(Requirement, PROJECT["dependencies"])
        if "secp256k1" in requirement.name and requirement.marker and requirement.marker.evaluate(environment)
    ]
    wheels = python != "3.14" and machine in (("linux", "x86_64"), ("darwin", "arm64"))
    assert found == ["secp256k1" if wheels else "btclib-secp256k1"]


def test_entry_points_resolve():
    """Installed as declared, and each adapter goes by the name of its network."""
    declared = PROJECT["entry-points"]["bridged.adapters"]
    ours = [
        point
        for point in entry_points(group="bridged.adapters")
        if point.dist is not None and point.dist.name == PROJECT["name"]
    ]
    assert {point.name: point.value for point in ours} == declared
    assert {point.name: point.load().network for point in ours} == {name: name for name in declared}


def test_console_script_resolves():
    (script,) = entry_points(group="console_scripts", name="bridged")
    assert script.value == PROJECT["scripts"]["bridged"]
    assert callable(script.load())


def test_import_contracts_hold():
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([tool, "--no-cache"], cwd=REPO, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
