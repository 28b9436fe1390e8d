"""Tokens of the local cloud: what Google's and the identity provider's issuers are in production.

The functions verify them as they verify any: signature by the published keys, issuer, audience, expiry.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "scout"
LIFETIME_SECONDS = 12 * 3600
OPERATOR = "operator@scout.local"
SCHEDULER = "scheduler@scout.local"
PUBSUB = "pubsub@scout.local"
OPERATORS = (OPERATOR, SCHEDULER, PUBSUB)


class TokenIssuer:
    """Signs tokens with one RSA key and publishes its public half."""

    def __init__(self, key: rsa.RSAPrivateKey, url: str) -> None:
        self.url = url
        self._key = key
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key_id = uuid.uuid5(uuid.NAMESPACE_OID, public.hex()).hex

    @classmethod
    def create(cls, path: Path, url: str) -> TokenIssuer:
        """An issuer with a new key, kept at `path` so that a restarted router still signs with it."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        return cls(key, url)

    @classmethod
    def load(cls, path: Path, url: str) -> TokenIssuer:
        """The issuer whose key is kept at `path`."""
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError(f"{path}: not an RSA key")
        return cls(key, url)

    @property
    def jwks_url(self) -> str:
        """Where the public key is published."""
        return f"{self.url}/jwks.json"

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        key = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "kid": self._key_id, "use": "sig", "alg": "RS256"}]}

    def issue(self, email: str, tenant_id: str | None = None, lifetime_seconds: int = LIFETIME_SECONDS) -> str:
        """A signed token for `email`; with the claim of a tenant if one is given."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": email,
            "email": email,
            "email_verified": True,
            "iat": now,
            "exp": now + lifetime_seconds,
        }
        if tenant_id is not None:
            claims["tenant_id"] = tenant_id
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def setting(self) -> str:
        """The value of SCOUT_TOKEN_ISSUERS that makes the functions accept these tokens."""
        accepted = {"issuer": self.url, "jwks_url": self.jwks_url, "audience": AUDIENCE, "operators": list(OPERATORS)}
        return json.dumps([accepted])
