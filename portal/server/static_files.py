"""Static files under names that carry their content's hash."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage, with hashed names inside JavaScript modules too.

    Browsers keep hashed files for ever. Django leaves `import "./dialog.js"` alone by default:
    a module would then load its neighbours by their plain names, which after a deployment may
    still be the old ones in a cache.
    """

    support_js_module_import_aggregation = True
