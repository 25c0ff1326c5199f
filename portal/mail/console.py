"""Mail of the demonstration: printed, so that its links can be followed."""

from typing import override

from django.core.mail import EmailMessage
from django.core.mail.backends import console


class EmailBackend(console.EmailBackend):
    """Prints subject, recipients and text as people read them.

    Django's own prints the encoded message, in which long links are broken.
    """

    @override
    def write_message(self, message: EmailMessage) -> None:
        self.stream.write(
            f"\nMail to {', '.join(message.to)}: {message.subject}\n\n{message.body}\n{'-' * 79}\n"
        )
