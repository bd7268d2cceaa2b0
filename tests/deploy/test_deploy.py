"""deploy/ is held against the tools it is written for, as far as that goes without a container engine."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from bridged.config import load

REPO = Path(__file__).parents[2]
DEPLOY = REPO / "deploy"


def tool(name: str, package: str) -> str:
    """The program's path; without it the test is reported as not run, and fails under CI."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        told = f"{name} is missing: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(f"not run: {told}")
    return path


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """What the command prints; fails with it unless it ends with 0."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | (env or {}), stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs")
    names = "subjectAltName=DNS:bridge.example,DNS:*.bridge.example"
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bridge.example"
    files = ["-keyout", folder / "wildcard.key", "-out", folder / "wildcard.pem"]
    run(tool("openssl", "openssl"), *command.split(), "-addext", names, *files)
    return folder


# --- systemd ---------------------------------------------------------------------------------------------------


def _unit() -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for line in (DEPLOY / "bridged.service").read_text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            keys.setdefault(key, []).append(value)
    return keys


def test_unit_is_valid(tmp_path: Path):
    """With a program that exists here in the place of the bridge, systemd has nothing to say."""
    text = (DEPLOY / "bridged.service").read_text()
    assert text.count("/opt/bridged/bin/bridged") == 1
    unit = tmp_path / "bridged.service"
    unit.write_text(text.replace("/opt/bridged/bin/bridged", sys.executable))
    assert run(tool("systemd-analyze", "systemd"), "--man=no", "verify", unit).strip() == ""


def test_unit_is_hardened():
    """Exposure of 2.0 at most, on systemd's scale from 0 (safe) to 10."""
    command = ["security", "--no-pager", "--offline=yes", "--threshold=20"]
    run(tool("systemd-analyze", "systemd"), *command, DEPLOY / "bridged.service")


def test_unit_overrides_are_settings():
    env = dict(pair.split("=", 1) for line in _unit()["Environment"] for pair in shlex.split(line))
    settings = load(REPO / "bridge.yaml", env)
    assert settings.data_dir == Path("/var/lib") / _unit()["StateDirectory"][0]
    assert settings.secret.file == settings.data_dir / "secret.key"


# --- Caddy and nginx: how they behave is tested in test_proxies.py ------------------------------------------------


@pytest.mark.parametrize("wildcard", [False, True])
def test_caddyfile_is_valid(tmp_path: Path, certs: Path, wildcard: bool):
    shutil.copy(DEPLOY / "Caddyfile", tmp_path)
    if wildcard:
        shutil.copy(DEPLOY / "wildcard.caddy", tmp_path)
    env = {"DOMAIN": "bridge.example", "CERTS": str(certs), "XDG_DATA_HOME": str(tmp_path / "data")}
    env["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    caddy = tool("caddy", "caddy")
    command = ["--config", tmp_path / "Caddyfile", "--adapter", "caddyfile"]
    assert "Valid configuration" in run(caddy, "validate", *command, env=env)
    adapted = run(caddy, "adapt", *command[:2], env=env)
    assert ("*.bridge.example" in adapted) is wildcard


def test_caddyfiles_are_in_caddys_own_format():
    for name in ("Caddyfile", "wildcard.caddy"):
        assert run(tool("caddy", "caddy"), "fmt", DEPLOY / name) == (DEPLOY / name).read_text()


def test_nginx_conf_is_valid(tmp_path: Path, certs: Path):
    """`nginx -t`, with certificates and ports that are there for everybody."""
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("/etc/letsencrypt/live/bridge.example/fullchain.pem", str(certs / "wildcard.pem"))
    text = text.replace("/etc/letsencrypt/live/bridge.example/privkey.pem", str(certs / "wildcard.key"))
    text = re.sub(r"listen (\[::\]:)?(80|443)\b", r"listen \g<1>60\g<2>", text)
    (tmp_path / "bridged.conf").write_text(text)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off; include bridged.conf; }}\n"
    )
    told = run(tool("nginx", "nginx-light"), "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf")
    assert "test is successful" in told


# --- Compose ----------------------------------------------------------------------------------------------------

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
# The part of the Compose Specification that our file keeps to.
TOP = {"name", "services", "networks", "volumes"}
SERVICE: dict[str, type | tuple[type, ...]] = {
    "build": dict, "cap_drop": list, "depends_on": dict, "environment": dict, "healthcheck": dict, "image": str,
    "networks": list, "ports": list, "profiles": list, "read_only": bool, "restart": str, "security_opt": list,
    "stop_grace_period": str, "tmpfs": list, "volumes": list,
}  # fmt: skip


def _fill(text: str, variables: dict[str, str]) -> str:
    """Compose's interpolation: `${A}`, `${A:-default}`, `${A:?message}`."""

    def value(match: re.Match[str]) -> str:
        name, rest = match[1], match[2] or ""
        if variables.get(name):
            return variables[name]
        assert not rest.startswith(":?"), f"{name}: {rest[2:]}"
        return rest.removeprefix(":-")

    return re.sub(r"\$\{([A-Z_]+)(:[-?][^}]*)?\}", value, text)


def test_compose_keeps_to_the_specification():
    assert set(COMPOSE) <= TOP
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", COMPOSE["name"])
    for name, service in COMPOSE["services"].items():
        for key, value in service.items():
            assert key in SERVICE, f"{name}.{key}"
            assert isinstance(value, SERVICE[key]), f"{name}.{key}"
        assert "image" in service or "build" in service
        assert service["restart"] in ("no", "always", "on-failure", "unless-stopped")
        for value in service.get("environment", {}).values():
            assert isinstance(value, str)
        for port in service.get("ports", []):
            assert re.fullmatch(r"\d+:\d+(/udp|/tcp)?", port)
        for other, how in service.get("depends_on", {}).items():
            assert other in COMPOSE["services"]
            assert how["condition"] in ("service_started", "service_healthy", "service_completed_successfully")


def test_compose_names_what_exists():
    for name, service in COMPOSE["services"].items():
        assert set(service["networks"]) <= set(COMPOSE["networks"]), name
        for volume in service["volumes"]:
            source, target, *mode = volume.split(":")
            assert target.startswith("/"), volume
            assert mode in ([], ["ro"]), volume
            if source.startswith("."):
                assert (DEPLOY / source).is_file(), volume
            else:
                assert source in COMPOSE["volumes"], volume
    build = COMPOSE["services"]["bridged"]["build"]
    assert (DEPLOY / build["context"]).resolve() == REPO
    assert (REPO / build["dockerfile"]).is_file()


def test_compose_overrides_make_a_bridge_that_others_can_reach():
    """Over the repo's bridge.yaml, which is for localhost."""
    variables = {"DOMAIN": "bridge.example"}
    env = {key: _fill(value, variables) for key, value in COMPOSE["services"]["bridged"]["environment"].items()}
    settings = load(REPO / "bridge.yaml", _image_env() | env)
    assert (settings.domain, settings.handle_domain) == ("bridge.example", "bridge.example")
    assert settings.base_url == "https://bridge.example"
    assert settings.egress.allow == ()
    subnet = COMPOSE["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert [str(net) for net in settings.trusted_proxies] == [subnet]
    assert settings.data_dir == settings.secret.file.parent == Path("/var/lib/bridged")  # type: ignore[union-attr]
    assert f"data:{settings.data_dir}" in COMPOSE["services"]["bridged"]["volumes"]
    assert COMPOSE["services"]["caddy"]["environment"]["UPSTREAM"] == f"bridged:{settings.listen.port}"


def test_compose_asks_for_the_domain():
    with pytest.raises(AssertionError, match="set DOMAIN"):
        _fill(COMPOSE["services"]["bridged"]["environment"]["BRIDGED_DOMAIN"], {})


# --- The image ----------------------------------------------------------------------------------------------------


def _stages() -> list[list[tuple[str, str]]]:
    """(instruction, arguments) of the Dockerfile, by stage."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, re.sub(r"\\\n\s*", "", text).splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest.strip()))
    return stages


def _last(word: str) -> list[str]:
    return [rest for found, rest in _stages()[-1] if found == word]


def _image_env() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in _last("ENV") for pair in shlex.split(rest))


def test_image_is_built_in_stages_of_pinned_series():
    known = {"FROM", "ENV", "WORKDIR", "RUN", "COPY", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    stages = _stages()
    assert len(stages) == 2
    assert {word for stage in stages for word, _ in stage} <= known
    for stage in stages:
        assert re.match(r"python:3\.1[1-4]-slim-\w+( AS build)?$", stage[0][1])
    assert stages[0][0][1].removesuffix(" AS build") == stages[1][0][1], "the environment moves as it is"


def test_image_copies_what_exists_and_is_not_ignored():
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    for stage in _stages():
        for word, rest in stage:
            if word != "COPY" or rest.startswith("--from=build "):
                continue
            for source in rest.split()[:-1]:
                assert (REPO / source).exists(), source
                allowed = [line[1:] for line in ignored if line.startswith("!")]
                assert any(Path(source).match(pattern) for pattern in allowed), source


def test_image_installs_by_hash_and_from_wheels():
    runs = " && ".join(rest for stage in _stages() for word, rest in stage if word == "RUN")
    installs = [part for part in runs.split(" && ") if " install " in part]
    assert len(installs) == 3
    for install in installs:
        by_hash = "--require-hashes" in install and "--only-binary :all:" in install
        assert by_hash or ("--no-deps" in install and "--no-index" in install), install


def test_image_runs_without_root():
    (user,) = _last("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "by number, so that a cluster can tell it is not root"
    words = [word for word, _ in _stages()[-1]]
    assert "RUN" not in words[words.index("USER") :]


def test_image_starts_the_bridge():
    (entry,), (command,) = map(_last, ("ENTRYPOINT", "CMD"))
    program, option, config, verb = json.loads(entry) + json.loads(command)
    assert (program, option, verb) == ("bridged", "-c", "run")
    assert any(rest.split() == ["bridge.yaml", config] for rest in _last("COPY"))
    settings = load(REPO / "bridge.yaml", _image_env())
    assert str(settings.listen) == "0.0.0.0:8080"
    assert [str(settings.data_dir)] == _last("VOLUME") == _last("WORKDIR")
    assert [str(settings.listen.port)] == _last("EXPOSE")


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
def test_image_health_check_tells(status: int, healthy: bool):
    """The command itself, against a server on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/healthz" else 500)
            self.end_headers()

        def log_message(self, format: str, *args: Any):
            pass

    (check,) = _last("HEALTHCHECK")
    program, *arguments = json.loads(check[check.index("CMD") + 3 :])
    assert program == "python"
    assert "127.0.0.1:8080/" in arguments[-1]
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        arguments[-1] = arguments[-1].replace(":8080/", f":{server.server_port}/")
        done = subprocess.run([sys.executable, *arguments], capture_output=True, timeout=120)
        server.shutdown()
        thread.join()
    assert (done.returncode == 0) is healthy
