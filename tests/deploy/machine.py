"""An empty machine in a folder: Debian's programs, an init system, PostgreSQL and Redis.

The page's commands run as they stand, but for the substitutions of `Machine.here`. Programs that
would change the machine below have stand-ins in front of the PATH (`STAND_INS`); the servers behind
them are the real ones.
"""

import getpass
import grp
import os
import re
import shlex
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path
from select import select
from ssl import get_default_verify_paths
from time import monotonic, sleep

import certifi

from portal.settings import env
from tests.support import postgres
from tests.support.repository import ROOT, files
from tests.support.server import free_port
from tests.support.smtp import MailServer

HOST = "licenses.example.com"
ADDRESS = "127.80.80.80"
"""Where HOST is, for who runs commands in `Machine.resolving`."""
PROGRAMS = {
    "nginx": "nginx-light",
    "caddy": "caddy",
    "redis-server": "redis-server",
    "pgbouncer": "pgbouncer",
    "promtool": "prometheus",
    "openssl": "openssl",
    "curl": "curl",
    "systemd-analyze": "systemd",
    "unshare": "util-linux",
}
"""Programs that have to be here, and the packages of Debian that have them."""

STAND_INS = {
    "apt-get": 'echo "$@" >> {root}/apt-get',
    "adduser": "exit 0",
    "certbot": 'for word; do echo "$word" >> {root}/certbot; done',
    "docker": 'echo "$@" >> {root}/docker',
    "nginx": "exec {nginx} -e {root}/var/log/nginx/error.log -c {root}/etc/nginx/nginx.conf "
    "-g 'daemon off; pid {root}/nginx.pid;' \"$@\"",
    "psql": 'exec env PGHOST={socket} PGPORT={port} PGUSER=postgres {programs}/psql "$@"',
    "python3.13": 'exec {python} "$@"',
    "runuser": 'shift 3; exec "$@"',
    "systemctl": "exec {python} -c '{client}' {root}/systemctl.socket \"$@\"",
}
CLIENT = (
    "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
    's.sendall(" ".join(sys.argv[2:]).encode()); s.shutdown(socket.SHUT_WR); '
    "said = s.makefile().read(); sys.exit(said or None)"
)
CONFINED = Path(__file__).with_name("confined.py")
READY_WITHIN = 30


def missing_programs() -> list[str]:
    """Return a sentence for each program that is not here."""
    missing = [
        f"{program} is missing: apt-get install {package}"
        for program, package in PROGRAMS.items()
        if not _found(program)
    ]
    if find_library("seccomp") is None:
        missing.append("libseccomp is missing: apt-get install libseccomp2")
    if os.geteuid():
        missing.append("root is needed, for the ports 80 and 443 and for a name of one's own")
    return missing


def _found(program: str) -> str:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""


class Unit:
    """A service: what systemd starts, reloads and stops."""

    def __init__(
        self,
        command: list[str],
        *,
        folder: Path,
        log: Path,
        environment: Mapping[str, str],
        stop_seconds: int = 15,
        reload: list[str] | None = None,
    ) -> None:
        self.command, self.folder, self.log = command, folder, log
        self.environment, self.stop_seconds = environment, stop_seconds
        self.reloads_by = reload
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Send SIGTERM to the main process alone (KillMode=mixed). Raises TimeoutExpired."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.terminate()
        try:
            process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    def reload(self) -> None:
        assert self.process is not None
        assert self.reloads_by == ["kill", "-HUP", "$MAINPID"], self.reloads_by
        self.process.send_signal(signal.SIGHUP)


class Forwarder(socketserver.ThreadingTCPServer):
    """Passes connections on to a port of this machine."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, address: tuple[str, int], port: int) -> None:
        super().__init__(address, type("PassingThere", (Passing,), {"port": port}))
        threading.Thread(target=self.serve_forever, args=[0.05], daemon=True).start()


class Passing(socketserver.BaseRequestHandler):
    port: int

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as there:
            other = {self.request: there, there: self.request}
            while True:
                for one in select(list(other), [], [])[0]:
                    try:
                        part = one.recv(65_536)
                        other[one].sendall(part)
                    except OSError:
                        return
                    if not part:
                        return


class Machine:
    """Everything below one folder, until `stop()`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.units: dict[str, Unit] = {}
        self.mail = MailServer()
        names = ("443", "80", "8000", "8001", "5432", "6379", "6432", "https", "http")
        self.ports = {name: str(free_port()) for name in names}
        self.release = root / "opt" / "portal" / "1.0.0"
        self.prefix: list[str] = []
        for folder in (
            "bin",
            "etc/systemd/system",
            "var/log/nginx",
            "var/lib",
            "opt",
            "var/www/html",
        ):
            (root / folder).mkdir(parents=True)
        for folder in ("usr/local/sbin", "etc/caddy", "etc/prometheus"):
            (root / folder).mkdir(parents=True)
        self._make_certificate()
        self._start_postgres()
        self._lay_nginx()
        self._write_stand_ins()
        self.pack()
        self._listen()
        redis = [_found("redis-server"), "--port", self.ports["6379"], "--save", "", "--dir", "."]
        self.add("redis", redis).start()

    # Substitutions

    def here(self, text: str) -> str:
        """Return commands or a configuration for this machine: folders, ports, user, mail."""
        text = re.sub(r"(?<![\w./}:-])/(etc|opt|var|usr/local)(?=/)", rf"{self.root}/\1", text)
        text = re.sub(
            r"(?<![\w./-])(443|80|8000|8001|5432|6379|6432)(?![\w.-])",
            lambda found: self.ports[found[0]],
            text,
        )
        text = text.replace("smtps://user:password@mail.example.com:465", self.mail.url)
        user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
        text = re.sub(r"(--owner=|User=)portal\b", rf"\g<1>{user}", text)
        return re.sub(r"(--group=|Group=|chgrp )(?:portal|prometheus)\b", rf"\g<1>{group}", text)

    def for_caddy(self, text: str) -> str:
        """Return the Caddyfile with ports and a certificate of this machine, and no admin port."""
        http, https = self.ports["http"], self.ports["https"]
        text = text.replace(
            "{\n", f"{{\n\tadmin off\n\thttp_port {http}\n\thttps_port {https}\n", 1
        )
        certificate, key = (self.certificate.with_name(n) for n in ("fullchain.pem", "privkey.pem"))
        return re.sub(r"^https://.*\{$", rf"\g<0>\n\ttls {certificate} {key}", text, flags=re.M)

    # Commands

    def run(self, commands: str) -> str:
        """Run commands of the page; return what they print. Raises AssertionError on failure."""
        script = f"set -euo pipefail\n{self.here(commands)}"
        done = subprocess.run(
            [*self.prefix, "bash", "-c", script],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        said = f"{done.stdout}{done.stderr}"
        assert done.returncode == 0, f"Status {done.returncode} of:\n{commands}\n{said}"
        return said

    @contextmanager
    def resolving(self, *, https: str, http: str) -> Iterator[None]:
        """Let commands find HOST, by its own ports, at the proxy with these ports of `ports`."""
        hosts = self.root / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{ADDRESS} {HOST}\n")
        bind = f'mount --bind {hosts} /etc/hosts; exec "$@"'
        self.prefix = ["unshare", "--mount", "sh", "-euc", bind, "sh"]
        servers = [
            Forwarder((ADDRESS, at), int(self.ports[to])) for at, to in ((443, https), (80, http))
        ]
        try:
            yield
        finally:
            self.prefix = []
            for server in servers:
                server.shutdown()
                server.server_close()

    def environment(self) -> dict[str, str]:
        """Return the environment without the portal's own variables."""
        kept = {name: value for name, value in os.environ.items() if name not in env.asked}
        folders = [f"{self.root}/bin", f"{self.root}/usr/local/sbin", str(self.programs)]
        return kept | {
            "PATH": ":".join([*folders, os.environ["PATH"]]),
            "CURL_HOME": str(self.root),
            "SSL_CERT_FILE": str(self.certificates),
        }

    # Services

    def add(self, name: str, command: list[str], **options: object) -> Unit:
        """Return a new service of the machine."""
        log = self.root / f"{name}.log"
        given = {"folder": self.root, "environment": self.environment()} | options
        self.units[name] = Unit(command, log=log, **given)
        return self.units[name]

    def unit(self, name: str) -> Unit:
        """Return a service by its name, of the page's own units from their installed files."""
        if name in self.units:
            return self.units[name]
        if name == "nginx":
            reload = ["kill", "-HUP", "$MAINPID"]  # as Debian's unit does
            return self.add(name, [str(self.root / "bin" / "nginx")], reload=reload)
        if name == "caddy":
            config = str(self.root / "etc/caddy/Caddyfile")
            command = [_found("caddy"), "run", "--adapter", "caddyfile", "--config", config]
            return self.add(name, command)
        base, at, instance = name.partition("@")
        file = self.root / "etc/systemd/system" / f"{base}{at}.service"
        text = file.read_text("utf-8")
        said = dict(re.findall(r"^(\w+)=(.*)$", text.replace("%i", instance), re.M))
        variable, _, value = said["Environment"].partition("=")
        environment = {"PATH": "/usr/bin:/bin", variable: value}
        state = self.root / "var/lib" / said["StateDirectory"]
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        for line in Path(said["EnvironmentFile"]).read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                variable, _, value = line.partition("=")
                [environment[variable]] = shlex.split(value)
        return self.add(
            name,
            [sys.executable, str(CONFINED), str(file), *said["ExecStart"].split()],
            folder=Path(said["WorkingDirectory"]),
            environment=environment,
            stop_seconds=int(said["TimeoutStopSec"]),
            reload=said.get("ExecReload", "").split(),
        )

    def systemctl(self, verb: str, *names: str) -> None:
        """Do what systemctl would."""
        for name in names:
            if name.startswith("--") or name.endswith(".timer"):
                continue
            if verb == "enable":
                self.unit(name).start()
            elif verb == "reload":
                self.unit(name).reload()
            else:
                if name in self.units:
                    self.units.pop(name).stop()
                self.unit(name).start()

    def start_pgbouncer(self) -> None:
        """Put PgBouncer between the portal and PostgreSQL, as deploy/pgbouncer.ini says."""
        folder = self.root / "etc/pgbouncer"
        folder.mkdir()
        address = self.root / "etc/portal/secrets/database-url"
        text = address.read_text()
        [password] = re.findall(r"portal:(\w+)@", text)
        (folder / "userlist.txt").write_text(f'"portal" "{password}"\n')
        shutil.copy(self.release / "deploy/pgbouncer.ini", folder)
        address.write_text(text.replace(self.ports["5432"], self.ports["6432"]))
        user = ["--user=nobody"] if os.geteuid() == 0 else []
        self.add("pgbouncer", [_found("pgbouncer"), *user, str(folder / "pgbouncer.ini")]).start()
        self.wait_for(int(self.ports["6432"]))

    def pgbouncer_is_used(self) -> bool:
        """Return whether PostgreSQL knows the portal by connections of PgBouncer alone."""
        log = (self.root / "pgbouncer.log").read_text()
        return "login attempt: db=portal user=portal" in log

    def logs(self) -> list[Path]:
        """Return the logs of everything."""
        return [*self.root.glob("*.log"), *(self.root / "var/log/nginx").glob("*.log")]

    def proxy_logs(self) -> list[Path]:
        """Return the logs of nginx and Caddy."""
        return [self.root / "caddy.log", *(self.root / "var/log/nginx").glob("*.log")]

    def stop(self) -> None:
        """End everything that was started."""
        for unit in reversed(self.units.values()):
            unit.stop()
        self._systemctl.shutdown()
        self._systemctl.server_close()
        self.mail.stop()
        self._postgres.terminate()
        self._postgres.wait()

    # What is here before the page's first command

    def _start_postgres(self) -> None:
        folder = self.root / "postgres"
        server = postgres.Server(folder)
        self.programs, user = server.programs, server.user
        server.psql(f"DROP ROLE {postgres.ROLE}")  # the page makes it
        server.halt()
        hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (folder / "pg_hba.conf").write_text(hba)
        command = [self.programs / "postgres", "-D", folder, "-k", folder]
        command += ["-c", "listen_addresses=127.0.0.1", "-p", self.ports["5432"]]
        with (self.root / "postgres.log").open("ab") as log:
            self._postgres = subprocess.Popen(command, user=user, stdout=log, stderr=log)
        self.socket = folder
        self.wait_for(int(self.ports["5432"]))

    def _lay_nginx(self) -> None:
        shutil.copytree("/etc/nginx", self.root / "etc/nginx", symlinks=True)
        main = self.root / "etc/nginx/nginx.conf"
        text = re.sub(
            r"^(pid|user|include /etc/nginx/modules).*$", "", main.read_text(), flags=re.M
        )
        main.write_text(self.here(text))

    def _make_certificate(self) -> None:
        folder = self.root / "etc/letsencrypt/live" / HOST
        folder.mkdir(parents=True)
        self.certificate = folder / "fullchain.pem"
        command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 60 -subj /CN={HOST} -addext "
        command += f"subjectAltName=DNS:{HOST} -keyout {folder}/privkey.pem -out {self.certificate}"
        subprocess.run(command.split(), check=True, capture_output=True)
        self.certificates = self.root / "certificates.pem"
        self.certificates.write_text(
            Path(get_default_verify_paths().cafile or certifi.where()).read_text("utf-8")
            + self.certificate.read_text("utf-8")
        )
        to = f"{HOST}:443:127.0.0.1:{self.ports['443']}"
        (self.root / ".curlrc").write_text(f'connect-to = "{to}"\ncacert = "{self.certificate}"\n')

    def _write_stand_ins(self) -> None:
        known = {
            "root": self.root,
            "nginx": _found("nginx"),
            "programs": self.programs,
            "socket": self.socket,
            "port": self.ports["5432"],
            "python": os.path.realpath(sys.executable),
            "client": CLIENT,
        }
        for name, line in STAND_INS.items():
            path = self.root / "bin" / name
            path.write_text(f"#!/bin/sh\n{line.format(**known)}\n")
            path.chmod(0o755)

    def pack(self, *, version: str = "1.0.0") -> None:
        """Write the release, as `git archive` does, with the configurations for this machine."""
        packed = self.root / "packed"
        for path in files():
            target = packed / path.relative_to(ROOT)
            if target.parts[len(packed.parts)] in {"tests", "docs"}:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            if target.is_relative_to(packed / "deploy") and target.suffix != ".yaml":
                text = self.here(path.read_text("utf-8"))
                target.write_text(self.for_caddy(text) if path.name == "Caddyfile" else text)
        about = packed / "portal" / "__init__.py"
        about.write_text(re.sub('(?<=__version__ = ").*(?=")', version, about.read_text("utf-8")))
        archive = str(self.root / "portal.tar.gz")
        command = ["tar", "--create", "--gzip", "--file", archive, "--directory", str(packed), "."]
        subprocess.run(command, check=True)
        shutil.rmtree(packed)

    def _listen(self) -> None:
        machine = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                verb, *names = self.rfile.read().decode().split()
                try:
                    if verb != "daemon-reload":
                        machine.systemctl(verb, *names)
                except Exception as error:  # noqa: BLE001 (the command fails with it)
                    self.wfile.write(f"systemctl {verb} {names}: {error!r}".encode())

        self._systemctl = socketserver.UnixStreamServer(f"{self.root}/systemctl.socket", Session)
        threading.Thread(target=self._systemctl.serve_forever, args=[0.05], daemon=True).start()

    @staticmethod
    def wait_for(port: int) -> None:
        """Return when somebody listens on the port. Raises TimeoutError."""
        end = monotonic() + READY_WITHIN
        while monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                sleep(0.1)
            else:
                return
        raise TimeoutError(f"Nobody listens on port {port}.")
