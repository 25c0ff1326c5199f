"""The files of deploy/ before the programs that read them, or their linters."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.deploy.machine import Machine
from tests.support.repository import ROOT

DEPLOY = ROOT / "deploy"
MAX_EXPOSURE = 20
"""Of 100: what `systemd-analyze security` may find open in a unit."""


def checks(machine: Machine) -> list[Callable[[], None]]:
    """Return the checks, of files as they were installed on the machine."""

    def units_are_right_and_hardened() -> None:
        folder = machine.root / "etc/systemd/system"
        units = sorted(folder.glob("portal*.service"))
        assert len(units) == 3
        timer = folder / "portal-backup.timer"
        run("systemd-analyze", "verify", "--man=no", *units, timer)
        for unit in units:
            run("systemd-analyze", "security", "--offline=yes", f"--threshold={MAX_EXPOSURE}", unit)

    def compose_file_fits_its_schema() -> None:
        run(
            tool("check-jsonschema"),
            "--builtin-schema=vendor.compose-spec",
            DEPLOY / "compose.yaml",
        )

    def containerfile_passes_its_linter() -> None:
        run(tool("hadolint"), DEPLOY / "Containerfile")

    def alert_rules_are_right() -> None:
        run("promtool", "check", "rules", DEPLOY / "alerts.yml")

    def commands_of_the_containerfile_run() -> None:
        """Those of RUN that need no container: what is copied is all that they need."""
        text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
        built = machine.root / "image"
        built.mkdir()
        for name in re.findall(r"^COPY (?!--)(\S+) \S+$", text, re.M):
            run("cp", "-r", ROOT / name, built)
        [install, collect] = re.findall(r"^RUN (.*python.*)$", text, re.M)
        (built / ".venv").symlink_to(machine.release / ".venv")
        assert "-m venv .venv && .venv/bin/pip install --require-hashes" in install
        collect = collect.replace("/tmp/", f"{machine.root}/").replace("/opt/portal", str(built))
        run("sh", "-euc", collect, folder=built)
        assert (built / "collected" / "staticfiles.json").is_file()
        [health] = re.findall(r'CMD \["python", "-c", "([^"]+)"\]', text)
        health = health.replace("8000", machine.ports["8000"])
        run(sys.executable, "-c", health)

    return [
        units_are_right_and_hardened,
        compose_file_fits_its_schema,
        containerfile_passes_its_linter,
        alert_rules_are_right,
        commands_of_the_containerfile_run,
    ]


def tool(name: str) -> str:
    """Return a program of requirements-deploy.txt."""
    return str(Path(sys.executable).with_name(name))


def run(*command: object, folder: Path = ROOT) -> None:
    """Run a program. Raises AssertionError with what it says when it fails."""
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True)
    said = f"{done.stdout}{done.stderr}"
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{said}"
