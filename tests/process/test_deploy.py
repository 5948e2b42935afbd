"""The deployment files, examined by the tools that will read them: systemd, hadolint, the Compose schema."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from messages.topics import SERVICES, SIDE_SERVICES
from services.base.settings import HELP, load
from tests.process.bench import clean_environment
from tests.support import REPOSITORY, program

DEPLOY = REPOSITORY / "deploy"
UNIT = DEPLOY / "systemd" / "ibstream@.service"
TARGET = DEPLOY / "systemd" / "ibstream.target"
EXPOSURE = 1.5  # of 10; the network and the files of its own group are what remains
STAGED = ("gateway", "planner", "sink", "supervisor", "web")  # the simulator is not for a server


def run(*command: str | Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        list(map(str, command)),
        cwd=REPOSITORY,
        env=clean_environment() | env,
        capture_output=True,
        text=True,
        timeout=150,
    )


def directives(name: str) -> list[str]:
    """What the unit says of one directive, comments aside."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


# --- systemd ---


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A folder of the units as installed, the program being where it is here."""
    unit = UNIT.read_text().replace("/opt/ibstream/.venv/bin/python", sys.executable)
    (tmp_path / UNIT.name).write_text(unit)
    shutil.copy(TARGET, tmp_path)
    for service in (*STAGED, *SIDE_SERVICES):
        (tmp_path / f"ibstream@{service}.service").symlink_to(UNIT.name)
    return tmp_path


def verified(folder: Path) -> str:
    """All that `systemd-analyze verify` has to say about the units in a folder."""
    analyze = program("systemd-analyze", "apt-get install systemd")
    names = [folder / f"ibstream@{service}.service" for service in (*STAGED, *SIDE_SERVICES)]
    found = run(analyze, "verify", "--man=no", *names, folder / TARGET.name, SYSTEMD_UNIT_PATH=f"{folder}:")
    return found.stdout + found.stderr


@pytest.mark.tools
def test_systemd_has_nothing_to_say_about_the_units(units: Path) -> None:
    assert verified(units) == ""


@pytest.mark.tools
def test_a_wrong_unit_would_be_told(units: Path) -> None:
    text = UNIT.read_text().replace("Restart=always", "Restart=sometimes")
    (units / UNIT.name).write_text(text.replace("/opt/ibstream", "/nowhere"))
    assert "sometimes" in verified(units)
    assert "/nowhere/.venv/bin/python is not executable" in verified(units)


@pytest.mark.tools
def test_the_unit_exposes_little(units: Path) -> None:
    analyze = program("systemd-analyze", "apt-get install systemd")
    security = (analyze, "security", "--offline=true", "--no-pager")
    examined = run(*security, f"--threshold={EXPOSURE * 10:.0f}", units / UNIT.name)
    assert examined.returncode == 0, examined.stdout
    bare = units / "bare.service"
    bare.write_text(f"[Service]\nExecStart={sys.executable}\n")
    assert run(*security, f"--threshold={EXPOSURE * 10:.0f}", bare).returncode != 0


def test_the_target_wants_every_service_but_the_simulator() -> None:
    wanted = re.findall(r"ibstream@(\w+)\.service", TARGET.read_text())
    assert sorted(wanted) == sorted(set(SERVICES) - {"simulator"}) == sorted(STAGED)


def test_the_settings_of_the_unit_are_settings(tmp_path: Path) -> None:
    env_file = tmp_path / "ibstream.env"
    shutil.copy(DEPLOY / "env.example", env_file)
    env = dict(part.split("=", 1) for line in directives("Environment") for part in shlex.split(line))
    settings = load(env | {"IBSTREAM_ENV_FILE": str(env_file)})
    assert (settings.data_root, settings.run_dir) == ("/var/lib/ibstream", "/run/ibstream")


def test_a_restart_is_not_tried_where_it_cannot_help_and_the_watchdog_outlasts_a_heartbeat() -> None:
    from services.runtime.respawn import FINAL_CODES

    assert directives("RestartPreventExitStatus") == [" ".join(map(str, FINAL_CODES))]
    (watchdog,) = directives("WatchdogSec")
    assert int(watchdog) >= 2 * 5  # IBSTREAM_HEARTBEAT_INTERVAL is 5 at most
    assert "from 0.05 to 5" in (DEPLOY / "env.example").read_text()


def test_the_procfile_for_a_real_gateway_is_the_other_less_the_simulator() -> None:
    procfile = (REPOSITORY / "Procfile").read_text().splitlines()
    live = (DEPLOY / "Procfile.live").read_text().splitlines()
    assert live == [line for line in procfile if not line.startswith("simulator:")]


# --- containers ---


@pytest.mark.tools
def test_hadolint_accepts_the_dockerfile() -> None:
    linted = run(program("hadolint", "make test installs it"), DEPLOY / "container" / "Dockerfile")
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.tools
def test_the_compose_file_holds_to_the_compose_specification(tmp_path: Path) -> None:
    check = (program("check-jsonschema", "make test installs it"), "--builtin-schema", "vendor.compose-spec")
    compose = DEPLOY / "container" / "compose.yaml"
    examined = run(*check, compose)
    assert examined.returncode == 0, examined.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(compose.read_text().replace("mem_limit:", "memory_limit:"))
    assert run(*check, wrong).returncode != 0


def test_what_the_containers_are_told_are_settings_and_services() -> None:
    for name in ("compose.yaml", "Dockerfile"):
        text = (DEPLOY / "container" / name).read_text()
        named = set(re.findall(r"\bIBSTREAM_[A-Z_]+\b", text))
        assert named, name
        assert {name for name in named if name.removeprefix("IBSTREAM_").lower() not in HELP} == set()
    commands = re.findall(
        r"^    command: \[(\w+)\]$", (DEPLOY / "container" / "compose.yaml").read_text(), re.MULTILINE
    )
    assert sorted(commands) == sorted((*SERVICES, *SIDE_SERVICES))


# --- the installer ---


def contents(root: Path) -> dict[str, bytes]:
    """Every installed file of ours and its bytes, the virtual environment and compiled files aside."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".venv" not in path.parts and "__pycache__" not in path.parts
    }


def test_the_installer_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    refused = run(DEPLOY / "systemd" / "install.sh", "--rot", tmp_path)
    assert refused.returncode == 2
    assert "--rot" in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout to install from, which the test may turn into another version."""
    folder = tmp_path / "checkout"
    for part in ("ibstream", "messages", "services", "deploy"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.lock"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


@pytest.mark.timeout(400)
@pytest.mark.tools
def test_install_upgrade_and_remove(tmp_path: Path, source: Path) -> None:
    """One test, as each step costs an environment: what is installed runs, an upgrade brings the new version and
    leaves data and settings alone, and a removal leaves nothing but those."""
    install, root = source / "deploy" / "systemd" / "install.sh", tmp_path / "root"
    first = run(install, "--root", root)
    assert first.returncode == 0, first.stderr
    before = contents(root)
    assert {"etc/systemd/system/ibstream@.service", "etc/systemd/system/ibstream.target"} <= before.keys()
    named = before["etc/systemd/system/ibstream-gateway@.service"].decode()
    assert "\nExecStart=/opt/ibstream/.venv/bin/python -m services.gateway %i\n" in named
    unit = before["etc/systemd/system/ibstream@.service"].decode()
    assert len(set(named.splitlines()) ^ set(unit.splitlines())) == 6, "a name, a description, a command"
    assert not [name for name in before if "/ui/" in name], "the page's source is not needed to serve the page"

    environment = root / "opt" / "ibstream" / ".venv" / "bin"
    shown = run(environment / "ibstream", "settings", IBSTREAM_DATA_ROOT=str(root / "var" / "lib" / "ibstream"))
    assert shown.returncode == 0, shown.stderr
    where = run(environment / "python", "-I", "-c", "import services; print(services.__path__[0])")
    assert where.stdout.strip() == str(root / "opt" / "ibstream" / "services")

    settings = root / "etc" / "ibstream" / "ibstream.env"
    assert settings.stat().st_mode & 0o007 == 0, "settings may hold a password"
    settings.write_text("IBSTREAM_API_MODE=ib\n")
    (root / "var" / "lib" / "ibstream" / "journal.sqlite").write_bytes(b"years")
    kept = {"etc/ibstream/ibstream.env": b"IBSTREAM_API_MODE=ib\n", "var/lib/ibstream/journal.sqlite": b"years"}
    (source / "services" / "runtime" / "timers.py").rename(source / "services" / "runtime" / "hold.py")
    second = run(install, "--root", root)
    assert second.returncode == 0, second.stderr
    after = before | kept
    after["opt/ibstream/services/runtime/hold.py"] = after.pop("opt/ibstream/services/runtime/timers.py")
    assert contents(root) == after

    chosen(root)
    for _ in range(2):
        removed = run(install, "--remove", "--root", root)
        assert removed.returncode == 0, removed.stderr
        assert contents(root) == kept
    assert not (root / "opt" / "ibstream").exists()
    assert list((root / "etc" / "systemd" / "system").iterdir()) == []


def chosen(root: Path) -> None:
    """Which services a machine runs, as the README says for one with a relay and without sink and web."""
    systemctl = program("systemctl", "apt-get install systemd")
    for words in (("mask", "ibstream@sink", "ibstream@web"), ("enable", "ibstream@relay")):
        done = run(systemctl, f"--root={root}", *words)
        assert done.returncode == 0, done.stderr
    units = root / "etc" / "systemd" / "system"
    assert (units / "ibstream@sink.service").readlink() == Path("/dev/null")
    assert (units / "ibstream.target.wants" / "ibstream@relay.service").is_symlink()
