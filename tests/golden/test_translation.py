"""docs/translation.md against the code: every act on every network, every loss that an encoder can tell."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from adapters.activitypub.adapter import ActivityPub
from adapters.atproto.adapter import Atproto
from adapters.nostr.adapter import Nostr
from bridged.model import Act
from bridged.testing import golden

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = (ROOT / "docs" / "translation.md").read_text()
SINKS = (ActivityPub, Nostr, Atproto)
# Rejected, but by what delivers or signs, which is the same whatever is said.
_NO_ENCODERS = {
    "adapter.py",
    "checks.py",
    "client.py",
    "connection.py",
    "delivery.py",
    "hosting.py",
    "nip11.py",
    "pen.py",
    "pool.py",
}


def _rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, its head apart."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _bullets() -> set[str]:
    return set(re.findall(r"^- `(.+)`$", PAGE, re.MULTILINE))


def _written(node: ast.AST) -> Iterator[str]:
    """The strings in an expression, those of calls inside it apart; `…` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
    elif not isinstance(node, ast.Call | ast.Compare):
        for child in ast.iter_child_nodes(node):
            yield from _written(child)


def _said_in(tree: ast.Module) -> Iterator[str]:
    """What stands where losses and refusals stand."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="Rejected"), args=[why, *_]):
                yield from _written(why)
            case ast.Call(func=ast.Name(id="Outgoing" | "Drafts"), args=[_, losses]):
                yield from _written(losses)
            case ast.Call(func=ast.Name(id="said"), args=[_, _, _, *losses]):
                for each in losses:
                    yield from _written(each)
            case ast.keyword(arg="losses", value=losses):
                yield from _written(losses)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="losses"), attr="append"), args=[loss]):
                yield from _written(loss)
            case ast.Assign(targets=[ast.Name(id="losses")], value=losses):
                yield from _written(losses)
            case ast.Assign(targets=[ast.Tuple(elts=[_, ast.Name(id="losses")])], value=ast.Tuple(elts=[_, losses])):
                yield from _written(losses)
            case ast.FunctionDef(name="_lost"):
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Yield) and inner.value is not None:
                        yield from _written(inner.value)
            case _:
                pass


def _losses() -> set[str]:
    found: set[str] = set()
    for path in sorted(ROOT.glob("adapters/*/*.py")):
        if path.name not in _NO_ENCODERS:
            found |= {said for said in _said_in(ast.parse(path.read_text())) if said}
    return found


def test_every_loss_that_code_can_tell_is_on_the_page_and_no_other() -> None:
    assert _losses() == _bullets()


@pytest.mark.parametrize("case", golden.cases(HERE), ids=lambda case: case.name)
def test_every_loss_of_a_case_is_on_the_page(case: Path) -> None:
    told: dict[str, list[str]] = golden.read_meta(case).get("losses", {})
    for losses in told.values():
        assert {re.sub(r"\d+", "…", loss) for loss in losses} - _bullets() <= {
            f"{sink.network} has no {kind.__name__}" for sink in SINKS for kind in get_args(Act)
        }


def test_every_act_is_a_row_that_says_whether_each_network_has_it() -> None:
    rows = {row[0].strip("`"): row[1:] for row in _rows("Acts")}
    assert list(rows) == [kind.__name__ for kind in get_args(Act)]
    for act, cells in rows.items():
        for sink, cell in zip(SINKS, cells, strict=False):
            assert cell.startswith("–") == (act not in sink.capabilities.acts), (act, sink.network)


def test_every_case_named_on_the_page_is_there() -> None:
    named = {name for heading in ("Acts", "What a post says") for row in _rows(heading) for name in row[-1].split()}
    assert {name.strip("`") for name in named} <= {case.name for case in golden.cases(HERE)}


def test_every_act_that_adapters_read_is_in_some_case() -> None:
    read: set[str] = set()
    for case in golden.cases(HERE):
        listed: list[dict[str, Any]] = json.loads((case / "neutral.json").read_text())
        read |= {activity["act"] for activity in listed}
    assert {kind.__name__ for kind in get_args(Act)} - read == set()
