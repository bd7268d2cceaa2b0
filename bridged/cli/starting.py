"""`bridged init`: an annotated config file, and the secret."""

import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from string import Template

import yaml
from pydantic import BaseModel, ValidationError

from bridged import config, keys, registry
from bridged.adapter import Sink
from bridged.cli.output import CANNOT_OPEN, NO, USAGE, Failure, show
from bridged.config import ConfigError, Settings

_TEMPLATE = Path(__file__).with_name("bridge.yaml.template")


def init(file: Path, domain: str, open_networks: list[str], as_json: bool) -> int:
    networks = registry.networks()
    for network in open_networks:
        if network not in networks:
            raise Failure(f"--open: no adapter for {network!r} is installed; there are {', '.join(networks)}", USAGE)
    if file.exists():
        raise Failure(f"{file} is there already and is left alone", NO)
    checked = _load(f"domain: {_flow(domain)}\n")
    text = _render(checked, networks, open_networks)
    settings = _load(text)
    secret = file.resolve().parent / "var" / "secret.key"
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
        kept = secret.exists()
        keys.load(secret, None, {}, make=True)
    except (OSError, keys.SecretError) as error:
        raise Failure(f"{file}: {error}", CANNOT_OPEN) from error
    command = f"bridged -c {file}"
    document = {"config": str(file), "secret": str(secret), "domain": settings.domain, "secret_kept": kept}
    steps = [
        f"Read {file}, above all `consent`: {_flow(settings.consent)}",
        f"Point {settings.domain} at a web server with TLS that passes everything on to {settings.listen}",
        f"{command} run",
        f"{command} check",
    ]
    if settings.base_url.startswith("http://"):
        del steps[1]
    lines = [
        f"Wrote {file}.",
        f"{'Kept' if kept else 'Made'} the secret {secret}: back it up, apart from the database.",
        "Next:",
        *(f"  {number}. {step}" for number, step in enumerate(steps, 1)),
    ]
    show(document, lines, as_json)
    return 0


def _load(text: str) -> Settings:
    """The settings a text makes; the environment has no say in what is written down. Raises Failure."""
    with tempfile.TemporaryDirectory(prefix="bridged-init-") as folder:
        path = Path(folder) / "bridge.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return config.load(path, {})
        except ConfigError as error:
            raise Failure(f"--{error.key or 'domain'}: {error.message}", USAGE) from error


def _render(settings: Settings, networks: list[str], open_networks: list[str]) -> str:
    local = settings.base_url.startswith("http://")
    port = settings.domain.rpartition(":")[2]
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        domain=_flow(settings.domain),
        # a name below localhost is a handle nowhere
        handle_domain="bridge.test" if local else _flow(settings.domain),
        base_url=_flow(settings.base_url),
        listen=f"127.0.0.1:{port if local and port.isdigit() else 8080}",
        consent=_flow({n: "open" if n in open_networks else _usual(n) for n in networks}),
        answers=_flow(dict.fromkeys(networks, "bridge")),
        # on one's own machine everything one tries things out with is on loopback
        allow=_flow(["127.0.0.0/8", "::1/128"] if local else []),
        adapters="\n".join(_adapter(network, local) for network in networks) or "  {}",
    )


def _usual(network: str) -> str:
    """The consent that people of a network are used to."""
    return _class(network).capabilities.consent


def _class(network: str) -> type[Sink]:
    try:
        return registry.load(network)
    except registry.BadAdapter as error:
        raise Failure(str(error), CANNOT_OPEN) from error


def _adapter(network: str, local: bool) -> str:
    """An adapter's part with its defaults spelt out, and what it says of itself."""
    kind = _class(network).config_type
    said = inspect.cleandoc(kind.__doc__ or "").splitlines()
    comment = [f"  # {line}".rstrip() for line in said]
    return "\n".join([*comment, f"  {_flow(network)}: {_flow(_defaults(kind, local))}"])


def _defaults(kind: type[BaseModel], local: bool) -> object:
    make: Callable[[], BaseModel] = getattr(kind, "at_home", kind) if local else kind
    try:
        return make().model_dump(mode="json")
    except ValidationError:
        # something in it has no default: the first `bridged run` names the key
        return {}


def _flow(value: object) -> str:
    """As YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1 << 16, allow_unicode=True)
    return text.removesuffix("...\n").strip()
