"""The keys of bridge.yaml, their types and their defaults."""

import math
import os
import re
from collections.abc import Collection, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)
from yarl import URL

from bridged.config.reading import ConfigError, Loc, Tree, read
from bridged.config.validation import Model, nearest, validate

Consent = Literal["open", "opt-in", "listed"]
Answer = Literal["bridge", "digest", "drop"]
Unlisted = Literal["carry", "drop"]

DAY = 86_400.0
_UNITS = {"d": DAY, "w": 7 * DAY, "y": 365 * DAY}

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ACCOUNT = re.compile(r"[a-z][a-z0-9_-]{0,63}:[^\s\x00-\x1f].{0,2047}")


class Listen(NamedTuple):
    """Where the web server listens; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_local(host: str) -> bool:
    """Whether the name can only mean this machine (RFC 6761 section 6.3)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_local_domain(domain: str) -> bool:
    return _is_local(re.sub(r":\d*$", "", domain).strip("[]"))


def _authority(text: str) -> tuple[str, int | None]:
    """Host in lower-case ASCII (IDNA) and port. Raises ValueError for what is no host."""
    refusal = ValueError(f"must be a host name (got {text!r})")
    if re.search(r"[/?#@\s\\]", text):
        raise refusal
    try:
        url = URL(f"https://{text}")
        host, port = (url.raw_host or "").rstrip(".").lower(), url.explicit_port
    except ValueError:
        raise refusal from None
    local = _is_local(host)
    named = _HOST_NAME.fullmatch(host) and (local or "." in host) and not host.rsplit(".", 1)[-1].isdigit()
    if len(host) > 253 or not (named or (local and not host.endswith("localhost"))):
        raise refusal
    if port is not None and not local:
        raise ValueError(f"must have no port, except on localhost (got {text!r})")
    return host, port


def _domain(text: str) -> str:
    host, port = _authority(text)
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"must be https://HOST, without a path (got {text!r})")
    # A port is nothing unusual in an address, unlike in a handle.
    name, colon, port = parts.netloc.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        name, colon, port = parts.netloc, "", ""
    host, _ = _authority(name)
    if parts.scheme == "http" and not _is_local(host):
        raise ValueError(f"must be https, http being for localhost only (got {text!r})")
    host = f"[{host}]" if ":" in host else host
    default = {"http": "80", "https": "443"}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in ("", default) else "")


def _listen(value: object) -> Listen:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]+)):(\d{1,5})", str(value))
    if match is None or int(match[3]) > 65535:
        raise ValueError("must be HOST:PORT, like 127.0.0.1:8080 or [::1]:8080")
    return Listen(match[1] or match[2], int(match[3]))


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"must be an address or CIDR block, like 10.0.0.0/8 ({error})") from None


def _store(text: str) -> str:
    # The address can hold a password, so no message repeats it.
    refusal = ValueError("must be sqlite, or postgresql+asyncpg://USER@HOST/DATABASE")
    try:
        parts = urlsplit(text)
        fits = parts.scheme == "postgresql+asyncpg" and len(parts.path) > 1 and parts.port != 0
    except ValueError:  # no port, or no address
        raise refusal from None
    if text != "sqlite" and not fits:
        raise refusal
    return text


def _account(text: str) -> str:
    if _ACCOUNT.fullmatch(text) is None:
        raise ValueError(f"must be NETWORK:ID (got {text!r})")
    return text


def _in_folder(path: Path, info: ValidationInfo) -> Path:
    """Relative paths are meant from the folder of the file they are written in."""
    folder = info.context.folder if isinstance(info.context, Tree) else Path.cwd()
    return folder / path


def _empty_is_none(value: object) -> object:
    return {} if value is None else value


def _duration(value: object) -> float:
    if value == "never":
        return math.inf
    match = re.fullmatch(r"(\d{1,5})\s*([dwy])", str(value))
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0.0
    if isinstance(value, float):  # a default of ours
        return value
    if not seconds:
        raise ValueError(
            f"must be days, weeks or years, like 14d, 4w or 1y, or never for what is to stay (got {value!r})"
        )
    return seconds


Duration = Annotated[float, BeforeValidator(_duration)]
Domain = Annotated[str, AfterValidator(_domain)]
Cidr = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Place = Annotated[Path, AfterValidator(_in_folder)]
Port = Annotated[int, Field(ge=1, le=65535)]
RawAdapter = Annotated[dict[str, Any], BeforeValidator(_empty_is_none)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(_Section):
    """Where the instance secret is kept: in a file, or in an environment variable. Exactly one is set."""

    file: Place | None = None
    env: Annotated[str, Field(max_length=255)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_place(cls, value: object) -> object:
        if not isinstance(value, dict) or len(value) != 1:  # pyright: ignore[reportUnknownArgumentType]
            raise ValueError("must be {file: PATH} or {env: VARIABLE}; the secret itself does not go in here")
        return value  # pyright: ignore[reportUnknownVariableType]

    @model_validator(mode="after")
    def _set(self) -> Self:
        if self.file is None and (self.env is None or not _VARIABLE.fullmatch(self.env)):
            raise ValueError("must be {file: PATH} or {env: VARIABLE}")
        return self


class Egress(_Section):
    """What the guard lets through: CIDR blocks beside the public internet, and TCP ports."""

    allow: Annotated[tuple[Cidr, ...], Field(max_length=1000)] = ()
    ports: Annotated[tuple[Port, ...], Field(min_length=1, max_length=1000)] = (80, 443)


class Bot(_Section):
    """The bridge's own account, which people follow to be bridged."""

    username: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,30}$")] = "bridge"
    name: Annotated[str, Field(min_length=1, max_length=100)] = "Bridge"


class Log(_Section):
    """`auto` is console on a terminal and JSON elsewhere."""

    format: Literal["console", "json", "auto"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Keep(_Section):
    """For how long things are kept that nothing depends on any more."""

    input: Duration = 14 * DAY
    sent: Duration = 30 * DAY
    dead: Duration = 90 * DAY
    ledger: Duration = 90 * DAY
    media: Duration = 7 * DAY

    def ages(self) -> dict[str, float]:
        """In seconds; infinite is for ever."""
        return self.model_dump()


class Media(_Section):
    """Megabytes of a film that is taken over for a network that has to own it; 0: none are."""

    video: Annotated[int, Field(ge=0, le=500)] = 50


class Settings(_Section):
    """One bridge's settings. The networks named in them are those whose adapters are installed."""

    domain: Domain
    handle_domain: Domain
    base_url: Annotated[str, AfterValidator(_base_url)]
    listen: Annotated[Listen, BeforeValidator(_listen)] = Listen("127.0.0.1", 8080)
    data_dir: Place
    store: Annotated[str, AfterValidator(_store), Field(repr=False)] = "sqlite"
    secret: Secret
    trusted_proxies: Annotated[tuple[Cidr, ...], Field(max_length=1000)] = ()
    consent: Annotated[dict[str, Consent], Field(max_length=100)] = {}
    answers: Annotated[dict[str, Answer], Field(max_length=100)] = {}
    reports: Literal["forward", "operator"] = "forward"
    unlisted: Annotated[dict[str, Unlisted], Field(max_length=100)] = {}
    notice: bool = False
    same_words: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    accounts: Annotated[tuple[Annotated[str, AfterValidator(_account)], ...], Field(max_length=100_000)] = ()
    egress: Egress = Egress()
    bot: Bot = Bot()
    keep: Keep = Keep()
    media: Media = Media()
    adapters: Annotated[dict[str, RawAdapter], Field(max_length=100, repr=False)] = {}
    log: Log = Log()

    _tree: Tree = PrivateAttr(default_factory=Tree)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, value: dict[str, Any]) -> dict[str, Any]:
        """A key without a value is as good as absent; some defaults follow from other keys."""
        values = {key: item for key, item in value.items() if item is not None}
        domain, data_dir = values.get("domain"), values.setdefault("data_dir", "var")
        if isinstance(domain, str):
            values.setdefault("handle_domain", domain)
            values.setdefault("base_url", f"{'http' if _is_local_domain(domain) else 'https'}://{domain}")
        values.setdefault("secret", {"file": Path(str(data_dir)) / "secret.key"})
        return values

    def model_post_init(self, context: Any, /) -> None:
        if isinstance(context, Tree):
            self._tree = context

    def error(self, loc: Loc, message: str) -> ConfigError:
        """An error about the value at `loc`, such as `("consent", "x")`, that names its key and line."""
        return self._tree.error(loc, message)

    def consent_of(self, network: str) -> Consent:
        """On what terms people of a network are bridged."""
        return self.consent.get(network, "opt-in")

    def answers_of(self, network: str) -> Answer:
        """What becomes of acts aimed at a bridged account by someone of `network` who is not bridged."""
        return self.answers.get(network, "bridge")

    def unlisted_of(self, network: str) -> Unlisted:
        """What becomes of posts of that network that are public, but not to be shown around."""
        return self.unlisted.get(network, "carry")

    def validate_part(self, model: type[Model], loc: Loc, values: object) -> Model:
        """`values`, found at `loc`, as `model`. Raises `ConfigError` with key and line."""
        return validate(model, self._tree, loc, values)


def load(path: str | Path, env: Mapping[str, str] = os.environ) -> Settings:
    """The settings in `path` with the overrides of `env`: `BRIDGED_BOT__NAME` is `bot.name`.

    Relative paths are resolved against the folder of the file. Raises `ConfigError`.
    """
    tree = read(Path(path), env)
    return validate(Settings, tree, (), tree.values)


def adapter_config(settings: Settings, network: str, model: type[Model]) -> Model:
    """The part of `adapters` that belongs to `network`, as that adapter's own type. Raises `ConfigError`."""
    return settings.validate_part(model, ("adapters", network), settings.adapters.get(network, {}))


def check_networks(settings: Settings, known: Collection[str]) -> None:
    """Every network named in the settings has an adapter in `known`, else `ConfigError`."""
    locs: list[tuple[Loc, str]] = [
        ((section, network), network)
        for section, networks in (
            ("consent", settings.consent),
            ("answers", settings.answers),
            ("unlisted", settings.unlisted),
            ("adapters", settings.adapters),
        )
        for network in networks
    ]
    locs += [(("accounts", index), text.split(":", 1)[0]) for index, text in enumerate(settings.accounts)]
    for loc, network in locs:
        if network not in known:
            raise settings.error(loc, f"no adapter for {network!r} is installed{nearest(network, known)}")
