"""The program's folders on this machine. HEADCODE_HOME moves all of them."""

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec
import platformdirs

from engine.errors import ConfigError
from engine.machine.paths import path_of

_SOCKET_LIMIT = 100
"""Maximum characters: the kernel refuses socket paths of about 108."""
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
        """Arrays the worker leaves for the host, one folder per run."""
        return self.data / "spool"

    @property
    def parts(self) -> Path:
        """Records of files that are being written, anywhere."""
        return self.data / "parts"

    @property
    def sweeps(self) -> Path:
        """What executors on other machines leave, one folder per sweep."""
        return self.data / "sweeps"

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
        """The user's own key bindings."""
        return self.config / "keys.toml"

    @property
    def socket(self) -> Path:
        """The host's socket, named after the store, so that every store has its own host."""
        name = hashlib.sha256(os.fsencode(self.store.absolute())).hexdigest()[:12]
        return self.runtime / f"host-{name}.sock"


def find_folders(environ: dict[str, str] | None = None) -> AppFolders:
    """Return the folders under HEADCODE_HOME if it is set, else the platform's own. Creates nothing.

    Raises ConfigError if a store cannot be there.
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
    folders = AppFolders(
        data=dirs.user_data_path,
        cache=dirs.user_cache_path,
        config=dirs.user_config_path,
        state=dirs.user_state_path,
        runtime=Path(system_runtime) / "headcode" if system_runtime and usable else private_temporary(),
    )
    return _usable(folders)


def _usable(folders: AppFolders) -> AppFolders:
    """Return the folders. Raises ConfigError if the store's path contains what its database cannot open."""
    path = str(folders.data)
    wrong = next((f"'{character}'" for character in path if character in _UNUSABLE), None)
    strange = next((byte for character in path if (byte := ord(character) - 0xDC00) in range(0x80, 0x100)), None)
    if strange is not None:
        wrong = f"the byte 0x{strange:02x}, which is not UTF-8 text,"
    if wrong is not None:
        raise ConfigError(
            f"The sessions would be stored in {path}, and {wrong} cannot be in the path of a store.",
            hint="Set HEADCODE_HOME to a folder of another name.",
        )
    return folders


def private_temporary() -> Path:
    """Return a folder for sockets under TMPDIR, or under /tmp if a path in TMPDIR is too long."""
    own = f"headcode-{os.getuid()}"
    wanted = Path(tempfile.gettempdir()) / own
    return wanted if len(str(wanted / "host-000000000000.sock")) <= _SOCKET_LIMIT else Path("/tmp") / own
