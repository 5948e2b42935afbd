"""Alert rules and dashboard: promtool holds them to their tests, and a running pipeline to the metrics they name."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.process.pipeline import ALL, Pipeline
from tests.support import REPOSITORY, eventually, program

MONITORING = REPOSITORY / "deploy" / "monitoring"
RULES = MONITORING / "rules.yaml"
METRIC = re.compile(r"\bibstream_[a-z_]+\b")


def promtool(*arguments: str, text: str | None = None) -> None:
    tool = program("promtool", "apt-get install prometheus")
    done = subprocess.run([tool, *arguments], cwd=MONITORING, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARN" not in done.stdout + done.stderr


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    return found


def expressions() -> list[str]:
    """All PromQL of the dashboard."""
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def alerts(path: Path, key: str) -> list[str]:
    return re.findall(rf"{key}: (\w+)$", path.read_text(), re.MULTILINE)


def test_the_rules_and_the_scrape_example_are_valid() -> None:
    promtool("check", "rules", "rules.yaml")
    promtool("check", "config", "prometheus.yaml")


def test_the_rules_do_what_their_tests_say() -> None:
    promtool("test", "rules", "rules_test.yaml")


def test_every_alert_has_a_test_of_firing_and_of_silence() -> None:
    tested = alerts(MONITORING / "rules_test.yaml", "alertname")
    assert {name: tested.count(name) for name in alerts(RULES, "alert")} == dict.fromkeys(tested, 2)


def test_the_operator_is_told_what_to_do_about_every_alert() -> None:
    guide = (REPOSITORY / "deploy" / "README.md").read_text()
    rows = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| Ibstream")]
    told = re.findall(r"\bIbstream[A-Z]\w+\b", " ".join(rows))
    assert sorted(told) == sorted(alerts(RULES, "alert"))


def test_every_expression_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(expressions())]
    path = tmp_path / "panels.json"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(path))


def test_no_two_panels_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


def test_every_metric_that_is_watched_is_exposed(pipeline: Callable[..., Pipeline]) -> None:
    p = pipeline(ALL, alert_urls="json://127.0.0.1:9", quality_seconds=1)  # so that the supervisor counts alerts, too

    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{p.web_port}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
        return text

    watched = set(METRIC.findall("\n".join([*expressions(), RULES.read_text()])))
    assert len(watched) > 20
    p.await_status("connected")

    def unknown() -> set[str]:
        exposed = set(re.findall(r"^# TYPE (\w+)", page(), re.MULTILINE))
        return watched - exposed

    eventually(lambda: _reachable(page))
    eventually(lambda: not unknown(), message=f"unknown metrics: {unknown()}")
    promtool("check", "metrics", text=page())


def _reachable(page: Callable[[], str]) -> bool:
    try:
        return "ibstream_service_up" in page()
    except OSError:
        return False
