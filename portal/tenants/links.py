"""The limit that links in mails share, against guessing."""

from portal.programs.limits import Limit

LINKS = Limit("mailed_links", 120)
"""Links of mails, good or not, that one client address may open in a minute."""
