"""Wrong prices from IB's side, through the whole pipeline: told live, counted, and in the report, the same from all."""

import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from messages.quality import QualityReport, SymbolQuality
from services.base.clock import SECOND
from services.quotes.past_quality import day_report
from tests.process import inbox
from tests.process.pipeline import ALL, Pipeline
from tests.support import eventually

RATE = "400"  # ticks a second, of all symbols: enough of each within seconds


def answer(p: Pipeline, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{p.web_port}{path}", timeout=30) as response:
        content: bytes = response.read()
    return content


def rows(content: bytes) -> dict[str, SymbolQuality]:
    return {row.symbol: row for row in msgspec.json.decode(content, type=QualityReport).symbols}


def test_wrong_prices_are_told_live_and_stand_in_the_report(tmp_path: Path) -> None:
    simulator = {"simulator": ["--pipeline", "--rate", RATE, "--scenario", "bad_prices", "--speed", "2"]}
    with inbox.opened() as box:
        env: dict[str, Any] = {"quality_seconds": 1, "alert_urls": box.url, "alert_min_interval": 1}
        with Pipeline(tmp_path, ALL, env, simulator) as p:
            p.await_status("connected", timeout=60)
            told = lambda: "\n".join(one["message"] for one in box.received)  # noqa: E731
            eventually(lambda: "crossed: SPY" in told(), 60)
            eventually(lambda: "outliers: AAPL" in told(), 60)
            counted = b'ibstream_quality_symbols{mark="crossed",service="supervisor"} '
            eventually(lambda: counted + b"1.0" in answer(p, "/metrics"), 30)
            first = rows(answer(p, "/api/ib/stream/quality"))
            assert first["SPY"].crossed_seconds > 0 and first["QQQ"].crossed == 0
            for service in ("gateway", "planner", "sink", "supervisor", "simulator"):
                p.kill(service, 15)
            live = answer(p, "/api/ib/stream/quality")
            report = msgspec.json.decode(live, type=QualityReport)
            day = report.start[:10]
            assert live == day_report(p.settings.journal_dir, day, (1 << 62) - SECOND, kept=False)
            shown = p.cli("quality", "--day", day, "--symbol", "AAPL", "--json")
            assert shown.returncode == 0, shown.stderr
            assert rows(shown.stdout.encode()) == {"AAPL": rows(live)["AAPL"]}
    found = rows(live)
    assert "crossed" in found["SPY"].marks
    assert "outliers" in found["AAPL"].marks
    worst = found["AAPL"].worst_outliers[0]
    assert worst.field == "last" and worst.price > 1.05 * worst.before
    for name in ("QQQ", "IWM"):
        if name in found:
            assert not {"crossed", "outliers", "off_bars", "stuck", "split"} & set(found[name].marks), found[name]
