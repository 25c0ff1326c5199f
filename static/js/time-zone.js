// Tells the server the browser's time zone, in which the next page shows times. A page that
// could not know it yet shows UTC, and says so.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const [host, secure] = location.protocol === "https:" ? ["__Host-", "; secure"] : ["", ""];
if (zone && !document.cookie.split("; ").includes(`${host}time_zone=${zone}`)) {
  document.cookie = `${host}time_zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
}
