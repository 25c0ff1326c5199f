"""From the page's first command to checks that survive an upgrade, step by step."""

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from tests.deploy import page
from tests.deploy.addresses import SECRET_PATHS
from tests.deploy.machine import HOST, Machine
from tests.deploy.visitor import Browser, Connection
from tests.support.accounts import PASSWORD
from tests.support.second_factor import totp_code

OPERATOR, OWNER = "operator@example.com", "owner@contoso.example.com"
MAIL_WITHIN = 30
JSON = {"Content-Type": "application/json; charset=utf-8"}
CHECK = "/public/checklicense"
BODY = {"error", "error_code", "error_description", "request_id", "result"}
LATER = {"Restore", "Upgrades", "Containers"}
"""Sections whose commands are run when there is something to restore or upgrade, or elsewhere."""

DOCTOR = "portal doctor\n"
MAY_LOSE = {"443": 0, "https": 1}
"""Checks that may hear 502, in JSON, when a node goes: Caddy 2.6 does not send a body again."""


class Journey:
    """One machine, who is signed in there, and the license that was generated."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.body: dict[str, Any] = {}
        self.links: set[str] = set()
        self.read = len(machine.mail.mails)

    def steps(self) -> list[Callable[[], None]]:
        """Return what is done, in this order."""
        return [
            self.page_runs_as_written,
            self.operator_signs_in,
            self.tenant_generates_keys,
            self.a_backup_is_restored_and_verified,
            self.the_doctor_finds_nothing_behind_both_proxies,
            self.the_certificate_can_be_renewed,
            self.both_proxies_answer_checks,
            self.headers_of_clients_are_not_believed,
            self.a_large_body_is_refused_in_json,
            self.one_node_is_enough,
            self.programs_hear_json_when_all_nodes_are_away,
            self.checks_go_on_during_an_upgrade,
            self.checks_go_on_during_a_reload,
            self.pgbouncer_may_stand_between,
            self.every_node_tells_what_the_worker_does_and_finds,
            self.no_secret_is_in_a_log,
            self.containers_have_their_secrets,
        ]

    # The steps

    def page_runs_as_written(self) -> None:
        for heading, commands in page.blocks():
            if heading not in LATER and commands != DOCTOR:
                self.machine.run(commands)
        installed = (self.machine.root / "apt-get").read_text()
        assert {"nginx", "redis-server", "postgresql"} <= set(installed.split()), installed

    def operator_signs_in(self) -> None:
        browser = self.browser("443")
        browser.sends("/accounts/password/reset/", {"email": OPERATOR})
        link = self.link_for(OPERATOR, "/accounts/password/reset/key/")
        form = browser.get(link)[1]
        browser.sends(form, {"password1": PASSWORD, "password2": PASSWORD})
        signing_in = {"login": OPERATOR, "password": PASSWORD}
        if "Check your email" in browser.sends("/accounts/login/", signing_in):
            browser.sends(self.link_for(OPERATOR, "/accounts/confirm-email/"), {})
            browser.sends("/accounts/login/", signing_in)
        # Every look at this page makes a new secret, so its form is sent from what was seen once.
        path = "/accounts/2fa/totp/activate/"
        setting_up = browser.get(path)[2]
        secrets = re.findall(r"\b([A-Z2-7]{32})\b", setting_up)
        assert secrets, setting_up
        [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', setting_up)[-1:]
        given = {"code": totp_code(secrets[0]), "csrfmiddlewaretoken": token}
        assert browser.post(path, given, token=False)[1] != path
        status, address, text = browser.get("/admin/")
        assert (status, address) == (200, "/admin/"), text[:2000]
        self.operator = browser

    def tenant_generates_keys(self) -> None:
        why = {"reason": "The first customer"}
        new = {"name": "Contoso", "country": "USA", "owner_email": OWNER} | why
        self.operator.sends("/admin/portal/tenant/add/", new)
        link = self.link_for(OWNER, "/invitations/")
        plans = self.operator.get("/admin/subscriptions/subscription/add/")[2]
        tenants = self.operator.get("/admin/portal/tenant/")[2]
        [tenant] = re.findall(r'"([0-9a-f-]{36})/change/"', tenants)[:1]
        [select] = re.findall(r'<select name="plan".*?</select>', plans, re.DOTALL)
        plan = re.findall(r'<option value="([^"]+)"', select)[-1]
        added = {"tenant": tenant, "plan": plan, "name": "Production"} | why
        self.operator.sends("/admin/subscriptions/subscription/add/", added)
        owner = self.browser("443")
        accepting = owner.get(link)[1]
        owner.sends(accepting, {"name": "Olivia Owner", "password": PASSWORD})
        listed = owner.get("/subscriptions/")[2]
        [subscription] = set(re.findall(r"/subscriptions/[0-9a-f-]{36}/", listed))
        [token] = re.findall(
            r'name="csrfmiddlewaretoken" value="(\w+)"', owner.get(subscription)[2]
        )[:1]
        owner.post(f"{subscription}activate/", {"csrfmiddlewaretoken": token}, token=False)
        owner.sends(f"{subscription}generate/", {"usage": "org", "holder_name": "Contoso"})
        status, _, text = owner.get(f"{subscription}download/primary/")
        assert status == 200, text[:2000]
        self.body = asked_by_a_terminal(json.loads(text))

    def a_backup_is_restored_and_verified(self) -> None:
        [taking] = [text for heading, text in page.blocks() if heading == "Backups"]
        [restoring] = [text for heading, text in page.blocks() if heading == "Restore"]
        self.machine.run(taking)
        addresses = "/etc/portal/secrets/database-url /etc/portal/owner/database-url"
        said = self.machine.run(restoring)
        assert "2 license keys" in said, said
        assert "The store is whole." in said, said
        self.machine.run(f"sed --in-place s,/portal_restored$,/portal, {addresses}")

    def the_doctor_finds_nothing_behind_both_proxies(self) -> None:
        for https, http in (("443", "80"), ("https", "http")):
            with self.machine.resolving(https=https, http=http):
                found = self.machine.run(f"{DOCTOR.strip()} || true").splitlines()
            print("\n".join(f"    {line}" for line in found))
            asked = ("Cache:", "Address:", "Proxies:", "Terminals:")
            marks = {
                line.split()[0]
                for line in found
                if line.startswith("wrong") or any(part in line for part in asked)
            }
            assert marks == {"ok"}, found

    def the_certificate_can_be_renewed(self) -> None:
        """Certbot's file is found by plain HTTP, in the folder that the page tells certbot."""
        given = (self.machine.root / "certbot").read_text().splitlines()
        folder = Path(given[given.index("--webroot-path") + 1]) / ".well-known/acme-challenge"
        folder.mkdir(parents=True)
        (folder / "abc").write_text("the answer")
        asked = HTTPConnection("127.0.0.1", int(self.machine.ports["80"]), timeout=20)
        asked.request("GET", "/.well-known/acme-challenge/abc", headers={"Host": HOST})
        answer = asked.getresponse()
        assert (answer.status, answer.read()) == (200, b"the answer")
        asked.close()
        self.machine.run(given[given.index("--deploy-hook") + 1])
        sleep(1)

    def both_proxies_answer_checks(self) -> None:
        for port in ("443", "https"):
            status, _, answer = self.asks(port)
            assert (status, answer.get("result")) == (200, "valid"), (port, status, answer)

    def headers_of_clients_are_not_believed(self) -> None:
        """A client that claims another address is counted as itself: its headers are replaced."""
        forged = JSON | {
            "X-Forwarded-For": "203.0.113.9",
            "X_Forwarded_For": "203.0.113.9",
            "Forwarded": "for=203.0.113.9;proto=http",
            "X-Forwarded-Proto": "http",
        }
        for port in ("443", "https"):
            status, _, answer = self.asks(port, headers=forged)
            assert (status, answer["result"]) == (200, "valid"), (port, status, answer)
            self.browser(port).get("/no-such-page/", **forged)
        for port in ("80", "http"):  # the control: by plain HTTP it is refused, in JSON
            status, _, answer = self.asks(port, headers=JSON)
            assert status // 100 == 3, (port, status, answer)
            assert answer.keys() >= BODY, (port, answer)
        logs = "".join(
            (self.machine.root / f"portal@{node}.log").read_text() for node in self.nodes()
        )
        assert "/no-such-page/" in logs
        assert "203.0.113.9" not in logs, logs[-2000:]

    def a_large_body_is_refused_in_json(self) -> None:
        for port in ("443", "https"):
            status, _, answer = self.asks(port, body=b"x" * 100_000)
            assert (status, answer["error"]) == (413, "invalid_request"), (port, status, answer)
            assert answer.keys() >= BODY, (port, answer)

    def one_node_is_enough(self) -> None:
        first, second = self.nodes()
        self.machine.unit(f"portal@{first}").stop()
        for port in ("443", "https"):
            found = [self.asks(port)[0] for _ in range(10)]
            assert found.count(200) >= 10 - MAY_LOSE[port], (port, found)
        self.machine.unit(f"portal@{second}").stop()

    def programs_hear_json_when_all_nodes_are_away(self) -> None:
        for port in ("443", "https"):
            status, headers, answer = self.asks(port)
            assert status in {502, 503}, (port, status, answer)
            assert answer.keys() == BODY, (port, answer)
            assert answer["error"] == answer["error_code"] == "server_error", (port, answer)
            assert headers.get("Retry-After") == "5", (port, headers)
            assert headers.get("Cache-Control") == "no-store", (port, headers)
            assert self.browser(port).get("/invitations/an-open-secret-0/")[0] in {502, 503}
        for node in self.nodes():
            self.machine.unit(f"portal@{node}").start()
            self.machine.wait_for(int(node))
        sleep(3)  # until both proxies have noticed

    def checks_go_on_during_an_upgrade(self) -> None:
        """To the same code by the name of another release, in the folder that the page makes."""
        [commands] = [text for heading, text in page.blocks() if heading == "Upgrades"]
        [version] = set(re.findall(r"/opt/portal/([\d.]+)", commands))
        self.machine.pack(version=version)
        with self.checks_go_on():
            self.machine.run(commands)
        self.machine.release = self.machine.release.with_name(version)
        for node in self.nodes():
            assert f'version="{version}"' in self.metrics(node)

    def checks_go_on_during_a_reload(self) -> None:
        with self.checks_go_on():
            for node in self.nodes():
                self.machine.systemctl("reload", f"portal@{node}")
                sleep(8)

    def pgbouncer_may_stand_between(self) -> None:
        self.machine.start_pgbouncer()
        self.machine.run(
            "echo DATABASE_PGBOUNCER=true >> /etc/portal/portal.env\n"
            "MIGRATION_DATABASE_URL=$(cat /etc/portal/owner/database-url) portal migrate -v 0"
        )
        for node in self.nodes():
            self.machine.systemctl("restart", f"portal@{node}")
            self.machine.wait_for(int(node))
        self.machine.systemctl("restart", "portal-worker")
        sleep(3)
        for port in ("443", "https") * 10:  # statements are prepared after some
            status, _, answer = self.asks(port)
            assert (status, answer.get("result")) == (200, "valid"), (port, status, answer)
        browser = self.browser("https")
        browser.sends("/accounts/login/", {"login": OWNER, "password": PASSWORD})
        for path in ["/subscriptions/", "/tenant/", "/logs/"] * 5:
            assert browser.get(path)[0] == 200, path
        browser.sends("/accounts/password/reset/", {"email": OWNER})
        self.link_for(OWNER, "/accounts/password/reset/key/")
        assert self.machine.pgbouncer_is_used()

    def every_node_tells_what_the_worker_does_and_finds(self) -> None:
        """The worker has a DATA_DIR of its own, and nobody scrapes it."""
        for node in self.nodes():
            assert 'worker_tasks_total{outcome="done",task="Mail"}' in self.metrics(node)
            assert "log_faults_total 0.0" in self.metrics(node)
        self.machine.run(
            "runuser -u postgres -- psql --quiet --dbname=portal --command='"
            "ALTER TABLE portal_logentry DISABLE TRIGGER ALL; "
            "DELETE FROM portal_logentry WHERE id = (SELECT min(id) FROM portal_logentry)'\n"
            "! portal verify_log"
        )
        for node in self.nodes():
            assert "log_faults_total 1.0" in self.metrics(node)

    def no_secret_is_in_a_log(self) -> None:
        for port in ("443", "https"):
            browser = self.browser(port)
            for path in SECRET_PATHS:
                browser.get(path.format("an-open-secret-0") + "?next=an-open-query")
        sleep(1)
        logs = {path: path.read_text(errors="replace") for path in self.machine.proxy_logs()}
        for log, text in logs.items():
            for secret in ("an-open-secret", "an-open-query", *self.links):
                found = [line for line in text.splitlines() if secret in line]
                assert not found, f"{log.name} has a secret: {found[:3]}"
        whole = "".join(logs.values())
        assert whole.count("/invitations/...") >= 2, "The addresses are in no access log at all."
        assert CHECK in whole

    def containers_have_their_secrets(self) -> None:
        """The commands with which the secrets are made; `docker` itself is a stand-in."""
        [commands] = [text for heading, text in page.blocks() if heading == "Containers"]
        self.machine.run(f"cd /opt/portal/current\n{commands}")
        folder = self.machine.release / "deploy"
        named = re.findall(r"file: (secrets/\S+)", (folder / "compose.yaml").read_text())
        missing = [name for name in named if not (folder / name).read_text().strip()]
        assert (len(named), missing) == (10, [])

    # What they need

    def nodes(self) -> tuple[str, str]:
        return self.machine.ports["8000"], self.machine.ports["8001"]

    def metrics(self, node: str) -> str:
        """Return what a node tells to whoever has the token."""
        token = self.machine.root / "etc/portal/secrets/metrics-token"
        asked = HTTPConnection("127.0.0.1", int(node), timeout=20)
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
        asked.request("GET", "/metrics", headers=headers)
        text = asked.getresponse().read().decode()
        asked.close()
        return text

    def browser(self, port: str) -> Browser:
        return Browser(int(self.machine.ports[port]), self.machine.certificate)

    def link_for(self, email: str, path: str) -> str:
        """Return the path of the mailed link below `path`, when the mail has arrived.

        Mails that were read before do not count.
        """
        end = monotonic() + MAIL_WITHIN
        while monotonic() < end:
            for number, mail in enumerate(self.machine.mail.mails[self.read :], self.read + 1):
                body = mail.get_body(("plain",))
                text = str(body.get_content()) if body else ""
                found = re.search(rf"https://{HOST}({path}\S+)", text)
                if email in str(mail["To"]) and found:
                    self.links.add(found[1])
                    self.read = number
                    return found[1]
            sleep(0.2)
        raise AssertionError(f"No mail with {path} reached {email} in {MAIL_WITHIN} s.")

    def asks(
        self, port: str, *, body: bytes | None = None, headers: dict[str, str] = JSON
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Ask for a check; return status, headers and the body, which must be JSON."""
        number = int(self.machine.ports[port])
        connection: HTTPConnection
        if port in {"80", "http"}:
            connection = HTTPConnection("127.0.0.1", number, timeout=20)
        else:
            trusted = ssl.create_default_context(cafile=str(self.machine.certificate))
            connection = Connection(HOST, port_here=number, context=trusted, timeout=20)
        try:
            text = json.dumps(self.body).encode() if body is None else body
            connection.request("POST", CHECK, text, {"Host": HOST} | headers)
            answer = connection.getresponse()
            told = answer.read().decode()
            assert "json" in answer.headers["Content-Type"], (port, answer.status, told[:500])
            return answer.status, dict(answer.headers), json.loads(told)
        finally:
            connection.close()

    @contextmanager
    def checks_go_on(self) -> Iterator[None]:
        """Ask for checks through both proxies meanwhile; each must be answered by 200."""
        over = threading.Event()
        answers: dict[str, list[object]] = {"443": [], "https": []}

        def ask(port: str) -> None:
            while not over.is_set():
                try:
                    status, _, answer = self.asks(port)
                    answers[port].append(status if status == 200 else (status, answer))
                except Exception as error:  # noqa: BLE001 (each is a check that was lost)
                    answers[port].append(repr(error))
                over.wait(0.05)

        threads = [threading.Thread(target=ask, args=[port]) for port in answers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()
        for port, found in answers.items():
            lost = [answer for answer in found if answer != 200]
            assert len(found) > 20, (port, len(found))  # a machine that does more answers less
            assert len(lost) <= 2 * MAY_LOSE[port], (
                f"{len(lost)} of {len(found)} checks lost at {port}: {lost[:3]}"
            )
            print(f"    {len(found)} checks at {port}, {len(lost)} answered by 502")


def asked_by_a_terminal(file: dict[str, Any]) -> dict[str, str]:
    """Return what a terminal asks with a license file (contract.md section 3)."""
    names = ("key", "key_type", "subject", "consumer_tenant_id", "authorized_party", "broker_id")
    [application] = file["authorized_application_ids"]
    issuer = "https://api.perpetualintelligence.com"
    return {name: file[name] for name in names} | {
        "authorized_application_id": application,
        "issuer": issuer,
    }
