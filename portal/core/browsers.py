"""Browsers in words, from the User-Agent header: "Firefox on Linux"."""

BROWSERS = (
    # The first that is found: most browsers also name those that they descend from.
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)


def session_in_words(listed: str) -> str:
    """Return a session, listed as "<address>: <User-Agent>", as "Firefox on Linux at <address>"."""
    address, _, user_agent = listed.partition(": ")
    return f"{browser_in_words(user_agent)} at {address}"


def browser_in_words(user_agent: str) -> str:
    """Return browser and system as far as the header names them; anybody can send any header."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "Unknown browser")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser
