// What scripts add to the pages. Everything here is an addition: without
// it the same links and forms lead to full pages.

import "./theme-button.js";
import "./time-zone.js";
import "./copy.js";
import "./dialog.js";
import "./requests.js";
import "./forms.js";
import "./menus.js";

// What few pages have is loaded by these alone.
if (document.getElementById("rows")) import("./choose.js");
if (document.querySelector("[data-allauth-onload]")) import("./passkeys.js");
