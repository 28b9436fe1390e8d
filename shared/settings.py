"""What differs between one deployment and the next, read from the environment once."""

from functools import cache
from typing import Literal

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class TokenIssuer(BaseModel, frozen=True):
    """One issuer whose tokens are accepted, and which of its e-mail addresses are operators."""

    issuer: str
    jwks_url: str
    audience: str
    operators: tuple[str, ...] = ()


class Settings(BaseSettings):
    """Settings of every function; the same names locally and in production."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    project: str = Field(alias="GOOGLE_CLOUD_PROJECT", description="Google Cloud project that holds everything.")
    database: str = Field("(default)", alias="SCOUT_DATABASE", description="Firestore database of tenants' data.")
    databases: str = Field(
        "(default)", alias="SCOUT_DATABASES", description="Firestore databases whose writes are streamed, by blanks."
    )
    ops_database: str = Field(
        "ops",
        alias="SCOUT_OPS_DATABASE",
        description="Firestore database of Scout's own state: no trigger watches it.",
    )
    bigquery_endpoint: str = Field(
        "", alias="BIGQUERY_EMULATOR_HOST", description="REST endpoint of BigQuery where it is not Google's."
    )
    bigquery_grpc_endpoint: str = Field(
        "",
        alias="BIGQUERY_GRPC_HOST",
        description="host:port of the BigQuery Storage API where it is not Google's.",
    )
    bigquery_location: str = Field("US", alias="SCOUT_BIGQUERY_LOCATION", description="Location of new datasets.")
    redis_url: str = Field("", alias="REDIS_URL", description="redis:// address of the cache; empty: no cache.")
    dead_letter_bucket: str = Field(
        "",
        alias="SCOUT_DEAD_LETTER_BUCKET",
        description="Cloud Storage bucket of events that were set aside.",
    )
    hash_key: SecretStr = Field(
        SecretStr(""),
        alias="SCOUT_HASH_KEY",
        description="Secret of at least 32 characters, from which the keys of hashed fields are made. "
        "Another one gives other hashes, which no longer join with those that are there.",
    )
    token_issuers: tuple[TokenIssuer, ...] = Field(
        (),
        alias="SCOUT_TOKEN_ISSUERS",
        description="JSON list of accepted issuers, with audience and operators.",
    )
    secrets: Literal["secret-manager", "environment"] = Field(
        "secret-manager",
        alias="SCOUT_SECRETS",
        description="Where the credentials of tenants' sources are: `secret-manager` or `environment`.",
    )
    ga4_endpoint: str = Field(
        "https://analyticsdata.googleapis.com",
        alias="SCOUT_GA4_ENDPOINT",
        description="Google Analytics Data API.",
    )
    google_ads_endpoint: str = Field(
        "https://googleads.googleapis.com", alias="SCOUT_GOOGLE_ADS_ENDPOINT", description="Google Ads API."
    )
    google_token_endpoint: str = Field(
        "https://oauth2.googleapis.com/token",
        alias="SCOUT_GOOGLE_TOKEN_ENDPOINT",
        description="Where refresh tokens of Google accounts are exchanged.",
    )
    search_console_endpoint: str = Field(
        "https://searchconsole.googleapis.com", alias="SCOUT_SEARCH_CONSOLE_ENDPOINT", description="Search Console API."
    )
    stripe_endpoint: str = Field("https://api.stripe.com", alias="SCOUT_STRIPE_ENDPOINT", description="Stripe API.")
    activecampaign_endpoint: str = Field(
        "https://{account}.api-us1.com",
        alias="SCOUT_ACTIVECAMPAIGN_ENDPOINT",
        description="ActiveCampaign API; `{account}` is the tenant's `account_id`.",
    )


@cache
def settings() -> Settings:
    """The settings of this process; a missing one raises pydantic's error with its name."""
    return Settings()
