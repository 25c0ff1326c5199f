"""Where Chromium is: the headless shell, which takes less of the processor, or all of it."""

import shutil

SHELL = shutil.which("chromium-headless-shell")
PATH = SHELL or shutil.which("chromium")
MISSING = "Chromium is missing: `make chromium` installs it."
