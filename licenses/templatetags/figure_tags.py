"""The figures, for the start page of the admin."""

from django import template

from licenses import charts

register = template.Library()


@register.simple_tag
def start_page_figures() -> charts.StartPage:
    """Return the figures as the start page shows them."""
    return charts.start_page()
