"""Uploads stay in memory, however large they are."""

from typing import IO, Any, override

from django.conf import settings
from django.core.files.uploadhandler import MemoryFileUploadHandler


class MemoryOnlyUploadHandler(MemoryFileUploadHandler):
    """Keeps the first FILE_UPLOAD_MAX_MEMORY_SIZE bytes of a request's files, counts the rest.

    Django's own steps aside for a larger request, so that a form sees no file at all; here it
    sees one with its true size, and can say that it is too large.
    """

    @override
    def handle_raw_input(self, input_data: IO[bytes], *args: Any, **kwargs: Any) -> None:
        """Take part in every request."""
        self.activated = True
        self.room = settings.FILE_UPLOAD_MAX_MEMORY_SIZE

    @override
    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keep the chunk while there is room; no other handler gets it."""
        kept = raw_data[: self.room]
        self.room -= len(kept)
        self.file.write(kept)
