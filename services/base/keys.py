"""Keys of the bus: CURVE identities and who may connect, for every endpoint that is not a local socket.

Used by runtime/bus.py when an endpoint is tcp, and by `ibstream keys`. A key has a role: `data` may subscribe and
replay, `control` may also start and stop the stream. The folder (`IBSTREAM_KEYS_DIR`, 0700):

    server.key, server.key_secret    this installation's identity: what its endpoints prove
    peers/SERVICE.key                another installation's server.key, for a service that runs there
    NAME.key, NAME.key_secret        a client's identity; `IBSTREAM_BUS_KEY` names the one used here
    allowed/data/NAME.key            who may connect, by role: a file here is the permission,
    allowed/control/NAME.key         and removing it revokes it
"""

import contextlib
import re
import shutil
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import zmq
import zmq.auth

from messages.errors import IbStreamError
from services.base.settings import Settings

Role = Literal["data", "control"]
ROLES: tuple[Role, ...] = get_args(Role)
SERVER = "server"
RELOAD_SECONDS = 1.0


class Key(NamedTuple):
    name: str
    role: Role
    public: str


def make(directory: Path, name: str, role: Role) -> Path:
    """Make a client key, allow it, and return the path of its secret. The server's own key is made along.

    Raises IbStreamError `invalid_request` for a name that is taken or not a plain word.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", name) or name == SERVER:
        raise IbStreamError("invalid_request", f"{name!r} cannot name a key; expected letters, digits, - and _")
    if (directory / f"{name}.key").exists():
        raise IbStreamError("invalid_request", f"there is a key {name} already in {directory}; revoke it first")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    for one in ROLES:
        (directory / "allowed" / one).mkdir(parents=True, exist_ok=True)
    if not (directory / f"{SERVER}.key").exists():
        _create(directory, SERVER)
    secret = _create(directory, name)
    shutil.copyfile(directory / f"{name}.key", directory / "allowed" / role / f"{name}.key")
    return secret


def allowed(directory: Path) -> list[Key]:
    """Who may connect, by name. A file that cannot be read, such as one that is being written, lets nobody in."""
    found = []
    for role in ROLES:
        for path in sorted((directory / "allowed" / role).glob("*.key")):
            with contextlib.suppress(OSError, ValueError):
                public, _ = zmq.auth.load_certificate(path)
                found.append(Key(path.stem, role, public.decode()))
    return found


def revoke(directory: Path, name: str) -> None:
    """Take the permission away: within two seconds nobody is connected with this key. Raises `invalid_request`."""
    paths = [path for role in ROLES if (path := directory / "allowed" / role / f"{name}.key").exists()]
    if not paths:
        raise IbStreamError("invalid_request", f"there is no key {name} that may connect in {directory}")
    for path in (*paths, directory / f"{name}.key", directory / f"{name}.key_secret"):
        path.unlink(missing_ok=True)


class Guard:
    """Lets known keys in: one a context. Call `check` about once a second."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", settings: Settings) -> None:
        self._directory = settings.keys_path
        self._seen: object = None
        self._allowed: dict[Role, dict[bytes, bool]] = {role: {} for role in ROLES}
        from zmq.auth.thread import ThreadAuthenticator  # it needs asyncio, which most services never load

        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        self.check()

    def check(self) -> bool:
        """Apply changes of the folder. True: a key was let in until now and is not any more; connections that are
        open with it are the caller's to end."""
        state = {(path, *_stamp(path)) for role in ROLES for path in (self._directory / "allowed" / role).glob("*.key")}
        if state == self._seen:
            return False
        self._seen = state
        before = self._allowed
        # A role's domain accepts what its folder holds; control keys may read data too.
        found = allowed(self._directory)
        self._allowed = {
            "data": {key.public.encode(): True for key in found},
            "control": {key.public.encode(): True for key in found if key.role == "control"},
        }
        for role, let_in in self._allowed.items():
            self._authenticator.configure_curve_callback(role, credentials_provider=_Allow(let_in))
        return any(not before[role].keys() <= self._allowed[role].keys() for role in ROLES)

    def stop(self) -> None:
        self._authenticator.stop()


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes when a file is replaced, also by one of the same name."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)


class _Allow:
    def __init__(self, keys: dict[bytes, bool]) -> None:
        self._keys = keys

    def callback(self, domain: str, key: bytes) -> bool:
        return key in self._keys  # as text (Z85), as the files hold it


def arm_server(sock: "zmq.Socket[bytes]", settings: Settings, role: Role) -> None:
    """Make a socket prove itself and accept only keys of the role. Raises IbStreamError `invalid_setting`."""
    public, secret = _load(settings.keys_path / f"{SERVER}.key_secret", "its own server key")
    sock.setsockopt(zmq.CURVE_SERVER, 1)
    sock.setsockopt(zmq.CURVE_PUBLICKEY, public)
    sock.setsockopt(zmq.CURVE_SECRETKEY, secret)
    sock.setsockopt(zmq.ZAP_DOMAIN, role.encode())


def arm_client(sock: "zmq.Socket[bytes]", settings: Settings, service: str) -> None:
    """Make a socket prove itself to the service it connects to, and expect that service's key."""
    public, secret = _load(settings.keys_path / f"{settings.bus_key}.key_secret", "the key that IBSTREAM_BUS_KEY names")
    peer = settings.keys_path / "peers" / f"{service}.key"
    server = _load_public(peer if peer.exists() else settings.keys_path / f"{SERVER}.key")
    sock.setsockopt(zmq.CURVE_PUBLICKEY, public)
    sock.setsockopt(zmq.CURVE_SECRETKEY, secret)
    sock.setsockopt(zmq.CURVE_SERVERKEY, server)


def _create(directory: Path, name: str) -> Path:
    _, secret = zmq.auth.create_certificates(directory, name)
    path = Path(secret)
    path.chmod(0o600)
    return path


def _load(path: Path, what: str) -> tuple[bytes, bytes]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError):
        secret = None
    if secret is None:
        raise IbStreamError(
            "invalid_setting", f"a tcp endpoint needs {what}, {path}; `ibstream keys make NAME --role control` makes it"
        )
    return public, secret


def _load_public(path: Path) -> bytes:
    try:
        public, _ = zmq.auth.load_certificate(path)
    except (OSError, ValueError):
        raise IbStreamError("invalid_setting", f"there is no public key of the other side at {path}") from None
    return public
