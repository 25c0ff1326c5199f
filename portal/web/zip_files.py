"""ZIP archives that are written while they are sent."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, override

from django.http import StreamingHttpResponse

SENT_AT = 65_536
"""Bytes that are put together before they are sent."""


class _Pipe(io.RawIOBase):
    """A file to which an archive is written, and from which it is taken."""

    def __init__(self) -> None:
        self.held = bytearray()

    @override
    def write(self, data: Any) -> int:
        self.held += data
        return len(data)

    def take(self, at_least: int = 1) -> Iterator[bytes]:
        """Yield what is held if it is enough."""
        if len(self.held) >= at_least:
            yield bytes(self.held)
            self.held.clear()


def zip_answer(
    filename: str, files: Iterable[tuple[str, Iterable[bytes]]], *, at: datetime
) -> StreamingHttpResponse:
    """Return a download of an archive; `at` is the time that it gives all of its files.

    An archive that was cut off, because of an error on the way, lacks its directory: no program
    takes it for a whole one.
    """
    return StreamingHttpResponse(
        zipped(files, at=at),
        content_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{filename}"',
            "Cache-Control": "no-store",
        },
    )


def zipped(files: Iterable[tuple[str, Iterable[bytes]]], *, at: datetime) -> Iterator[bytes]:
    """Yield the archive in parts; of each file, name and parts, only one part is in memory."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name, parts in files:
            member = zipfile.ZipInfo(name, at.astimezone(UTC).timetuple()[:6])
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                for part in parts:
                    file.write(part)
                    yield from pipe.take(SENT_AT)
    yield from pipe.take()
