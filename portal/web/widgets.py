"""Inputs and selects as functions: a template for each takes longer than the page around them."""

from collections.abc import Mapping
from typing import Any, override

from django.forms.renderers import TemplatesSetting
from django.http import HttpRequest
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString


class WidgetRenderer(TemplatesSetting):
    """Django's renderer of forms, except for inputs and selects."""

    @override
    def render(
        self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None
    ) -> str:
        write = WRITERS.get(template_name)
        if write is None:
            return super().render(template_name, context, request)
        return SafeString(write(context["widget"]))  # the writers escape


def _input(widget: Mapping[str, Any]) -> str:
    value = {} if widget["value"] is None else {"value": widget["value"]}
    names = {"type": widget["type"], "name": widget["name"]}
    return f"<input{_attributes(names | value | widget['attrs'])}>"


def _select(widget: Mapping[str, Any]) -> str:
    parts = [f"<select{_attributes({'name': widget['name']} | widget['attrs'])}>"]
    for label, options, _ in widget["optgroups"]:
        rows = [
            f"<option{_attributes({'value': option['value']} | option['attrs'])}>"
            f"{conditional_escape(option['label'])}</option>"
            for option in options
        ]
        if label:
            rows = [f"<optgroup{_attributes({'label': label})}>", *rows, "</optgroup>"]
        parts += rows
    return "\n".join([*parts, "</select>"])


def _attributes(attributes: Mapping[str, Any]) -> str:
    """Return attributes as Django's `attrs.html` writes them: True stands alone, False is none."""
    return "".join(
        f" {name}" if value is True else f' {name}="{conditional_escape(value)}"'
        for name, value in attributes.items()
        if value is not False
    )


WRITERS = {
    **dict.fromkeys(
        [
            f"django/forms/widgets/{name}.html"
            for name in ("date", "email", "hidden", "number", "password", "text", "time")
        ],
        _input,
    ),
    "django/forms/widgets/select.html": _select,
}
"""By the names of Django's templates, which these replace."""
