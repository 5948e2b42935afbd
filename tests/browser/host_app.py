"""Another React app in an empty folder outside the repository, made by the steps of the card's README."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.browser.conftest import UI
from tests.support import missing

STEP_SECONDS = 120
SOURCE = UI / "tests" / "host"
TOOLS = ("vite", "typescript")
QUIET = {"npm": ["--no-audit", "--no-fund", "--prefer-offline"], "pnpm": ["--prefer-offline"]}
NO_NETWORK = re.compile("ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH")
INSTALLERS = {"npm": ["npm", "install"], "pnpm": ["npx", "--yes", "pnpm@10", "add"]}


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def run(folder: Path, *command: str) -> str:
    """What the command printed. Fails with all that it said."""
    environment = {name: value for name, value in os.environ.items() if name != "NODE_PATH"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=STEP_SECONDS, check=False
    )
    if done.returncode and NO_NETWORK.search(done.stderr):
        missing("the packages of another app cannot be fetched: no registry is reached")
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """For work in a folder that several test processes share."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def pack_card(folder: Path) -> Path:
    """The card as `npm pack` makes it, once."""
    folder.mkdir(exist_ok=True)
    packed = next(folder.glob("*.tgz"), None)
    if packed is not None:
        return packed
    if shutil.which("npm") is None or not (UI / "node_modules").exists():
        missing("the card's packages are not installed; run `npm ci` in services/web/ui")
    run(UI, "npm", "pack", "--silent", "--pack-destination", str(folder))
    return next(folder.glob("*.tgz"))


def make_host(folder: Path, card: Path, react: int, installer: str) -> Path:
    """The host app in `folder`, checked and built, once; where its files are."""
    built = folder / "dist"
    if built.exists():
        return built
    shutil.copytree(SOURCE, folder, dirs_exist_ok=True)
    wanted = json.loads((UI / "package.json").read_text())["devDependencies"]
    tools = [f"{name}@{wanted[name]}" for name in TOOLS]
    types = [f"@types/react@{react}", f"@types/react-dom@{react}"]
    (folder / "package.json").write_text('{"name": "host", "private": true, "type": "module"}\n')
    run(folder, *INSTALLERS[installer], *QUIET[installer], f"react@{react}", f"react-dom@{react}", str(card))
    run(folder, *INSTALLERS[installer], *QUIET[installer], "--save-dev", *tools, *types)
    run(folder, "npx", "tsc")
    run(folder, "npx", "tsc", "--types", "vite/client")
    run(folder, "npx", "vite", "build", "--base", "./", "--logLevel", "warn")
    return built


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The files of a folder over HTTP; their origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
