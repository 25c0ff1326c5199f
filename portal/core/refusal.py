"""The exception with which flows refuse."""


class Refused(Exception):
    """A flow refuses; the message is a sentence for the person who acts.

    `field` names the form field that the sentence belongs next to, where there is one.
    """

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field
