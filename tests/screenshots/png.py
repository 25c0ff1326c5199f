"""PNG files as small as a page of few colours can be, by nothing but zlib."""

import struct
import zlib
from collections import Counter

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_COLOURS = 256


def smaller(png: bytes) -> bytes:
    """Return an opaque 8-bit PNG of Chromium's with a palette of at most MAX_COLOURS colours.

    Rarer colours become the nearest of the most frequent ones: on pages those are shades within
    the smoothing of letters.
    """
    width, height, pixels = _pixels(png)
    counts = Counter(pixels)
    palette = [colour for colour, _ in counts.most_common(MAX_COLOURS)]
    index = {colour: place for place, colour in enumerate(palette)}
    for colour in counts.keys() - index.keys():
        index[colour] = min(range(len(palette)), key=lambda i: _distance(palette[i], colour))
    numbers = bytes(index[pixel] for pixel in pixels)
    rows = b"".join(b"\0" + numbers[at : at + width] for at in range(0, len(numbers), width))
    return SIGNATURE + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", b"".join(palette)),
            (b"IDAT", zlib.compress(rows, 9)),
            (b"IEND", b""),
        )
    )


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pixels(png: bytes) -> tuple[int, int, list[bytes]]:
    """Return width, height and the colour of every pixel as three bytes."""
    at, data, header = len(SIGNATURE), b"", b""
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        header = body if kind == b"IHDR" else header
        data += body if kind == b"IDAT" else b""
        at += length + 12
    width, height, depth, colour = struct.unpack_from(">IIBB", header)
    assert depth == 8, depth
    size = {2: 3, 6: 4}[colour]
    raw, stride = zlib.decompress(data), width * size
    pixels: list[bytes] = []
    before = bytearray(stride)
    for row in range(height):
        start = row * (stride + 1)
        line = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], line, before, size)
        pixels += [bytes(line[i : i + 3]) for i in range(0, stride, size)]
        before = line
    return width, height, pixels


def _unfilter(kind: int, line: bytearray, above: bytearray, size: int) -> None:
    """Undo a filter (PNG specification, section 9.2) in place; most lines have no need of Paeth."""
    if kind == 2:
        line[:] = bytes([(value + up) & 255 for value, up in zip(line, above, strict=True)])
    elif kind == 1:
        for i in range(size, len(line)):
            line[i] = (line[i] + line[i - size]) & 255
    elif kind:
        for i in range(len(line)):
            left = line[i - size] if i >= size else 0
            corner = above[i - size] if i >= size else 0
            predict = _mean if kind == 3 else _paeth
            line[i] = (line[i] + predict(left, above[i], corner)) & 255


def _mean(left: int, up: int, _corner: int) -> int:
    return (left + up) // 2


def _paeth(left: int, up: int, corner: int) -> int:
    if left == up == corner:
        return left
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))
