"""The page on which an operator confirms one step: what will happen, a form, the button."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What the page says: consequences first, then facts, then the form and its `button`.

    `row` is what it happens to, None for something new.
    """

    title: str
    says: Sequence[str]
    button: str
    row: Any = None
    facts: Mapping[str, object] | None = None
    is_dangerous: bool = False


def confirmation_page(
    model_admin: admin.ModelAdmin,
    request: HttpRequest,
    confirmation: Confirmation,
    form: forms.Form,
) -> HttpResponse:
    """Render the page; status 422 when the form was sent and not accepted."""
    opts, row = model_admin.opts, confirmation.row
    name = f"admin:{opts.app_label}_{opts.model_name}"
    listed = reverse(f"{name}_changelist")
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": opts,
        "title": confirmation.title,
        "confirmation": confirmation,
        "form": form,
        "list": listed,
        "cancel": reverse(f"{name}_change", args=[row.pk]) if row else listed,
    }
    status = 422 if form.errors else 200
    return TemplateResponse(request, "admin/confirm.html", context, status=status)
