"""Where things lie on this machine. HEADCODE_HOME moves all of it."""

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec
import platformdirs

from engine.errors import ConfigError
from engine.machine.paths import path_of

_SOCKET_LIMIT = 100
"""Characters: the kernel refuses socket paths of about 108."""
_UNUSABLE = "?\\"
"""DuckDB reads what follows a question mark as parameters, and a backslash as a slash."""


class AppFolders(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of one installation."""

    data: Path
    cache: Path
    config: Path
    state: Path
    runtime: Path

    @property
    def store(self) -> Path:
        return self.data / "sessions.duckdb"

    @property
    def spool(self) -> Path:
        """Arrays the worker leaves for the host, one folder a run."""
        return self.data / "spool"

    @property
    def parts(self) -> Path:
        """Where it is noted which files are half written, anywhere."""
        return self.data / "parts"

    @property
    def models(self) -> Path:
        return self.cache / "models"

    @property
    def activations(self) -> Path:
        return self.cache / "activations"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def settings(self) -> Path:
        return self.config / "config.toml"

    @property
    def keys(self) -> Path:
        """The person's own keys of the screen."""
        return self.config / "keys.toml"

    @property
    def socket(self) -> Path:
        """The host's socket; its name is that of the store, so every store has a host of its own."""
        name = hashlib.sha256(os.fsencode(self.store.absolute())).hexdigest()[:12]
        return self.runtime / f"host-{name}.sock"


def find_folders(environ: dict[str, str] | None = None) -> AppFolders:
    """The folders under HEADCODE_HOME where it is set, else the platform's own. Creates nothing.

    Raises ConfigError where no store can lie there.
    """
    env = dict(os.environ) if environ is None else environ
    home = env.get("HEADCODE_HOME")
    if home:
        root = path_of(home).absolute()
        runtime = root / "run"
        if len(str(runtime / "host-000000000000.sock")) > _SOCKET_LIMIT:
            runtime = private_temporary()
        return _usable(
            AppFolders(
                data=root / "data", cache=root / "cache", config=root / "config", state=root / "state", runtime=runtime
            )
        )
    dirs = platformdirs.PlatformDirs("headcode", appauthor=False)
    system_runtime = env.get("XDG_RUNTIME_DIR")
    usable = system_runtime and os.access(system_runtime, os.W_OK)
    places = AppFolders(
        data=dirs.user_data_path,
        cache=dirs.user_cache_path,
        config=dirs.user_config_path,
        state=dirs.user_state_path,
        runtime=Path(system_runtime) / "headcode" if system_runtime and usable else private_temporary(),
    )
    return _usable(places)


def _usable(places: AppFolders) -> AppFolders:
    """The places. Raises ConfigError where the store's path has what its database cannot open."""
    path = str(places.data)
    wrong = next((f"'{character}'" for character in path if character in _UNUSABLE), None)
    strange = next((byte for character in path if (byte := ord(character) - 0xDC00) in range(0x80, 0x100)), None)
    if strange is not None:
        wrong = f"the byte 0x{strange:02x}, which is not UTF-8 text,"
    if wrong is not None:
        raise ConfigError(
            f"The sessions would lie in {path}, and {wrong} cannot be in the path of a store.",
            hint="Set HEADCODE_HOME to a folder of another name.",
        )
    return places


def private_temporary() -> Path:
    """A folder for sockets where no other is to be had: under TMPDIR, or /tmp where a path in TMPDIR is too long."""
    own = f"headcode-{os.getuid()}"
    wanted = Path(tempfile.gettempdir()) / own
    return wanted if len(str(wanted / "host-000000000000.sock")) <= _SOCKET_LIMIT else Path("/tmp") / own
