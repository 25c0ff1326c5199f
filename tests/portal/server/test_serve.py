"""What the server needs of the system before it starts."""

import resource
import subprocess
import sys

LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from portal.server.serve import allow_open_files
allow_open_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limited(*, soft: int, hard: int) -> subprocess.CompletedProcess[str]:
    code = LIMITED.format(soft=soft, hard=hard)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_the_limit_of_open_files_is_raised_to_what_is_needed() -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 8_192
    assert limited(soft=256, hard=8_192).stdout == "(4096, 8192)\n"


def test_a_system_that_allows_too_few_is_told_in_a_sentence() -> None:
    assert limited(soft=256, hard=1_024).stderr.splitlines()[-1] == (
        "django.core.management.base.CommandError: A process may open 1024 files only, and the "
        "server needs 4096. Raise the limit: ulimit -n 4096, or LimitNOFILE=4096 in systemd."
    )
