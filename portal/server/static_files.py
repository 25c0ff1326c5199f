"""Static files under names that carry their content's hash."""

from functools import cached_property
from typing import Any, override

import brotli
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage

BROTLI_QUALITY = 7
"""The best (11) takes ten times as long for all files, and saves 3 % of what a page loads."""


class QuickCompressor(Compressor):
    """Compresses as well as is worth the time of a first start."""

    @staticmethod
    @override
    def compress_brotli(data: bytes) -> bytes:
        return brotli.compress(data, quality=BROTLI_QUALITY)


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage, with hashed names inside JavaScript modules too.

    Browsers keep hashed files for ever. Django leaves `import "./dialog.js"` alone by default:
    a module would then load its neighbours by their plain names, which after a deployment may
    still be the old ones in a cache.
    """

    support_js_module_import_aggregation = True

    @override
    def create_compressor(self, **kwargs: Any) -> Compressor:
        return QuickCompressor(**kwargs)  # type: ignore[no-untyped-call]

    @cached_property
    def _addresses(self) -> dict[str, str]:
        return {}

    @override
    def url(self, name: Any, force: bool = False) -> str:
        """Return the address of a file, looked up once: a page has a dozen of them."""
        if name not in self._addresses:
            self._addresses[name] = super().url(name, force)
        return self._addresses[name]
