"""Settings: every one has a wrong value that is refused in one line, and is documented in deploy/env.example."""

import re
from pathlib import Path

import pytest

from messages.errors import IbStreamError
from messages.topics import SERVICES
from services.base.settings import HELP, PREFIX, SECRETS, Settings, load
from services.base.settings_rules import malformed, relay_streams
from services.cli.settings import env_file
from tests.support import REPOSITORY

FILE = str(Path(__file__).resolve())  # a file where a folder belongs

WRONG: dict[str, list[str]] = {
    "env_file": ["/does/not/exist.env", str(REPOSITORY)],
    "data_root": [" ", FILE, f"{FILE}/below"],
    "run_dir": [FILE, "/tmp/" + "long/" * 30],
    "api_mode": ["live", "MOCK "],
    "ib_host": ["two words", "host/path", "http://host"],
    "ib_port": ["0", "65536", "-1", "7497.5", "4001x", "port"],
    "ib_client_id": ["-1", "1000000", "x"],
    "ib_backup": ["host", "host:", ":4001", "host:0", "host:70000", "a b:4001"],
    "gateways": [
        "127.0.0.1:4001",
        "A=127.0.0.1:4001",
        "a.b=127.0.0.1:4001",
        "a=127.0.0.1",
        "a=127.0.0.1:0",
        "a=127.0.0.1:4001/x",
        "a=127.0.0.1:4001/17/0",
        "a=127.0.0.1:4001/17/100/1",
        "a=127.0.0.1:4001 a=127.0.0.1:4002",
        "a=127.0.0.1:4001/17 b=127.0.0.1:4001/17",
    ],
    "ib_connect_timeout": ["0", "-1", "soon", "nan"],
    "ib_message_rate": ["0", "1001", "45.5"],
    "ib_line_limit": ["0", "-5", "many"],
    "ib_generic_ticks": ["233;787", "odd lots", "233,"],
    "ib_backoff_max": ["0", "x"],
    "allow_delayed": ["maybe", "2"],
    "stale_after": ["0", "x", "inf", "1e308"],
    "link_stale_after": ["-1"],
    "good_for_seconds": ["0.5", "61", "soon"],
    "probe_timeout": ["0"],
    "gap_fill": ["perhaps"],
    "reset_windows": ["always", "daily 25:00-26:00", "xyz 01:00-02:00", "daily 1:00-2:00"],
    "roll_days": ["-1", "367", "volume"],
    "roll_by": ["5", "open interest"],
    "reset_time_zone": ["Mars/Olympus", "../etc/passwd", "New York"],
    "database_url": ["oracle://x", "mydatabase", "projects.sqlite", "user:secret@host/db"],
    "database_timeout": ["0", "five"],
    "project_id": ["0", "-1", "one", "9" * 30],
    "items_root": [FILE],
    "max_symbols": ["0", "1.5", "9" * 30],
    "refresh_interval": ["4.9", "0", "often"],
    "file_interval_ms": ["-1", "60001", "x"],
    "file_writes_per_second": ["0"],
    "sink_nice": ["-1", "20", "x"],
    "candles": ["1m 2m", "minute", "1M"],
    "gather_ms": ["-1", "1001", "50.5"],
    "journal_commit_ms": ["0", "60001"],
    "retention_days_ticks": ["0", "x"],
    "retention_days_events": ["0"],
    "flight_recorder_mb": ["-1", "x"],
    "retention_gb": ["0", "-1", "big", "1e300"],
    "archive_after_days": ["0"],
    "heartbeat_interval": ["0.01", "6", "x"],
    "heartbeat_timeout": ["0", "0.9", "x"],
    "log_level": ["loud", "verbose"],
    "log_format": ["xml"],
    "expected_services": ["gateway planner mailer", "sink", "gateway"],
    "bus_peers": ["gateway", "nobody=host:5000", "gateway=host", "gateway=host:x", "sink=a:5000 sink=b:5000"],
    "bus_key": ["../key", "a b"],
    "keys_dir": [FILE],
    "nats_url": ["host:4222", "http://host:4222"],
    "relay_send": ["quotes", "ticks status"],
    "relay_receive": ["quotes"],
    "web_host": ["two words", "http://host", "0.0.0.0"],
    "web_port": ["0", "65536", "http"],
    "web_token": ["with space", "umlaut-ä"],
    "web_origins": ["desk.example", "https://desk.example/path", "*"],
    "alert_urls": ["someone@example.org", "json://ok.example nonsense"],
    "positions": ["true", "all"],
    "held_alert_interval": ["0", "often"],
    "alert_min_interval": ["0", "x"],
    "quality_seconds": ["-1", "x"],
    "sim_host": ["0.0.0.0", "192.168.1.5", "example.org"],
    "sim_port": ["0", "99999"],
    "sim_seed": ["1.5", "x"],
}


def test_every_setting_is_tried() -> None:
    assert set(WRONG) == set(HELP)


@pytest.mark.parametrize(("field", "text"), [(field, text) for field, texts in WRONG.items() for text in texts])
def test_a_wrong_value_is_refused_in_one_line_that_names_it(field: str, text: str) -> None:
    name = PREFIX + field.upper()
    with pytest.raises(IbStreamError) as caught:
        load({name: text})
    assert caught.value.code == "invalid_setting"
    assert caught.value.exit_code == 2
    message = caught.value.message
    assert name in message
    assert "expected" in message
    assert "\n" not in message
    if field in SECRETS:
        assert text not in message
    else:
        assert text.strip() in message or any(part in message for part in re.split("[ =]", text)), (
            "what came is not shown"
        )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("IBSTREAM_IB_PROT", "IBSTREAM_IB_PORT"),
        ("IBSTREAM_ib_port", "IBSTREAM_IB_PORT"),
        ("IBSTREAM_ZZZ", "env.example"),
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(IbStreamError) as caught:
        load({name: "1"})
    assert name in caught.value.message
    assert hint in caught.value.message


def test_an_empty_value_means_the_default() -> None:
    assert load({PREFIX + field.upper(): "" for field in HELP if field != "data_root"}) == Settings()


def test_the_defaults_pass_their_own_rules() -> None:
    assert load({}) == Settings()


# --- deploy/env.example ---


def test_the_example_is_in_step() -> None:
    """When this fails: `ibstream settings --env > deploy/env.example`."""
    assert (REPOSITORY / "deploy" / "env.example").read_text() == env_file()


def test_the_example_loads_to_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "env"
    lines = env_file().splitlines()
    path.write_text("\n".join(line[1:] for line in lines if line.startswith(f"#{PREFIX}") and "ENV_FILE" not in line))
    assert load({"IBSTREAM_ENV_FILE": str(path)}) == Settings(env_file=str(path))


def test_what_is_secret_is_secret_everywhere() -> None:
    assert {"database_url", "web_token", "alert_urls", "nats_url"} == SECRETS
    for field in HELP:
        shown = "hunter2" in malformed(PREFIX + field.upper(), "hunter2", "something else").message
        assert shown == (field not in SECRETS), field


# --- several gateways ---


def test_one_gateway_has_no_name() -> None:
    settings = load({"IBSTREAM_IB_LINE_LIMIT": "50"})
    assert settings.gateway_names == ("",)
    assert settings.services == SERVICES
    assert settings.line_limits == {"": 50}
    assert settings.of_gateway("") is settings


def test_several_gateways_each_with_what_is_its_own() -> None:
    settings = load({"IBSTREAM_GATEWAYS": "a=10.0.0.1:4001/5/60  b=[::1]:4002", "IBSTREAM_IB_CLIENT_ID": "9"})
    assert settings.services == ("simulator", "gateway.a", "gateway.b", "planner", "sink", "supervisor", "web")
    assert settings.line_limits == {"a": 60, "b": 100}
    a, b = settings.of_gateway("a"), settings.of_gateway("b")
    assert (a.ib_host, a.ib_port, a.ib_client_id, a.ib_line_limit) == ("10.0.0.1", 4001, 5, 60)
    assert (b.ib_host, b.ib_port, b.ib_client_id, b.ib_line_limit) == ("::1", 4002, 9, 100)


def test_what_goes_with_several_gateways() -> None:
    two = {"IBSTREAM_GATEWAYS": "a=127.0.0.1:4001 b=127.0.0.1:4002"}
    settings = load(two | {"IBSTREAM_BUS_PEERS": "gateway.a=127.0.0.1:5000", "IBSTREAM_RELAY_SEND": "ticks link.b"})
    assert settings.peers == {"gateway.a": ("127.0.0.1", 5000)}
    assert relay_streams(settings) == (["ticks.a", "ticks.b", "link.b"], [])
    for name, text in (("BUS_PEERS", "gateway=h:1"), ("RELAY_SEND", "ticks.c"), ("IB_BACKUP", "127.0.0.1:4003")):
        with pytest.raises(IbStreamError, match=f"IBSTREAM_{name}"):
            load(two | {f"IBSTREAM_{name}": text})
    with pytest.raises(IbStreamError, match="IBSTREAM_RELAY_RECEIVE"):
        load(two | {"IBSTREAM_RELAY_SEND": "ticks.a", "IBSTREAM_RELAY_RECEIVE": "link.a"})


def test_the_sentence_names_which_of_several_is_wrong() -> None:
    with pytest.raises(IbStreamError, match=r"IBSTREAM_GATEWAYS, at b, is '127.0.0.1'; expected host:port"):
        load({"IBSTREAM_GATEWAYS": "a=127.0.0.1:4001 b=127.0.0.1"})


def test_the_sockets_of_a_long_name_fit_too() -> None:
    folder = "/tmp/" + "x" * 70
    assert load({"IBSTREAM_RUN_DIR": folder}).run_path == Path(folder)
    with pytest.raises(IbStreamError, match="IBSTREAM_RUN_DIR"):
        load({"IBSTREAM_RUN_DIR": folder, "IBSTREAM_GATEWAYS": "sixteenletters16=127.0.0.1:4001"})


def test_whoever_is_missed_is_each_of_several() -> None:
    two = {"IBSTREAM_GATEWAYS": "a=127.0.0.1:4001 b=127.0.0.1:4002"}
    assert load(two).expected == ("gateway.a", "gateway.b", "planner", "sink")
    assert load(two | {"IBSTREAM_EXPECTED_SERVICES": "planner gateway.b"}).expected == ("planner", "gateway.b")
    with pytest.raises(IbStreamError, match="IBSTREAM_EXPECTED_SERVICES"):
        load(two | {"IBSTREAM_EXPECTED_SERVICES": "planner gateway.c"})


# --- the simulator in mock mode ---


@pytest.mark.parametrize(
    ("given", "port"),
    [
        ({}, 17497),
        ({"IBSTREAM_SIM_PORT": "5001"}, 5001),
        ({"IBSTREAM_IB_PORT": "4002"}, 4002),
        ({"IBSTREAM_IB_PORT": "4002", "IBSTREAM_SIM_PORT": "5001"}, 5001),
        ({"IBSTREAM_IB_PORT": "4002", "IBSTREAM_SIM_PORT": ""}, 4002),
        ({"IBSTREAM_IB_HOST": "ib-gateway", "IBSTREAM_IB_BACKUP": "ib-gateway:4003"}, 17497),
    ],
)
def test_in_mock_mode_the_gateway_connects_to_the_simulator(given: dict[str, str], port: int) -> None:
    settings = load(given)
    assert settings.simulator_address == ("127.0.0.1", port)
    assert settings.gateway_addresses == [("127.0.0.1", port)]


def test_in_ib_mode_the_gateway_connects_where_it_is_told() -> None:
    ib = {"IBSTREAM_API_MODE": "ib", "IBSTREAM_SIM_PORT": "5001"}
    assert load(ib).gateway_addresses == [("127.0.0.1", 7497)]
    there = ib | {"IBSTREAM_IB_HOST": "desk", "IBSTREAM_IB_PORT": "4002", "IBSTREAM_IB_BACKUP": "spare:4003"}
    assert load(there).gateway_addresses == [("desk", 4002), ("spare", 4003)]
    assert load(there).simulator_address == ("127.0.0.1", 5001)
    assert load({"IBSTREAM_API_MODE": "ib", "IBSTREAM_IB_PORT": "4002"}).simulator_address == ("127.0.0.1", 17497)


def test_a_second_simulator_and_named_ones_stay_where_they_are() -> None:
    assert load({"IBSTREAM_IB_BACKUP": "127.0.0.1:5002"}).gateway_addresses[1:] == [("127.0.0.1", 5002)]
    named = load({"IBSTREAM_GATEWAYS": "a=127.0.0.1:5001 b=[::1]:5002"})
    assert named.of_gateway("b").gateway_addresses == [("::1", 5002)]
