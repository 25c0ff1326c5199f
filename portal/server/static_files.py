"""Static files under names that carry their content's hash."""

from functools import cached_property
from typing import Any, override

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage, with hashed names inside JavaScript modules too.

    Browsers keep hashed files for ever. Django leaves `import "./dialog.js"` alone by default:
    a module would then load its neighbours by their plain names, which after a deployment may
    still be the old ones in a cache.
    """

    support_js_module_import_aggregation = True

    @cached_property
    def _addresses(self) -> dict[str, str]:
        return {}

    @override
    def url(self, name: Any, force: bool = False) -> str:
        """Return the address of a file, looked up once: a page has a dozen of them."""
        if name not in self._addresses:
            self._addresses[name] = super().url(name, force)
        return self._addresses[name]
