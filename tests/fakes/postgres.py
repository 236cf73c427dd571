"""A real PostgreSQL server of Debian's package for tests: own folder, own port, 127.0.0.1 only."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from fakes.server_process import free_port

START_CEILING_S = 60.0


def server_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, the newest version, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


class Postgres:
    """One server with one database; root runs it as Debian's user ``postgres``."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="upkeep-pg-", dir="/tmp"))
        self._password = secrets.token_hex(8)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg2://airflow:{self._password}@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        secret = self._folder / "password"
        secret.write_text(self._password)
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            for path in (self._folder, secret):
                os.chown(path, user.pw_uid, user.pw_gid)
        data = self._folder / "data"
        self._run("initdb", "-D", str(data), "-U", "airflow", "-A", "md5", f"--pwfile={secret}")
        log = (self._folder / "log").open("wb")
        options = ("-c", "listen_addresses=127.0.0.1", "-p", str(self.port), "-c", "fsync=off")
        self._process = subprocess.Popen(
            self._as_user("postgres", "-D", str(data), "-k", str(self._folder), *options),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._until_it_answers()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _as_user(self, program: str, *args: str) -> list[str]:
        command = [str(self._programs / program), *args]
        groups = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        return [*groups, *command] if os.getuid() == 0 else command

    def _run(self, program: str, *args: str) -> None:
        subprocess.run(self._as_user(program, *args), check=True, capture_output=True)

    def _until_it_answers(self) -> None:
        import psycopg2

        deadline = time.monotonic() + START_CEILING_S
        while True:
            try:
                psycopg2.connect(self.url.replace("+psycopg2", "")).close()
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return
