"""The operators' site: plain Django admin behind the portal's own sign-in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, wraps
from typing import Any, override

from allauth.account.decorators import secure_admin_login
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import capfirst

from portal.accounts.second_factor import has_second_factor, is_two_factor_session, proof_page
from portal.operators.groups import APPS


class OperatorSite(admin.AdminSite):
    """Django admin for staff; people sign in as everywhere in the portal."""

    site_header = "License Portal operators"
    site_title = "License Portal"
    index_title = "Operators"

    start_page: Callable[[], Any] | None = None
    """What the start page shows besides the lists; set by the app that provides it."""

    enable_nav_sidebar = False

    foremost = ("tenant", "subscription", "licensekey", "user", "logentry")
    """The lists that the menu names at once; the others are behind "More"."""

    rooms = {
        "Customers": ("member", "invitation", "servicetoken"),
        "Licenses": ("license", "plan", "signingkey", "statuslist", "checkcount"),
    }
    """Under which heading of "More" a list stands; the others stand under "Operations"."""

    search_page: Callable[[HttpRequest], HttpResponse] | None = None
    """The search over everything; set by the app that provides it."""

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        # It deletes in bulk and outside of a transaction, so without a row in the log.
        self.disable_action("delete_selected")

    @override
    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[admin.ModelAdmin] | None = None,
        **options: Any,
    ) -> None:
        """Register models of the portal only.

        Those of other packages (groups, email addresses, second factors, sessions) would let an
        operator take over an account, and their changes would not be recorded.
        """
        models = (
            [model_or_iterable] if isinstance(model_or_iterable, type) else [*model_or_iterable]
        )
        ours = [model for model in models if model._meta.app_label in APPS]
        super().register(ours, admin_class, **options)

    @override
    def get_urls(self) -> list[Any]:
        """Add the address of the search."""
        route = path("search/", self.admin_view(self.search_view), name="search")
        return [route, *super().get_urls()]

    @override
    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Redirect to the start page: the menu has the lists."""
        return redirect("admin:index")

    def search_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the search over everything."""
        if self.search_page is None:
            raise Http404
        return self.search_page(request)

    @override
    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Add the figures of the business."""
        figures = {"figures": self.start_page()} if self.start_page else {}
        return super().index(request, {**figures, **(extra_context or {})})

    @override
    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return the context of every page: with a menu in place of Django's list of all models.

        That list asks for four permissions and three addresses of each model.
        """
        lists = {
            name: link
            for name, (page, link) in self._lists.items()
            if page.has_view_permission(request)
        }
        return {
            "site_header": self.site_header,
            "site_title": self.site_title,
            "has_permission": self.has_permission(request),
            "is_popup": False,
            "is_nav_sidebar_enabled": False,
            "menu": [lists.pop(name) for name in self.foremost if name in lists],
            "more": self._grouped(lists),
        }

    def _grouped(
        self, lists: dict[str, tuple[str, str]]
    ) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return the lists that the menu has under "More", by their headings."""
        groups = {
            heading: [lists.pop(name) for name in names if name in lists]
            for heading, names in self.rooms.items()
        }
        groups["Operations"] = sorted(lists.values())
        return [(heading, links) for heading, links in groups.items() if links]

    @override
    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Answer 403 and 404 in the admin's frame: those of the portal are for members."""

        @wraps(view)
        def framed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                answer: HttpResponse = view(request, *args, **kwargs)
            except PermissionDenied as refusal:
                return self._refused(request, 403, "You are not allowed to do this", str(refusal))
            except Http404:
                return self._refused(request, 404, "This page does not exist")
            return answer

        return super().admin_view(framed, cacheable)

    def _refused(
        self, request: HttpRequest, status: int, title: str, sentence: str = ""
    ) -> HttpResponse:
        context = {**self.each_context(request), "title": title, "sentence": sentence}
        template = f"admin/{status}.html"
        return TemplateResponse(request, template, context, status=status)

    @cached_property
    def _lists(self) -> dict[str, tuple[Any, tuple[Any, str]]]:
        """For each model its admin class, and label and address of its list."""
        return {
            str(model._meta.model_name): (
                page,
                (
                    capfirst(model._meta.verbose_name_plural),
                    reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"),
                ),
            )
            for model, page in self._registry.items()
        }

    @override
    def has_permission(self, request: HttpRequest) -> bool:
        """Admit staff only, in a session that was proven with a second factor."""
        return super().has_permission(request) and is_two_factor_session(request)

    @override
    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the portal's sign-in, or to where staff set up a second factor."""
        return secure_admin_login(self._second_factor)(request)

    def _second_factor(self, request: HttpRequest) -> HttpResponse:
        if self.has_permission(request):
            return redirect("admin:index")
        if has_second_factor(request.user.pk):
            messages.info(request, "Operators prove themselves with their second factor.")
            target = request.GET.get("next", "")
            if not url_has_allowed_host_and_scheme(target, {request.get_host()}):
                target = reverse("admin:index")
            return redirect(reverse(proof_page(request.user), query={"next": target}))  # type: ignore[arg-type]
        messages.warning(
            request,
            "Operators need a second factor. Set up an authenticator app or a passkey here, then "
            "open the admin again.",
        )
        return redirect("mfa_index")

    @override
    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the profile, where a change is rate-limited and ends other sessions."""
        return redirect("account_change_password")
