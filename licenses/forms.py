"""What people and programs hand in: a license key or license file, and a slot in an address."""

from typing import Any, override

from django import forms
from django.urls import register_converter

from licenses.files import MAX_UPLOAD_BYTES, text_of
from licenses.models import Slot


class PresentedKeyForm(forms.Form):
    """A pasted key or an uploaded license file; neither is ever stored."""

    text = forms.CharField(
        label="License key",
        required=False,
        max_length=MAX_UPLOAD_BYTES,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocomplete": "off"}),
        help_text="Paste a license key or the content of a license file.",
        error_messages={
            "max_length": "A license key or license file has at most 64 KiB. Paste nothing else."
        },
    )
    file = forms.FileField(
        label="Or a license file",
        required=False,
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
        help_text="The JSON file as downloaded, at most 64 KiB. It is checked and not kept.",
    )

    @override
    def clean(self) -> dict[str, Any]:
        """Add `presented`: the text or the decoded file, whichever was given."""
        cleaned = super().clean() or {}
        file = cleaned.get("file")
        has_text = "text" in self.errors or bool((cleaned.get("text") or "").strip())
        if file is not None and has_text:
            self.add_error(
                "file",
                "You chose a file and pasted text too, so nothing was checked. Clear the text and "
                "choose the file again, or check the text alone.",
            )
        elif file is not None:
            if file.size > MAX_UPLOAD_BYTES:
                self.add_error("file", "A license file has at most 64 KiB; choose another file.")
                return cleaned
            try:
                cleaned["presented"] = text_of(file.read())
            except UnicodeDecodeError:
                self.add_error("file", "This is not a license file: it is not UTF-8 text.")
        elif has_text and "text" in cleaned:
            cleaned["presented"] = cleaned["text"]
        elif not self.errors:
            self.add_error("text", "Paste a license key or choose a license file.")
        return cleaned


class SlotConverter:
    """`primary` or `secondary` in an address."""

    regex = "|".join(Slot.values)

    def to_python(self, value: str) -> Slot:
        """Return the slot of that name."""
        return Slot(value)

    def to_url(self, value: str) -> str:
        """Return the slot's name."""
        return Slot(value).value


register_converter(SlotConverter, "slot")
