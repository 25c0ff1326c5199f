"""Variables that production needs, and those of one identity provider."""

from cryptography.fernet import Fernet

PRODUCTION = {
    "SECRET_KEY": "s3cret-" * 8,
    "LOG_KEY": "l0g-key-" * 4,
    "KEY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    "PUBLIC_URL": "https://licenses.example.com",
    "MAIL_URL": "smtps://user:p%40ss@mail.example.com",
    "MAIL_FROM": "licenses@example.com",
}
COMPANY = {
    "OIDC_PROVIDERS": "company",
    "OIDC_COMPANY_ISSUER": "https://id.example.com/realms/main/",
    "OIDC_COMPANY_CLIENT_ID": "portal",
    "OIDC_COMPANY_CLIENT_SECRET": "s3cret",
}
