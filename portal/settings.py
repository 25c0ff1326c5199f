"""Settings of the license portal. Every variable is in the table of README.md."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.utils.csp import CSP

from portal.config.environment import Environment, host_of
from portal.config.kept_secrets import KeptSecrets
from portal.server.database import UNREACHABLE, pool, time_outs
from portal.server.transport import SCHEME

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ)

# What kind of run this is
DEMONSTRATION = env.boolean("DEMONSTRATION", default=False)
DEBUG = env.boolean("DEBUG", default=False)
if DEBUG and not DEMONSTRATION:
    env.refuse("DEBUG", "shows secrets on error pages: use it with DEMONSTRATION=true only.")
DATA_DIR = env.folder("DATA_DIR", BASE_DIR / "var", private=not DEMONSTRATION)
_kept = KeptSecrets(DATA_DIR / "secrets.json") if DEMONSTRATION else None

# Secrets
SECRET_KEY = env.secret("SECRET_KEY", kept=_kept, minimum=50)
KEY_ENCRYPTION_KEYS = env.encryption_keys("KEY_ENCRYPTION_KEYS", kept=_kept)
LOG_KEY = env.secret("LOG_KEY", kept=_kept)
LOG_ANCHORS_FILE = env.file("LOG_ANCHORS_FILE", DATA_DIR / "log-anchors.jsonl")
METRICS_TOKEN = env.secret("METRICS_TOKEN", kept=_kept, is_needed=False)

# Addresses
PORT = env.integer("PORT", default=8000, minimum=1, maximum=65535)
PUBLIC_URL = env.origin("PUBLIC_URL", f"http://localhost:{PORT}" if DEMONSTRATION else None)
_hosts = env.hosts("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if DEMONSTRATION else "")
ALLOWED_HOSTS = list(dict.fromkeys([*filter(None, [host_of(PUBLIC_URL)]), *_hosts]))
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
WEBHOOK_ALLOWED_NETWORKS = env.networks("WEBHOOK_ALLOWED_NETWORKS")
HTTPS = PUBLIC_URL.startswith("https://")
if not HTTPS and not DEMONSTRATION:
    env.refuse("PUBLIC_URL", "must begin with https:// outside the demonstration.")
OPEN_SIGN_UP = env.boolean("OPEN_SIGN_UP", default=True)
# What the footer leads to, and where customers get help; nothing is shown of what is not set
SUPPORT_URL = env.address("SUPPORT_URL", "")
SUPPORT_EMAIL = env.email_address("SUPPORT_EMAIL")
SECURITY_CONTACT = env.contact("SECURITY_CONTACT")
TERMS_URL = env.address("TERMS_URL", "")
PRIVACY_URL = env.address("PRIVACY_URL", "")
STATUS_URL = env.address("STATUS_URL", "")
BUY_URL = env.address("BUY_URL", "https://perpetualintelligence.com/products")

# Licenses (contract.md section 1)
LICENSE_ISSUER = env.text("LICENSE_ISSUER", "https://api.perpetualintelligence.com")
LICENSE_TENANT_AUDIENCE = env.text(
    "LICENSE_TENANT_AUDIENCE", "https://login.perpetualintelligence.com/{tid}/v2.0"
)
if "{tid}" not in LICENSE_TENANT_AUDIENCE:
    env.refuse("LICENSE_TENANT_AUDIENCE", "must hold {tid} where the tenant's identifier goes.")
LICENSE_AUTHORIZED_PARTY = env.text("LICENSE_AUTHORIZED_PARTY", "urn:oneimlx:cli")
SIGNING_KEY_BITS = env.integer("SIGNING_KEY_BITS", default=3072, minimum=2048, maximum=8192)
SIGNING_KEY_PUBLISHED_HOURS = env.integer(
    "SIGNING_KEY_PUBLISHED_HOURS", default=24, minimum=0, maximum=720
)

# Checks by terminals: limits for one client address, 0 for none; seconds between two writes
CHECKS_PER_MINUTE = env.integer("CHECKS_PER_MINUTE", default=6000, minimum=0, maximum=10_000_000)
FAILED_CHECKS_PER_MINUTE = env.integer(
    "FAILED_CHECKS_PER_MINUTE", default=300, minimum=0, maximum=10_000_000
)
CHECK_COUNT_SECONDS = env.integer("CHECK_COUNT_SECONDS", default=2, minimum=0, maximum=60)
CHECK_COUNT_DAYS = env.integer("CHECK_COUNT_DAYS", default=400, minimum=2, maximum=36_500)

# Requests of one service token to the API, 0 for no limit
API_REQUESTS_PER_MINUTE = env.integer(
    "API_REQUESTS_PER_MINUTE", default=600, minimum=0, maximum=10_000_000
)

# Threads of a process that run pages for people; programs have two of their own
REQUEST_THREADS = env.integer("REQUEST_THREADS", default=4, minimum=1, maximum=64)

# The project
PORTAL_NAME = env.text("PORTAL_NAME", "License Portal")
INSTALLED_APPS = [
    "portal.apps.PortalConfig",
    "subscriptions.apps.SubscriptionsConfig",
    "licenses.apps.LicensesConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "portal.apps.AdminConfig",
    "django.forms",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
]
MIDDLEWARE = [
    "portal.server.transport.TransportMiddleware",
    "portal.server.request_ids.RequestIdMiddleware",
    "portal.programs.middleware.ProgramMiddleware",
    "portal.server.health.MonitoringMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "portal.web.headers.HeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.web.compression.PageCompressionMiddleware",
    "portal.web.unfit_nodes.UnfitNodeMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "portal.web.large_forms.LargeFormMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.operators.pasted_keys.PastedKeyMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.accounts.middleware.SessionMiddleware",
    "portal.web.time_zones.TimeZoneMiddleware",
    "portal.tenants.middleware.TenantMiddleware",
    "portal.tenants.middleware.SupportViewMiddleware",
    "portal.accounts.middleware.ProofMiddleware",
    "portal.web.not_allowed.NotAllowedMiddleware",
]
ROOT_URLCONF = "portal.urls"
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # Lower("email") is unique, which says more
    "security.W021",  # preloading binds a whole domain for years: HSTS_PRELOAD asks for it
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.web.pages.site_context",
            ],
            "builtins": ["portal.web.tags"],
            "libraries": {"license_tags": "licenses.web.license_tags"},
        },
    }
]
FORM_RENDERER = "portal.web.widgets.WidgetRenderer"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

# Data
# Terminals, callers of the API and downloads have two threads each, counts and readiness one.
DATABASE_POOL_SIZE = env.integer(
    "DATABASE_POOL_SIZE", default=REQUEST_THREADS + 8, minimum=1, maximum=200
)
# Seconds, 0 for none. Statements of pages and programs alone are bounded (portal/asgi.py).
DATABASE_TIME_OUTS = {
    "statement_timeout": env.integer(
        "DATABASE_STATEMENT_SECONDS", default=8, minimum=0, maximum=3600
    ),
    "lock_timeout": env.integer("DATABASE_LOCK_SECONDS", default=5, minimum=0, maximum=3600),
    "idle_in_transaction_session_timeout": env.integer(
        "DATABASE_IDLE_SECONDS", default=30, minimum=0, maximum=3600
    ),
}
DATABASES = {"default": env.database("DATABASE_URL", sqlite=DATA_DIR / "portal.sqlite3")}
_is_sqlite = DATABASES["default"].get("ENGINE") == "django.db.backends.sqlite3"
DATABASE_PGBOUNCER = env.boolean("DATABASE_PGBOUNCER", default=False) and not _is_sqlite
if _is_sqlite:
    # IMMEDIATE takes the write lock when a transaction opens: a deferred one that reads first
    # and writes later loses against another writer and fails instead of waiting.
    # The portal's own backend keeps an order among those who wait for that lock.
    DATABASES["default"]["ENGINE"] = "portal.server.sqlite"
    # Opening the file takes twenty times as long as reading a row: connections stay open.
    DATABASES["default"]["CONN_MAX_AGE"] = None
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
else:
    DATABASES["default"]["ENGINE"] = "portal.server.postgresql"
    _options = UNREACHABLE | DATABASES["default"].get("OPTIONS", {})
    if not DATABASE_PGBOUNCER:  # which refuses them: there the role has them, by `migrate`
        _own = _options.get("options", "")
        _options["options"] = f"{_own} {time_outs(**DATABASE_TIME_OUTS | {'statement_timeout': 0})}"
    DATABASES["default"]["OPTIONS"] = {
        **_options,
        # PgBouncer gives each transaction another connection: none keeps what it has prepared.
        "prepare_threshold": None if DATABASE_PGBOUNCER else 5,
        "pool": pool(DATABASE_POOL_SIZE),
    }
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = DATABASE_PGBOUNCER
# The role that owns the tables, for migrations: what it makes, it grants to DATABASE_ROLE.
MIGRATION_DATABASE = env.postgresql("MIGRATION_DATABASE_URL")
DATABASE_ROLE = DATABASES["default"].get("USER", "") if MIGRATION_DATABASE else ""
if MIGRATION_DATABASE:
    MIGRATION_DATABASE["OPTIONS"] = UNREACHABLE | MIGRATION_DATABASE["OPTIONS"]
    if not DATABASE_ROLE:
        env.refuse("MIGRATION_DATABASE_URL", "needs a DATABASE_URL that names the portal's role.")
    elif MIGRATION_DATABASE["USER"] == DATABASE_ROLE:
        env.refuse("MIGRATION_DATABASE_URL", "must name another role than DATABASE_URL.")
CACHE_URL = env.cache("CACHE_URL")
CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "portal.server.cache.SharedCache", "LOCATION": [CACHE_URL]}
    if CACHE_URL
    else {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "portal",
        "OPTIONS": {"MAX_ENTRIES": 100_000},  # one for each client address and limit
    }
}

# Static files
STATIC_URL = "/static/"
WHITENOISE_ALLOW_ALL_ORIGINS = False
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(DATA_DIR / "static"))).absolute()
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "portal.server.static_files.StaticFilesStorage"},
}

# Sign-in
AUTH_USER_MODEL = "portal.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
_validation = "django.contrib.auth.password_validation."
BREACHED_PASSWORDS_FILE = env.list_of_digests("BREACHED_PASSWORDS_FILE")
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {
        "NAME": _validation + "UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("name", "email")},
    },
    {"NAME": _validation + "MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    # They may be made of any characters: what is easy to guess is refused by what it is.
    {"NAME": "portal.accounts.password_rules.BreachedPasswordValidator"},
    {"NAME": "portal.accounts.password_rules.OwnWordsValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "portal.accounts.adapters.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {
    "add_email": "portal.accounts.forms.ChangeEmailForm",
    "change_password": "portal.accounts.forms.ChangePasswordForm",
    "login": "portal.accounts.forms.SignInForm",
    "reset_password": "portal.accounts.forms.AskResetForm",
    "reset_password_from_key": "portal.accounts.forms.ResetPasswordForm",
    "set_password": "portal.accounts.forms.SetPasswordForm",
}
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "portal.accounts.credentials.ResetTokenGenerator"  # noqa: S105 (a class)
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = {
    "login": None,  # "login_failed" is counted before the password is hashed
    # `key` is address and account together (AccountAdapter): a limit on the account alone would
    # let anybody who guesses lock its owner out.
    "login_failed": "30/m/ip,5/5m/key",
    "login_failed_known_device": "10/5m/key",
    "second_step": "30/m/ip,5/5m/key",
    "second_step_known_device": "10/5m/key",
    "reset_password": "20/m/ip,5/h/key",
    "signup": "20/m/ip,5/h/key",
}
MFA_ADAPTER = "portal.accounts.adapters.MfaAdapter"
MFA_FORMS = {
    "activate_totp": "portal.accounts.forms.ActivateAppForm",
    "add_webauthn": "portal.accounts.passkeys.AddPasskeyForm",
    "authenticate": "portal.accounts.forms.CodeForm",
    "authenticate_webauthn": "portal.accounts.passkeys.SecondStepPasskeyForm",
    "edit_webauthn": "portal.accounts.passkeys.RenamePasskeyForm",
    "login_webauthn": "portal.accounts.passkeys.LoginPasskeyForm",
    "reauthenticate": "portal.accounts.forms.ProofCodeForm",
    "reauthenticate_webauthn": "portal.accounts.passkeys.ProofPasskeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_RATE_LIMITS = {"webauthn_login": "120/m/ip"}  # a company shares it; each page may ask twice
MFA_TOTP_ISSUER = PORTAL_NAME
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = (
    DEMONSTRATION and not HTTPS and urlsplit(PUBLIC_URL).hostname == "localhost"
)
# Nobody is signed in without a verified address. An unverified one is the new address of a change,
# which allauth would refuse to people with a second factor.
MFA_ALLOW_UNVERIFIED_EMAIL = True
# portal.accounts.proof asks for proofs: allauth asks again right after sign-in, and never asks
# people who sign in at a provider only.
MFA_REAUTHENTICATION_REQUIRED = False
SESSION_IDLE_HOURS = env.integer("SESSION_IDLE_HOURS", default=72, minimum=1, maximum=8760)
SESSION_HOURS = env.integer("SESSION_HOURS", default=336, minimum=1, maximum=8760)
OPERATOR_SESSION_HOURS = env.integer("OPERATOR_SESSION_HOURS", default=12, minimum=1, maximum=8760)

# Sign-in at identity providers (OpenID Connect)
OIDC_PROVIDERS = env.identity_providers("OIDC_PROVIDERS", insecure=DEMONSTRATION)
IDENTITY_PROVIDER_SECONDS = 5.0  # for all that one request of ours asks of a provider
_issuers = [urlsplit(provider["settings"]["server_url"]) for provider in OIDC_PROVIDERS]
SOCIALACCOUNT_ADAPTER = "portal.accounts.providers.IdentityAdapter"
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "provider_class": "portal.accounts.providers.IdentityProvider",
        "APPS": OIDC_PROVIDERS,
    }
}

# Mail
MAIL_FROM = env.sender("MAIL_FROM", "License Portal <noreply@localhost>" if DEMONSTRATION else None)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = MAIL_FROM
MAILERS = {"default": env.mailer("MAIL_URL", console=DEMONSTRATION)}

# Uploads: checked in memory and never written anywhere
FILE_UPLOAD_HANDLERS = ["portal.server.uploads.MemoryOnlyUploadHandler"]

# Headers and cookies for browsers
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    # Browsers apply this to the redirect that answers a form, too.
    "form-action": [CSP.SELF, *(f"{issuer.scheme}://{issuer.netloc}" for issuer in _issuers)],
    "img-src": [CSP.SELF, "data:"],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    "object-src": [CSP.NONE],
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = env.boolean("HSTS_PRELOAD", default=False) and HTTPS
SECURE_PROXY_SSL_HEADER = (SCHEME, "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Browsers take a cookie of such a name from this host alone, by HTTPS (RFC 6265bis 4.1.3.2).
COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
MESSAGE_STORAGE = "portal.web.messages.MessageStorage"
SESSION_COOKIE_AGE = SESSION_HOURS * 3600
CSRF_FAILURE_VIEW = "portal.web.views.csrf_failure"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if HTTPS else []
X_FRAME_OPTIONS = "DENY"

# Logs of the process
LOG_LEVEL = env.level("LOG_LEVEL", "INFO")
LOG_FORMAT = env.choice("LOG_FORMAT", ("json", "text"), "text" if DEMONSTRATION else "json")
ACCESS_LOG = env.choice(
    "ACCESS_LOG", ("all", "sampled", "off"), "off" if DEMONSTRATION else "sampled"
)
LOGGING_CONFIG = "portal.server.process_log.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"foreign": {"()": "portal.server.log_lines.ForeignTextFilter"}},
    "formatters": {
        "json": {"()": "portal.server.process_log.ProcessJson"},
        "text": {"()": "portal.server.process_log.ProcessText"},
    },
    "handlers": {
        "none": {"class": "logging.NullHandler"},
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["foreign"],
            "formatter": LOG_FORMAT,
        },
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        # Every scanner of the Internet sends foreign host names; the answer, 400, is logged.
        "django.security.DisallowedHost": {"handlers": ["none"], "propagate": False},
    },
}

env.finish()
