"""Where the server listens, in how many processes, and with how many open files."""

import os
import re
import socket
import subprocess
import sys

import pytest
from django.core.management.base import CommandError

from portal.config.checks import shared_cache
from portal.server.node import BACKPRESSURE, NEEDED_FILES
from portal.server.serve import processes, refuse_taken_port


def port_of(host: str, family: socket.AddressFamily) -> tuple[socket.socket, int]:
    listener = socket.socket(family)
    listener.bind((host, 0))
    listener.listen()
    return listener, listener.getsockname()[1]


CORES = os.process_cpu_count()
LOOPBACKS = [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]


@pytest.mark.parametrize(("host", "family"), LOOPBACKS, ids=["IPv4", "IPv6"])
def test_a_port_that_something_listens_on_is_refused(host, family):
    listener, port = port_of(host, family)
    with listener, pytest.raises(CommandError, match=rf"^Port {port} of {host} is taken \("):
        refuse_taken_port(host, port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::1", "::"])
def test_a_free_port_of_any_address_of_this_machine_is_taken(host):
    listener, port = port_of("127.0.0.1", socket.AF_INET)
    listener.close()
    refuse_taken_port(host, port)


@pytest.mark.parametrize(
    ("host", "port"),
    [("192.0.2.1", 8000), ("not an address", 8000), ("127.0.0.1", 99_999), ("a" * 300, 8000)],
)
def test_what_is_no_address_of_this_machine_is_told_in_a_sentence(host, port):
    with pytest.raises(CommandError) as refusal:
        refuse_taken_port(host, port)
    assert re.fullmatch(
        rf"The portal cannot listen on port {port} of {host} \(.+\)\. Choose an address of this "
        r"machine \(--host\) and a port up to 65535 \(--port\)\.",
        str(refusal.value),
    )


@pytest.mark.parametrize(
    ("demonstration", "cache", "asked", "number"),
    [
        (True, "", None, CORES),
        (True, "", 3, 3),
        (False, "redis://cache/0", None, CORES),
        (False, "redis://cache/0", 8, 8),
        (False, "", None, 1),
        (False, "", 1, 1),
    ],
)
def test_several_processes_share_a_cache_in_production(
    settings, demonstration, cache, asked, number
):
    settings.DEMONSTRATION, settings.CACHE_URL = demonstration, cache
    assert processes(asked) == number


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (0, "--workers must be at least 1."),
        (
            2,
            (
                "--workers 2 needs CACHE_URL (redis://host:6379/0), where several processes count "
                "limits together. Set it, or serve with --workers 1."
            ),
        ),
    ],
)
def test_others_are_refused(settings, asked, sentence):
    settings.DEMONSTRATION, settings.CACHE_URL = False, ""
    with pytest.raises(CommandError) as refusal:
        processes(asked)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("demonstration", "cache", "found"),
    [(False, "", ["portal.W001"]), (False, "redis://cache/0", []), (True, "", [])],
)
def test_the_deployment_check_asks_for_a_shared_cache(settings, demonstration, cache, found):
    settings.DEMONSTRATION, settings.CACHE_URL = demonstration, cache
    assert [message.id for message in shared_cache()] == found


LIMITED = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
{start}
"""
SERVER = 'runpy.run_module("portal.server.node", run_name="__main__")'
TOO_FEW = (
    "A process may open 1024 files only, and the server needs 4096. Raise the limit: ulimit -n "
    "4096, or LimitNOFILE=4096 in systemd."
)
CHECK = "from portal.server.node import refuse_few_files; refuse_few_files()"


def limited(start: str, *, soft: int, hard: int) -> subprocess.CompletedProcess[str]:
    code = LIMITED.format(start=start, soft=soft, hard=hard)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_a_system_that_allows_too_few_files_is_told_in_a_sentence() -> None:
    """By the server itself, and so on every way that starts it."""
    ended = limited(SERVER, soft=256, hard=1_024)
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        1,
        "",
        f"{TOO_FEW}\n",
    )


def test_what_the_shell_allows_does_not_matter_where_the_system_allows_enough() -> None:
    ended = limited(CHECK, soft=256, hard=4_096)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_files_are_enough_for_all_connections_and_threads() -> None:
    threads = 64 + 12  # the most that REQUEST_THREADS takes, and those that every process has
    assert BACKPRESSURE + 3 * threads + 256 <= NEEDED_FILES  # SQLite opens three files for each
