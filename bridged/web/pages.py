"""The front page: what this bridge is, whom it carries, and how to follow across. Plain HTML, no script."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from aiohttp import web

from bridged import __version__
from bridged.core import Core
from bridged.model import BOT
from bridged.store import identity
from bridged.store.engine import Tx

_HERE = Path(__file__).parent

_TERMS = {
    "open": "Everybody whom someone on another network follows. Who says no is left alone.",
    "opt-in": "Only people who asked for it, by following the bridge’s account.",
    "listed": "Only accounts that the operator of this bridge listed.",
}


def routes(core: Core) -> Iterable[web.RouteDef]:
    template = Template((_HERE / "front.html").read_text(encoding="utf-8"))
    style = (_HERE / "front.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )

    async def front(_request: web.Request) -> web.Response:
        bot = await core.store.read(lambda tx: bot_addresses(core, tx))
        text = template.substitute(_facts(core, bot), style=style)
        headers = {"Content-Security-Policy": policy, "Cache-Control": "max-age=60"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    return [web.get("/", front)]


def bot_addresses(core: Core, tx: Tx) -> list[tuple[str, str, str]]:
    """(network, address, native name) of the bridge's own account, on each network where it exists."""
    found: list[tuple[str, str, str]] = []
    for network, adapter in sorted(core.adapters.items()):
        ghost = identity.ghost_for(tx, BOT, network)
        if ghost is not None:
            found.append((network, core.address(ghost), adapter.names(ghost.ref, account=True)))
    return found


def _facts(core: Core, bot: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Everything that goes into the page, as HTML."""
    settings = core.settings
    networks = sorted(core.adapters)
    summary = (
        f"{settings.domain} is a bridge between {_and(networks)}: people of one can follow people of another,"
        " and talk with them, from where they are at home."
    )
    return {
        "title": escape(f"{settings.bot.name} · {settings.domain}"),
        "name": escape(settings.bot.name),
        "domain": escape(settings.domain),
        "summary": escape(summary),
        "version": escape(__version__),
        "hints": "\n".join(f"<li>{escape(hint)}</li>" for n in networks for hint in core.adapters[n].hints()),
        "terms": "\n".join(f"<dt>{escape(n)}</dt>\n<dd>{escape(_TERMS[core.consent(n)])}</dd>" for n in networks),
        "bot": "\n".join(
            f"<dt>{escape(n)}</dt>\n<dd><code>{escape(address)}</code><br><code>{escape(name)}</code></dd>"
            for n, address, name in bot
        ),
    }


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else "networks"
