"""The commands as people type them: answers, exit codes and the one line that says what is wrong."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridged import __version__, cli
from tests.ports import free_port
from tests.unit.core import toynet

ROOT = Path(__file__).parents[3]
CONFIG = """
domain: localhost:{port}
listen: 127.0.0.1:{port}
trusted_proxies: [127.0.0.1/32]
egress: {{allow: [127.0.0.0/8]}}
consent: {{alpha: opt-in}}
adapters: {{alpha: {{}}, beta: {{down: {down}}}}}
"""


def until(seen: Callable[[], Any], seconds: float = 120.0) -> Any:
    """What `seen` gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := seen()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return toynet.install(tmp_path_factory.mktemp("toys"))


@pytest.fixture(autouse=True)
def toys(path: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in path:
        monkeypatch.syspath_prepend(folder)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, without a config file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BRIDGED_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def file(here: Path) -> Path:
    """bridge.yaml of a bridge that has not run yet."""
    path = here / "bridge.yaml"
    path.write_text(CONFIG.format(port=free_port(), down="false"))
    return path


class Running:
    """A daemon in a process of its own, beside which commands are tried."""

    def __init__(self, folder: Path, path: list[str]) -> None:
        self.port, self.folder = free_port(), folder
        self.file = folder / "bridge.yaml"
        self.file.write_text(CONFIG.format(port=self.port, down="true"))
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bridged", "-c", self.file, "run", "--json"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *path])},
            stdout=(folder / "out").open("wb"),
            stderr=self.log.open("wb"),
        )
        until(self.ready)

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return urllib.request.urlopen(f"{self.url}/readyz", timeout=30).status == 200
        except OSError:
            return False

    def post(self, text: str) -> None:
        urllib.request.urlopen(f"{self.url}/alpha/posts", data=text.encode(), timeout=60).close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, path: list[str]) -> Iterator[Running]:
    daemon = Running(tmp_path_factory.mktemp("running"), path)
    yield daemon
    if daemon.process.poll() is None:
        daemon.process.terminate()
        assert daemon.process.wait(60) == 0


class Said:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        assert self.code in (0, 1), self.err
        return json.loads(self.out)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*words: object) -> Said:
        capsys.readouterr()
        code = cli.call([str(w) for w in words])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


Say = Callable[..., Said]


# --- usage ---


def test_version_is_told(say: Say) -> None:
    assert say("version").out == f"bridged {__version__}\n"
    assert say("version", "--json").json == {"version": __version__}


def test_version_and_help_import_nothing_heavy() -> None:
    program = (
        "import sys; from bridged import cli; cli.call(['version']); cli.call(['--help'])\n"
        "print([m for m in ('aiohttp', 'sqlalchemy', 'alembic', 'structlog') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "Missing command"),
        (["fly"], "No such command 'fly'"),
        (["trace"], "Missing argument 'URL-OR-ID'"),
        (["status", "--loud"], "No such option: --loud"),
        (["init"], "Missing option '--domain'"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(say: Say, words: list[str], complaint: str) -> None:
    said = say(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err == f"bridged: {complaint}; see `bridged --help`\n"


def test_missing_config_names_the_file_and_how_to_make_one(here: Path, say: Say) -> None:
    said = say("-c", "none.yaml", "status")
    assert said.code == 2
    assert said.err.startswith("bridged: none.yaml is not there;")
    assert "bridged init" in said.err


@pytest.mark.parametrize("command", [["run"], ["status"], ["check"], ["trace", "x"], ["add", "alpha:x"]])
def test_wrong_key_names_key_and_line_and_code_2(file: Path, say: Say, command: list[str]) -> None:
    file.write_text(file.read_text() + "listne: 127.0.0.1:1\n")
    said = say(*command)
    assert said.code == 2
    assert said.err == f"bridged: {file.name}:8: listne: unknown key; did you mean listen?\n"
    assert not (file.parent / "var").exists()


def test_config_file_comes_from_the_environment(file: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    other = file.rename(file.with_name("other.yaml"))
    monkeypatch.setenv("BRIDGED_CONFIG", str(other))
    assert say("add", "alpha:ann", "--wait", 0).code == 0
    assert say("status", "--json").json["networks"]["alpha"]["members"] == 1


# --- what stops a bridge from being opened ---


@pytest.mark.parametrize("command", [["status"], ["trace", "alpha://x"]])
def test_looking_at_a_bridge_that_never_ran_makes_nothing(file: Path, say: Say, command: list[str]) -> None:
    (file.parent / "var").mkdir()
    secret = file.parent / "var" / "secret.key"
    secret.touch(0o600)
    secret.write_text("ab" * 32)
    said = say(*command)
    assert said.code == 3
    assert "bridged run" in said.err
    assert [p.name for p in secret.parent.iterdir()] == ["secret.key"]


def test_secret_others_can_read_is_code_3(file: Path, say: Say) -> None:
    secret = file.parent / "var" / "secret.key"
    secret.parent.mkdir()
    secret.write_text("ab" * 32)
    secret.chmod(0o644)
    said = say("run")
    assert said.code == 3
    assert f"chmod 600 {secret}" in said.err


def test_adapter_that_does_not_load_is_code_3(file: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(toynet.install(file.parent / "more", broken="Gone")[0])
    file.write_text(file.read_text().replace("beta: {down: false}", "broken: {}"))
    said = say("run")
    assert said.code == 3
    assert said.err.splitlines()[-1].startswith("bridged: the adapter for 'broken' does not load: AttributeError")


def test_adapters_with_the_same_route_are_code_3(file: Path, say: Say) -> None:
    file.write_text(file.read_text().replace("beta: {down: false}", "rival: {}"))
    said = say("run")
    assert said.code == 3
    assert "'alpha' and 'rival' both serve GET /alpha/me" in said.err


def test_port_in_use_names_the_key_and_is_code_3(file: Path, say: Say) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file.write_text(CONFIG.format(port=port, down="false"))
        said = say("run")
    assert said.code == 3
    assert said.err.splitlines()[-1].startswith(f"bridged: listen: 127.0.0.1:{port} is taken")


def test_database_of_another_domain_is_code_3(file: Path, say: Say) -> None:
    assert say("add", "alpha:ann", "--wait", 0).code == 0
    file.write_text(CONFIG.format(port=1, down="false"))
    said = say("status")
    assert said.code == 3
    assert "this database belongs to localhost:" in said.err


# --- init ---


def test_init_writes_a_config_that_loads_and_a_secret_of_its_own(here: Path, say: Say) -> None:
    said = say("init", "--domain", "Bridge.Example", "--open", "alpha", "--json")
    assert said.json["domain"] == "bridge.example"
    secret = here / "var" / "secret.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(secret.read_text())) == 32
    from bridged import config

    settings = config.load(here / "bridge.yaml", {})
    assert (settings.domain, settings.base_url) == ("bridge.example", "https://bridge.example")
    assert settings.consent_of("alpha") == "open"
    assert settings.consent_of("beta") == "opt-in"
    assert settings.adapters["alpha"] == {"down": False, "well": True}
    assert settings.egress.allow == ()
    assert settings.secret.file == secret


def test_init_for_localhost_listens_where_the_domain_says(here: Path, say: Say) -> None:
    from bridged import config

    assert say("init", "--domain", "localhost:8099").code == 0
    settings = config.load(here / "bridge.yaml", {})
    assert (settings.base_url, str(settings.listen)) == ("http://localhost:8099", "127.0.0.1:8099")


@pytest.mark.parametrize("domain", ["bridge.example", "localhost:8099"])
def test_init_writes_what_every_adapter_takes(here: Path, say: Say, domain: str) -> None:
    from bridged import config, registry

    assert say("init", "--domain", domain).code == 0
    settings = config.load(here / "bridge.yaml", {})
    assert {"activitypub", "nostr", "atproto"} <= set(settings.adapters)
    for network in settings.adapters:
        config.adapter_config(settings, network, registry.load(network).config_type)
    plc = settings.adapters["atproto"]["plc"]
    local = domain != "bridge.example"
    assert (plc == "embedded", settings.handle_domain) == (local, "bridge.test" if local else domain)


def test_init_leaves_an_existing_file_alone(file: Path, say: Say) -> None:
    before = file.read_text()
    said = say("init", "--domain", "bridge.example")
    assert (said.code, file.read_text()) == (1, before)
    assert "left alone" in said.err
    assert not (file.parent / "var").exists()


@pytest.mark.parametrize("domain", ["two words", "x: y", "http://bridge.example", "bridge.example:8080", "a\nb"])
def test_init_refuses_what_is_no_domain(here: Path, say: Say, domain: str) -> None:
    said = say("init", "--domain", domain)
    assert said.code == 2
    assert said.err.startswith("bridged: --domain: ")
    assert said.err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_init_refuses_to_open_an_unknown_network(here: Path, say: Say) -> None:
    said = say("init", "--domain", "bridge.example", "--open", "gamma")
    assert said.code == 2
    assert "no adapter for 'gamma'" in said.err


# --- check ---


def test_check_beside_a_running_bridge_finds_all_well(running: Running, say: Say) -> None:
    said = say("-c", running.file, "check")
    assert said.code == 0, said.out
    for line in ("ok config", "ok secret", "ok database: sqlite, migrated", "ok reachability", "ok clock"):
        assert line in said.out
    assert "ok beta weather: as seen" in said.out


def test_check_says_how_to_start_what_does_not_run(file: Path, say: Say) -> None:
    assert say("add", "alpha:ann", "--wait", 0).code == 0
    found = {f["what"]: f for f in say("check", "--json").json["findings"]}
    assert found["database"]["ok"]
    assert not found["reachability"]["ok"]
    assert found["reachability"]["mend"] == "start it with `bridged -c bridge.yaml run`"


def test_check_before_the_first_run_asks_the_adapters_and_leaves_nothing(file: Path, say: Say) -> None:
    secret = file.parent / "var" / "secret.key"
    secret.parent.mkdir()
    secret.touch(0o600)
    secret.write_text("ab" * 32)
    said = say("check", "--json")
    found = {f["what"]: f["ok"] for f in said.json["findings"]}
    assert said.code == 1
    assert (found["secret"], found["database"], found["alpha weather"]) == (True, False, True)
    assert [p.name for p in secret.parent.iterdir()] == ["secret.key"]


def test_check_without_a_secret_fails_and_makes_none(file: Path, say: Say) -> None:
    said = say("check")
    assert said.code == 1
    assert "✗  secret: no secret at" in said.out
    assert not (file.parent / "var").exists()


def test_check_tells_how_to_mend_what_an_adapter_finds(running: Running, say: Say, tmp_path: Path) -> None:
    text = running.file.read_text().replace("alpha: {}", "alpha: {well: false}")
    ill = running.file.with_name("ill.yaml")
    ill.write_text(text)
    said = say("-c", ill, "check")
    assert said.code == 1
    assert "✗  alpha weather: as seen\n     wait for sunshine\n" in said.out


def test_check_tells_a_wall_before_a_bridge_that_runs(running: Running, say: Say) -> None:
    walled = running.file.with_name("walled.yaml")
    walled.write_text(running.file.read_text().replace("[127.0.0.0/8]", "[]"))
    found = {f["what"]: f for f in say("-c", walled, "check", "--json").json["findings"]}
    assert not found["reachability"]["ok"]
    assert "egress" in found["reachability"]["mend"]


# --- add, remove, status, trace beside a running bridge ---


def test_run_announces_as_json(running: Running) -> None:
    told = json.loads((running.folder / "out").read_text())
    assert told["ready"] is True
    assert told["bot"] == f"@bridge@localhost:{running.port}"
    assert told["networks"] == ["alpha", "beta"]


def test_added_account_gets_its_ghost_from_the_running_bridge(running: Running, say: Say) -> None:
    told = say("-c", running.file, "add", "alpha:ann", "--wait", 20, "--json").json
    assert told["account"] == {"network": "alpha", "id": "ann", "name": "alpha://ann"}
    assert [g["address"] for g in told["ghosts"]] == [f"ann_ghost@localhost:{running.port}"]
    assert told["missing"] == []
    again = say("-c", running.file, "add", "alpha:ann")
    assert again.code == 0
    assert "is bridged already" in again.out


def test_account_whose_profile_says_no_is_not_added(running: Running, say: Say) -> None:
    said = say("-c", running.file, "add", "alpha:shy")
    assert said.code == 1
    assert "says in their profile that they must not be bridged" in said.err
    removed = say("-c", running.file, "remove", "alpha:shy")
    assert removed.code == 1
    assert "is not bridged: its profile says that it must not be" in removed.err
    told = say("-c", running.file, "status", "--json").json["networks"]["alpha"]
    assert told["left_by"]["profile"] == 1
    assert "1  out: their profile says no" in say("-c", running.file, "status").out


def test_post_of_an_added_account_is_traced_from_both_ends(running: Running, say: Say) -> None:
    assert say("-c", running.file, "add", "alpha:amy", "--wait", 20).code == 0
    running.post("p1 amy hello there")

    def tried() -> Any:
        said = say("-c", running.file, "trace", "alpha://p1", "--json")
        if said.code:
            return None
        deliveries = [d for there in said.json["there"] for d in there["deliveries"]]
        return said.json if deliveries and deliveries[0]["attempts"] else None

    story = until(tried)
    assert (story["kind"], story["state"], story["text"], story["handle"]) == (
        "Post",
        "live",
        "hello there",
        "amy@home",
    )
    assert [(s["step"], s["to"], s["reason"]) for s in story["steps"]][:3] == [
        ("heard", "", "alpha door"),
        ("carried", "beta", "member"),
        ("copied", "beta", ""),
    ]
    (there,) = story["there"]
    assert there["copies"] == [
        {
            "part": 0,
            "version": 1,
            "gone": False,
            "ref": {"network": "beta", "id": "copy-p1", "name": "beta://copy-p1"},
        }
    ]
    (delivery,) = there["deliveries"]
    assert (delivery["endpoint"], delivery["state"], delivery["attempts"]) == ("beta square", "ready", 1)
    assert delivery["reason"] == "the square is closed"
    assert delivery["next_try"] > time.time()
    assert say("-c", running.file, "trace", "beta://copy-p1", "--json").json["origin"] == story["origin"]
    told = say("-c", running.file, "trace", "beta:copy-p1").out
    assert "Post to beta square: ready, 1 attempt, next try 20" in told
    assert "heard: alpha door" in told


def test_account_is_traced_by_the_name_of_its_ghost(running: Running, say: Say) -> None:
    assert say("-c", running.file, "add", "alpha:abe", "--wait", 20).code == 0
    for name in ("alpha://abe", "beta://ghost-abe", f"@abe_ghost@localhost:{running.port}"):
        told = say("-c", running.file, "trace", name, "--json").json
        assert (told["kind"], told["state"], told["origin"]["id"]) == ("Account", "in", "abe")
        assert [g["id"] for g in told["ghosts"]] == ["ghost-abe"]


def test_trace_of_something_unknown_says_what_it_looked_for(running: Running, say: Say) -> None:
    said = say("-c", running.file, "trace", "beta://who\x1b[2J")
    assert (said.code, said.out) == (1, "")
    assert "looked for beta:who" in said.err
    assert "\x1b" not in said.err


def test_removed_account_loses_its_copies(running: Running, say: Say) -> None:
    assert say("-c", running.file, "add", "alpha:art", "--wait", 20).code == 0
    running.post("p2 art so long")
    until(lambda: say("-c", running.file, "trace", "beta://copy-p2").code == 0)
    told = say("-c", running.file, "remove", "alpha:art@home", "--json").json
    assert told == {"account": {"network": "alpha", "id": "art", "name": "alpha://art"}, "still_listed": False}
    until(lambda: say("-c", running.file, "trace", "alpha://p2", "--json").json["state"] == "deleted")
    assert say("-c", running.file, "trace", "alpha://p2", "--json").json["text"] == ""
    again = say("-c", running.file, "remove", "alpha:art")
    assert (again.code, again.err) == (1, "bridged: alpha:art is not bridged\n")


def test_who_is_removed_for_good_cannot_be_added_again(running: Running, say: Say) -> None:
    assert say("-c", running.file, "add", "alpha:ace", "--wait", 20).code == 0
    assert say("-c", running.file, "remove", "alpha:ace").code == 0
    told = say("-c", running.file, "remove", "alpha:ace", "--for-good").out
    assert told.startswith("alpha:ace is bridged no longer, and never will be again\n")
    again = say("-c", running.file, "remove", "alpha:ace", "--for-good")
    assert (again.code, again.err) == (1, "bridged: alpha:ace was removed for good already\n")
    back = say("-c", running.file, "add", "alpha:ace")
    assert back.code == 1
    assert "alpha:ace was removed for good: the identities that stood for it elsewhere have ended" in back.err


def test_status_counts_members_ghosts_and_what_waits(running: Running, say: Say) -> None:
    assert say("-c", running.file, "add", "alpha:asa", "--wait", 20).code == 0
    running.post("p3 asa anybody there")
    until(lambda: say("-c", running.file, "trace", "beta://copy-p3").code == 0)
    told = say("-c", running.file, "status", "--json").json
    alpha, beta = told["networks"]["alpha"], told["networks"]["beta"]
    assert alpha["consent"] == "opt-in"
    assert alpha["members"] >= 1
    assert beta["members"] == 0
    assert beta["ghosts"] >= 2
    assert beta["queue"] >= 1
    assert beta["queue_age"] >= 0
    assert set(told["last_hour"]) == {"sent", "dropped", "lost", "dead"}
    text = say("-c", running.file, "status").out
    assert f"queue     {beta['queue']} waiting" in text


def test_add_without_a_running_bridge_leaves_an_order(file: Path, say: Say) -> None:
    said = say("add", "alpha:ann", "--wait", 0)
    assert said.code == 0
    assert "alpha:ann is bridged from now on" in said.out
    assert "on beta: not there yet; the running daemon makes it, or the next `bridged run`" in said.out
    told = say("status", "--json").json
    assert (told["networks"]["alpha"]["members"], told["inbox"]) == (1, 1)


@pytest.mark.parametrize(
    ("who", "code", "complaint"),
    [
        ("alpha:nobody", 1, "there is no account nobody on alpha"),
        ("alpha:silent", 1, "no answer about alpha:silent: no answer from home; try again later"),
        ("ann", 2, "'ann' is not NETWORK:HANDLE, with a NETWORK of alpha, beta"),
        ("gamma:ann", 2, "'gamma:ann' is not NETWORK:HANDLE, with a NETWORK of alpha, beta"),
        ("alpha:", 2, "'alpha:' is not NETWORK:HANDLE, with a NETWORK of alpha, beta"),
    ],
)
def test_add_of_what_cannot_be_found_says_why(file: Path, say: Say, who: str, code: int, complaint: str) -> None:
    said = say("add", who, "--wait", 0)
    assert (said.code, said.err) == (code, f"bridged: {complaint}\n")


def test_ghosts_cannot_be_added(running: Running, say: Say) -> None:
    assert say("-c", running.file, "add", "alpha:ada", "--wait", 20).code == 0
    said = say("-c", running.file, "add", "beta:ghost-ada")
    assert said.code == 1
    assert "is an account this bridge made, for alpha:ada" in said.err


def test_secret_key_typed_by_mistake_is_not_repeated(file: Path, say: Say) -> None:
    key = "nsec1" + "q" * 58
    said = say("trace", key)
    assert key not in said.out + said.err
    assert say("add", f"{key}").err.count("q" * 10) == 0


def test_daemon_stops_at_sigterm_with_code_0(tmp_path: Path, path: list[str]) -> None:
    daemon = Running(tmp_path, path)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(60) == 0
    assert '"event": "stopped"' in daemon.log.read_text()


# --- backup and restore ---


def test_backup_is_restored_into_an_empty_database_only(file: Path, say: Say) -> None:
    assert say("add", "alpha:ann", "--wait", 0).code == 0
    said = say("backup", "saved", "--json")
    assert (said.code, said.json["rows"]["members"]) == (0, 1)
    again = say("backup", "saved")
    assert (again.code, again.err) == (1, "bridged: saved is there already and is left alone; take another name\n")
    occupied = say("restore", "saved")
    assert occupied.code == 1
    assert "bridged.sqlite3 is not empty" in occupied.err
    for path in (file.parent / "var").glob("bridged.sqlite3*"):
        path.unlink()
    done = say("restore", "saved")
    assert done.code == 0
    assert "docs/operating.md" in done.out
    assert say("status", "--json").json["networks"]["alpha"]["members"] == 1


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["restore", "none"], 1, "none is not there"),
        (["restore", "bridge.yaml"], 1, "bridge.yaml is no backup of bridged"),
        (["backup", "none/saved"], 1, "none/saved cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_saved_or_restored_is_told(
    file: Path, say: Say, words: list[str], code: int, complaint: str
) -> None:
    assert say("add", "alpha:ann", "--wait", 0).code == 0
    said = say(*words)
    assert (said.code, said.out) == (code, "")
    assert complaint in said.err


def test_database_half_restored_is_not_started_on(file: Path, say: Say) -> None:
    assert say("add", "alpha:ann", "--wait", 0).code == 0
    with contextlib.closing(sqlite3.connect(file.parent / "var" / "bridged.sqlite3")) as database, database:
        database.execute("INSERT INTO settings (name, value) VALUES ('restoring', 'bridged 0.1.0')")
    said = say("run")
    assert said.code == 3
    assert "half restored (from a backup by bridged 0.1.0): empty it, and run `bridged restore` again" in said.err


# --- what is kept about somebody ---


def test_export_holds_all_about_the_account_and_nobody_else(file: Path, say: Say) -> None:
    assert say("add", "alpha:ann", "--wait", 0).code == 0
    assert say("add", "alpha:bea", "--wait", 0).code == 0
    said = say("export", "alpha:ann", "ann.json", "--json")
    assert (said.code, said.json["rows"]["consent"]) == (0, 1)
    path = file.parent / "ann.json"
    written = json.loads(path.read_text())
    assert written["export_of"] == "alpha:ann"
    assert [row["state"] for row in written["consent"]] == ["in"]
    assert "bea" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    again = say("export", "alpha:ann", "ann.json")
    assert (again.code, again.err) == (1, "bridged: ann.json cannot be written: File exists\n")
    nobody = say("export", "alpha:zed", "zed.json")
    assert nobody.code == 1
    assert "nothing is known of alpha:zed" in nobody.err
    assert not (file.parent / "zed.json").exists()
