"""A socket's file that somebody removes is there again within seconds, and nobody who was connected is cut off."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from services.base.run_dir import prepare_run_dir
from services.base.settings import Settings
from services.runtime import bus
from services.runtime.bus import Publisher, Subscriber
from tests.support import eventually


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(data_root=str(tmp_path))
    prepare_run_dir(found)
    return found


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield made
    made.term()


def hears(publisher: Publisher, subscriber: Subscriber) -> bool:
    publisher.on_readable()
    publisher.send("topic", b"1")
    return bool(subscriber.drain())


@pytest.mark.parametrize("what", ["file", "folder"])
def test_it_listens_again(
    settings: Settings, context: "zmq.Context[zmq.Socket[bytes]]", monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(bus, "LOOK_SECONDS", 0.0)
    publisher = Publisher(context, settings, "sink.events")
    before = Subscriber(context, settings, ["sink.events"], ["topic"])
    eventually(lambda: hears(publisher, before))
    if what == "file":
        (settings.run_path / "sink.events").unlink()
    else:
        shutil.rmtree(settings.run_path)
    publisher.listener.look()
    later = Subscriber(context, settings, ["sink.events"], ["topic"])
    eventually(lambda: hears(publisher, later))
    before.drain()
    eventually(lambda: hears(publisher, before))
    assert settings.run_path.stat().st_mode & 0o777 == 0o700
    for each in (before, later, publisher):
        each.close()
