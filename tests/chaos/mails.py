"""Fill the outbox, and look at it: `python -m tests.chaos.mails queue COUNT` or `lapse`.

`queue` migrates the database and queues mails to person-0@contoso.example and the others. `lapse`
lets the reservations of a worker that died have run out, and prints how many mails wait.
"""

import sys

import django


def main(what: str, count: int = 0) -> None:
    from django.core.management import call_command
    from django.utils import timezone

    from portal.mail import outbox
    from portal.mail.models import Outbox

    if what == "queue":
        call_command("migrate", verbosity=0)
        for number in range(count):
            outbox.queue(
                to=f"person-{number}@contoso.example",
                subject=f"Keys of subscription {number} were reset",
                template="news",
                context={"what": "They were reset.", "lead": "Open", "link": "http://localhost/"},
            )
    else:
        waiting = Outbox.objects.waiting()
        print(waiting.count())
        waiting.update(send_after=timezone.now())


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1], *map(int, sys.argv[2:]))
