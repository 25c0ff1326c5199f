"""Addresses below /tenant/."""

from django.urls import path

import portal.core.numbers  # noqa: F401 (makes <id:...>)
from portal.tenants.views import closing, notifications
from portal.tenants.views import tenant as views

app_name = "tenant"
urlpatterns = [
    path("", views.detail, name="detail"),
    path("edit/", views.edit, name="edit"),
    path("invite/", views.invite, name="invite"),
    path("invitations/<id:invitation_id>/revoke/", views.revoke, name="revoke_invitation"),
    path("invitations/<id:invitation_id>/resend/", views.resend, name="resend_invitation"),
    path("members/<id:member_id>/role/", views.change, name="change_role"),
    path("members/<id:member_id>/remove/", views.remove, name="remove_member"),
    path("hand-over/", views.hand_over_ownership, name="hand_over"),
    path("notifications/", notifications.choose, name="notifications"),
    path("export/", closing.export_data, name="export"),
    path("close/", closing.close, name="close"),
    path("keep/", closing.keep, name="keep"),
    path("leave/", views.leave, name="leave"),
    path("switch/", views.switch, name="switch"),
]
