"""Rotate the signing key so many times: `python -m tests.chaos.rotate COUNT`."""

import sys
from time import sleep

import django

PAUSE_SECONDS = 0.5
"""Seconds between two rotations, in which keys are signed with the new one."""


def main(count: int) -> None:
    from django.core.management import call_command

    from licenses import keys

    for _ in range(count):
        before = keys.active().pk
        while keys.active().pk == before:
            call_command("rotate_signing_key", emergency=True, verbosity=0)
        sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]))
