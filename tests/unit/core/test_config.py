"""bridge.yaml and its overrides: what is read, and that every error is one line naming key and line."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from bridged.config import ConfigError, Listen, Settings, adapter_config, check_networks, load

REPO = Path(__file__).parents[3]


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    password: Annotated[str, Field(min_length=4)] = "none"


class Invented(BaseModel):
    """The config of an adapter as any network could have one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hubs: list[str] = []
    inner: Inner = Inner()


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "bridge.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def refused(write, tmp_path: Path):
    """The error's text without the folder, for a file and an environment that are refused."""

    def refused(text: str | bytes, env: dict[str, str] | None = None) -> str:
        with pytest.raises(ConfigError) as error:
            load(write(text), env or {})
        assert "\n" not in str(error.value)
        return str(error.value).replace(f"{tmp_path}/", "")

    return refused


def test_repo_file_runs_on_localhost_as_it_is():
    settings = load(REPO / "bridge.yaml", {})
    assert (settings.domain, settings.handle_domain) == ("localhost:8080", "bridge.test")
    assert settings.base_url == "http://localhost:8080"
    assert settings.listen == Listen("127.0.0.1", 8080)
    assert settings.store == "sqlite"
    assert settings.data_dir == REPO / "var"
    assert settings.secret.file == REPO / "var" / "secret.key"
    check_networks(settings, set(settings.adapters))


def test_repo_file_names_every_key_of_the_schema():
    text = (REPO / "bridge.yaml").read_text()
    for key in Settings.model_fields:
        assert f"\n{key}:" in text or f"\n# {key}:" in text, key


def test_least_file_gets_its_defaults(write, tmp_path: Path):
    settings = load(write("domain: Bridge.Example"), {})
    assert settings.domain == settings.handle_domain == "bridge.example"
    assert settings.base_url == "https://bridge.example"
    assert settings.secret.file == tmp_path / "var" / "secret.key"
    assert settings.egress.ports == (80, 443)
    assert settings.trusted_proxies == settings.egress.allow == settings.accounts == ()
    assert settings.consent_of("anything") == "opt-in"
    assert settings.answers_of("anything") == "bridge"
    assert settings.unlisted_of("anything") == "carry"
    assert settings.notice is False
    assert settings.same_words == 10
    assert (settings.log.format, settings.log.level) == ("auto", "info")


def test_every_key_is_read(write, tmp_path: Path):
    settings = load(
        write("""
domain: bridge.example
handle_domain: at.bridge.example
base_url: https://www.bridge.example/
listen: "[::1]:9000"
data_dir: data
store: postgresql+asyncpg://user:pa55@db/bridged
secret: {env: MY_SECRET}
trusted_proxies: [10.0.0.0/8, "fd00::/8", 192.0.2.1]
consent: {a: listed, b: open}
answers: {a: drop, b: digest}
unlisted: {a: drop}
notice: true
same_words: 3
accounts: ["a:x", "b:@me@host.example"]
egress: {allow: [127.0.0.0/8], ports: [443, 8443]}
bot: {username: brid, name: "Brid the Bridge"}
adapters:
  a:
  b: {hubs: [x]}
log: {format: json, level: debug}
"""),
        {},
    )
    assert settings.handle_domain == "at.bridge.example"
    assert settings.base_url == "https://www.bridge.example"
    assert str(settings.listen) == "[::1]:9000"
    assert settings.data_dir == tmp_path / "data"
    assert (settings.secret.env, settings.secret.file) == ("MY_SECRET", None)
    assert [str(net) for net in settings.trusted_proxies] == ["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"]
    assert (settings.consent_of("a"), settings.consent_of("b")) == ("listed", "open")
    assert (settings.answers_of("a"), settings.answers_of("b")) == ("drop", "digest")
    assert (settings.unlisted_of("a"), settings.unlisted_of("b")) == ("drop", "carry")
    assert settings.notice is True
    assert settings.same_words == 3
    assert settings.accounts == ("a:x", "b:@me@host.example")
    assert settings.egress.allow == (ip_network("127.0.0.0/8"),)
    assert settings.egress.ports == (443, 8443)
    assert (settings.bot.username, settings.bot.name) == ("brid", "Brid the Bridge")
    assert adapter_config(settings, "a", Invented) == Invented()
    assert adapter_config(settings, "b", Invented).hubs == ["x"]
    assert adapter_config(settings, "absent", Invented) == Invented()
    assert (settings.log.format, settings.log.level) == ("json", "debug")
    assert "pa55" not in repr(settings)


def test_key_without_a_value_is_as_good_as_absent(write):
    settings = load(write("domain: a.example\naccounts:\negress:\nconsent:\nadapters:\n"), {})
    assert (settings.accounts, settings.consent, settings.adapters) == ((), {}, {})


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("consent: {b: opn}", "2: consent.b: must be one of open, opt-in, listed (got 'opn')"),
        ("answers: {b: yes}", "2: answers.b: must be one of bridge, digest, drop (got True)"),
        ("accounts: a:x", "2: accounts: must be a list"),
        ("accounts: [a]", "2: accounts[0]: must be NETWORK:ID (got 'a')"),
        ("consnt: {}", "2: consnt: unknown key; did you mean consent?"),
        ("egress: {prots: []}", "2: egress.prots: unknown key; did you mean ports?"),
        ("egress: {ports: [0]}", "2: egress.ports[0]: input should be greater than or equal to 1"),
        ("egress: {ports: [http]}", "2: egress.ports[0]: must be a whole number"),
        ("egress: [443]", "2: egress: must be a mapping"),
        ("bot: {zzz: 1}", "2: bot.zzz: unknown key (known: name, username)"),
        ("bot: {username: 5}", "2: bot.username: must be text"),
        ("bot: {username: Not A Name}", "2: bot.username: must match ^[a-z0-9_]{1,30}$"),
        ("listen: 8080", "2: listen: must be HOST:PORT, like 127.0.0.1:8080 or [::1]:8080"),
        ("listen: localhost:99999", "2: listen: must be HOST:PORT, like 127.0.0.1:8080 or [::1]:8080"),
        ("base_url: http://a.example", "2: base_url: must be https, http being for localhost only"),
        ("base_url: https://a.example/x", "2: base_url: must be https://HOST, without a path"),
        ("base_url: ftp://a.example", "2: base_url: must be https://HOST, without a path"),
        ("base_url: https://u@a.example", "2: base_url: must be a host name (got 'u@a.example')"),
        ("store: mysql://x:pa55@y/z", "2: store: must be sqlite, or postgresql+asyncpg://USER@HOST/DATABASE"),
        ("secret: pa55", "2: secret: must be {file: PATH} or {env: VARIABLE}; the secret itself does not"),
        ("secret: {file: a, env: b}", "2: secret: must be {file: PATH} or {env: VARIABLE}"),
        ("secret: {env: '0 '}", "2: secret: must be {file: PATH} or {env: VARIABLE}"),
        ("trusted_proxies: [127.0.0.1/8]", "2: trusted_proxies[0]: must be an address or CIDR block"),
        ("adapters: {b: 5}", "2: adapters.b: must be a mapping"),
        ("log: {level: loud}", "2: log.level: must be one of debug, info, warning, error (got 'loud')"),
        ("domain: b.example", "2: domain: is there twice"),
        ("bot: {name: a, name: b}", "2: bot.name: is there twice"),
        ("accounts: &x []", "2: anchors and aliases are not read: write the value out"),
        (
            "accounts: !!python/name:os.system ''",
            "2: accounts: the tag tag:yaml.org,2002:python/name:os.system",
        ),
        ("bot: {name: !!int x}", "2: bot.name: is not a value YAML knows"),
        ("? [a]\n: b", "2: a key must be a word"),
        ("bot: {name: a", "3: is not valid YAML: while parsing a flow mapping"),
        ("\tbot: 1", "2: is not valid YAML: while scanning for the next token"),
        ("--- \na: 1", "2: is not valid YAML: expected a single document"),
        ("bot: {name: \x07}", "2: holds a character YAML does not allow"),
        (f"accounts: {'[' * 17}{']' * 17}", "2: is nested more than 16 deep"),
        (f"accounts: {'[' * 100_000}", "2: is nested more than 16 deep"),
    ],
)
def test_error_names_key_and_line(refused, line: str, error: str):
    assert refused(f"domain: a.example\n{line}\n").startswith(f"bridge.yaml:{error}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "bridge.yaml: domain: is missing"),
        ("- a\n", "bridge.yaml:1: must be a mapping of keys to values"),
        (b"domain: a.example\n# \xff", "bridge.yaml:2: is not UTF-8 text"),
        ("#" * 300_000, "bridge.yaml: is larger than 256 KiB"),
        ("domian: a.example", "bridge.yaml:1: domian: unknown key; did you mean domain?"),
    ],
)
def test_error_about_the_whole_file(refused, text: str | bytes, error: str):
    assert refused(text) == error


def test_error_in_a_list_names_the_items_own_line(refused):
    assert refused("domain: a.example\negress:\n  ports:\n    - 80\n    - x\n").startswith(
        "bridge.yaml:5: egress.ports[1]: "
    )


def test_first_error_in_the_file_is_told(refused):
    text = "log: {level: loud}\nconsent: {b: opn}\ndomain: a.example\n"
    assert refused(text).startswith("bridge.yaml:1: log.level: ")


def test_unreadable_file_is_one_line(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"missing\.yaml: can't be read: No such file or directory$"):
        load(tmp_path / "missing.yaml", {})
    with pytest.raises(ConfigError, match=r"can't be read: Is a directory$"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("BRIDGE.example.", "bridge.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("localhost:8080", "localhost:8080"),
        ("a.localhost:1", "a.localhost:1"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
    ],
)
def test_domain_is_normalised(write, text: str, domain: str):
    assert load(write(f"domain: '{text}'"), {}).domain == domain
    assert load(write(f"domain: '{domain}'"), {}).domain == domain


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a",
        "a.example:443",
        "a.example/x",
        "https://a.example",
        "u@a.example",
        "a b.example",
        "-a.example",
        "192.0.2.1",
        "a..example",
        "a.example?",
        "a.example/",
        "a.example#x",
        "[::2]",
        "a.1",
        f"{'a' * 64}.example",
    ],
)
def test_domain_that_is_no_host_name_is_refused(refused, text: str):
    assert refused(f"domain: '{text}'").startswith("bridge.yaml:1: domain: must ")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://B.example/", "https://b.example"),
        ("https://b.example:443", "https://b.example"),
        ("https://b.example:8443", "https://b.example:8443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_base_url_is_normalised(write, text: str, url: str):
    assert load(write(f"domain: a.example\nbase_url: '{text}'"), {}).base_url == url


LEAST = "domain: a.example\n"


@pytest.mark.parametrize(
    ("env", "hubs"),
    [
        ({"BRIDGED_ADAPTERS__B__HUBS": '["wss://a", "wss://b"]'}, ["wss://a", "wss://b"]),
        ({"BRIDGED_ADAPTERS__B__HUBS": "wss://a, wss://b"}, ["wss://a", "wss://b"]),
        ({"BRIDGED_ADAPTERS__B__HUBS": "wss://a"}, ["wss://a"]),
        ({"BRIDGED_ADAPTERS__B__HUBS": ""}, []),
        ({"bridged_Adapters__b__hubs": "c"}, ["c"]),
        ({"BRIDGED_ADAPTERS__B": '{"hubs": ["d"]}'}, ["d"]),
        ({"BRIDGED_ADAPTERS__B": '{"hubs": ["d"]}', "BRIDGED_ADAPTERS__B__HUBS": "e"}, ["e"]),
    ],
)
def test_variable_overrides_the_file(write, env: dict[str, str], hubs: list[str]):
    path = write(f"{LEAST}adapters: {{b: {{hubs: [old], inner: {{enabled: false}}}}}}")
    assert adapter_config(load(path, env), "b", Invented).hubs == hubs


def test_variables_reach_every_kind_of_key(write, tmp_path: Path):
    settings = load(
        write(f"{LEAST}secret: {{file: old}}\ntrusted_proxies: [10.0.0.0/8]\nbot:\n"),
        {
            "BRIDGED_DOMAIN": "b.example",
            "BRIDGED_LISTEN": "[::1]:1",
            "BRIDGED_EGRESS__PORTS": "80,8443",
            "BRIDGED_TRUSTED_PROXIES": "127.0.0.1/32",
            "BRIDGED_CONSENT__B": "open",
            "BRIDGED_BOT__NAME": "123",
            "BRIDGED_DATA_DIR": "elsewhere",
            "BRIDGED_SECRET__ENV": "BRIDGED_KEY",
            "BRIDGED_KEY": "the secret itself",
            "BRIDGED_ADAPTERS__B__INNER__ENABLED": "false",
        },
    )
    assert (settings.domain, settings.base_url) == ("b.example", "https://b.example")
    assert settings.listen == Listen("::1", 1)
    assert settings.egress.ports == (80, 8443)
    assert settings.trusted_proxies == (ip_network("127.0.0.1/32"),)
    assert settings.consent == {"b": "open"}
    assert settings.bot.name == "123"
    assert settings.data_dir == tmp_path / "elsewhere"
    assert (settings.secret.env, settings.secret.file) == ("BRIDGED_KEY", None)
    assert adapter_config(settings, "b", Invented).inner.enabled is False


def test_variables_of_other_parts_are_no_overrides(write):
    names = ("SECRET", "CONFIG", "VECTORS", "PEERS", "POSTGRES", "SEED", "CRASH")
    env = {f"BRIDGED_{name}": "[not, an, override" for name in names} | {"PATH": "x", "BRIDGEDX": "y"}
    assert load(write(LEAST), env).domain == "a.example"


def test_variable_that_holds_the_secret_is_no_override(write):
    assert load(write(f"{LEAST}secret: {{env: BRIDGED_KEY}}"), {"BRIDGED_KEY": "x"}).secret.env == "BRIDGED_KEY"


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("BRIDGED_CONSENT__B", "opn", ": must be one of open, opt-in, listed (got 'opn')"),
        ("BRIDGED_DOMIAN", "x", ": unknown key; did you mean domain?"),
        ("BRIDGED_BOT__NMAE", "x", ": unknown key; did you mean name?"),
        ("BRIDGED_EGRESS__PORTS", "80,x", ": [1]: must be a whole number"),
        ("BRIDGED_EGRESS__PORTS", "[80,]]", ": is not valid YAML: "),
        ("BRIDGED_EGRESS__PORTS", "[*a]", ": anchors and aliases are not read"),
        ("BRIDGED_EGRESS", '{"ports": [0]}', ": ports[0]: input should be greater"),
        ("BRIDGED_DOMAIN__X", "y", ": domain is not a mapping in "),
        ("BRIDGED_BOT__", "y", ": names no key"),
        ("BRIDGED_SECRET__FILES", "y", ": "),
    ],
)
def test_error_names_the_variable(refused, name: str, value: str, error: str):
    assert refused(LEAST, {name: value}).startswith(f"{name}{error}")


@pytest.mark.parametrize(
    ("adapters", "error"),
    [
        ("b: {hubs: 5}", "bridge.yaml:3: adapters.b.hubs: must be a list"),
        ("b: {hubs: a}", "bridge.yaml:3: adapters.b.hubs: must be a list"),
        ("b: {hbus: []}", "bridge.yaml:3: adapters.b.hbus: unknown key; did you mean hubs?"),
        (
            "b:\n    inner:\n      enabeld: true",
            "bridge.yaml:5: adapters.b.inner.enabeld: unknown key; did you",
        ),
        ("b: {inner: {enabled: often}}", "bridge.yaml:3: adapters.b.inner.enabled: must be true or false"),
    ],
)
def test_adapters_own_errors_name_key_and_line(write, tmp_path: Path, adapters: str, error: str):
    settings = load(write(f"{LEAST}adapters:\n  {adapters}\n"), {})
    with pytest.raises(ConfigError) as raised:
        adapter_config(settings, "b", Invented)
    assert str(raised.value).startswith(f"{tmp_path}/{error}")


@pytest.mark.parametrize("value", ["x1z", "[x1z]", "{x1z: 1}"])
def test_error_never_repeats_what_may_be_a_secret(write, value: str):
    settings = load(write(f"{LEAST}adapters: {{b: {{inner: {{password: {value}}}}}}}"), {})
    with pytest.raises(ConfigError) as raised:
        adapter_config(settings, "b", Invented)
    assert "x1z" not in str(raised.value)
    assert raised.value.key == "adapters.b.inner.password"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            "consent: {nstor: open}",
            "2: consent.nstor: no adapter for 'nstor' is installed; did you mean nostr?",
        ),
        ("answers: {x: drop}", "2: answers.x: no adapter for 'x' is installed (known: mail, nostr)"),
        ("adapters: {x: {}}", "2: adapters.x: no adapter for 'x' is installed (known: mail, nostr)"),
        (
            "accounts: ['mail:a', 'x:b']",
            "2: accounts[1]: no adapter for 'x' is installed (known: mail, nostr)",
        ),
    ],
)
def test_network_without_an_adapter_is_refused(write, tmp_path: Path, line: str, error: str):
    settings = load(write(f"{LEAST}{line}\n"), {})
    with pytest.raises(ConfigError) as raised:
        check_networks(settings, {"nostr", "mail"})
    assert str(raised.value) == f"{tmp_path}/bridge.yaml:{error}"


def test_settings_do_not_change(write):
    settings = load(write(LEAST), {})
    with pytest.raises(ValueError, match="frozen"):
        settings.domain = "b.example"  # type: ignore[misc]


@given(text=st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
@example(text="domain: a.example\nx: {<<: 1}")
@example(text="domain: a.example\ndata_dir: {}")
@example(text="domain: 2020-01-01")
@example(text="domain: a.example\nsecret: {1: 2}")
@example(text="a: 0x_")
@example(text="a: 1e999999\n? ''")
def test_any_file_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, text: str):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    told = ""
    try:
        load(path, {})
    except ConfigError as error:
        told = str(error)
    assert len(told.splitlines()) <= 1
