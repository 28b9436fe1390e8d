import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.errors import BadRequest, Forbidden, Unauthenticated, Unavailable
from shared.runtime.auth import Caller, Verifier
from shared.settings import TokenIssuer

ISSUER = TokenIssuer(
    issuer="https://issuer.test", jwks_url="https://issuer.test/jwks", audience="scout", operators=("op@scout.test",)
)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OPERATOR = Caller(subject="op@scout.test", tenant_id=None, operator=True)
PERSON = Caller(subject="ann@demo.test", tenant_id="demo", operator=False)


class Keys:
    """The issuer's published keys, without a network."""

    def get_signing_key_from_jwt(self, token: str) -> Any:
        return jwt.PyJWK(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"alg": "RS256"})


def verifier(keys: Any = None) -> Verifier:
    made = Verifier([ISSUER])
    made.__dict__["_keys"] = {ISSUER.issuer: keys or Keys()}
    return made


def token(key: Any = KEY, algorithm: str = "RS256", **changes: Any) -> str:
    claims = {"iss": ISSUER.issuer, "aud": "scout", "exp": int(time.time()) + 600, "sub": "ann", "tenant_id": "demo"}
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm)


def test_tenants_token_names_its_tenant():
    assert verifier().verify(f"Bearer {token()}") == Caller(subject="ann", tenant_id="demo", operator=False)


def test_operator_is_one_whose_verified_address_is_listed():
    assert verifier().verify_token(token(email="op@scout.test", email_verified=True)).operator
    assert not verifier().verify_token(token(email="op@scout.test")).operator
    assert not verifier().verify_token(token(email="op@scout.test", email_verified="true")).operator
    assert not verifier().verify_token(token(email="eve@scout.test", email_verified=True)).operator


@pytest.mark.parametrize(
    "bad",
    [
        token(exp=int(time.time()) - 120),
        token(exp=None),
        token(aud="another"),
        token(aud=None),
        token(iss="https://evil.test"),
        token(iss=None),
        token(key=OTHER),
        token(key="secret" * 8, algorithm="HS256"),
        token(key=None, algorithm="none"),
        token() + "x",
        "not a token",
    ],
)
def test_token_that_is_not_right_is_refused(bad: str):
    with pytest.raises(Unauthenticated):
        verifier().verify_token(bad)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "abc"])
def test_header_without_a_token_is_refused(header: str | None):
    with pytest.raises(Unauthenticated, match="no token"):
        verifier().verify(header)


def test_keys_that_cannot_be_fetched_are_worth_another_try():
    class Down:
        def get_signing_key_from_jwt(self, token: str) -> Any:
            raise jwt.PyJWKClientConnectionError("down")

    with pytest.raises(Unavailable):
        verifier(Down()).verify_token(token())


def test_person_acts_for_the_tenant_of_the_token_alone():
    assert PERSON.tenant(None) == PERSON.tenant("demo") == "demo"
    with pytest.raises(Forbidden):
        PERSON.tenant("other")


def test_operator_names_the_tenant():
    assert OPERATOR.tenant("demo") == "demo"
    with pytest.raises(BadRequest):
        OPERATOR.tenant(None)


def test_token_without_a_tenant_is_of_no_use_to_a_person():
    with pytest.raises(Forbidden):
        Caller(subject="x", tenant_id=None, operator=False).tenant("demo")
