"""Settings: the environment in, values or plain words out."""

from pathlib import Path
from typing import Any

import pytest

from gateway.addresses import is_loopback
from gateway.app import create_app, load_settings
from gateway.callers.callers import Token
from gateway.settings import SETTINGS, JwtSettings, Settings, SettingsError, WebhookSettings, misspelt
from gateway.source.lifetimes import Lifetimes
from gateway.twilio.transport import Credentials

ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "a-secret-token"}
CREDENTIALS = Credentials(*ACCOUNT.values())
IS, IS2 = "IS" + "0" * 32, "IS" + "1" * 32
KEY = {"TWILIO_API_KEY": "SK" + "0" * 32, "TWILIO_API_SECRET": "another-secret"}

JWT = {
    "GATEWAY_JWKS_URL": "https://keys.test",
    "GATEWAY_JWT_ISSUER": "issuer",
    "GATEWAY_JWT_AUDIENCE": "audience",
}


def test_defaults_are_those_of_the_table() -> None:
    settings = Settings.load(ACCOUNT)
    assert settings == Settings(credentials=settings.credentials)
    assert (settings.credentials.username, settings.credentials.secret) == tuple(ACCOUNT.values())


def test_an_api_key_goes_before_the_auth_token() -> None:
    assert Settings.load(ACCOUNT | KEY).credentials.username == KEY["TWILIO_API_KEY"]


def test_secrets_may_be_in_files(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-secret-token\n")
    settings = Settings.load({"TWILIO_ACCOUNT_SID": ACCOUNT["TWILIO_ACCOUNT_SID"], "TWILIO_AUTH_TOKEN_FILE": str(file)})
    assert settings.credentials.secret == "a-secret-token"


def test_every_setting_is_read() -> None:
    settings = Settings.load(
        ACCOUNT
        | {
            "GATEWAY_UPSTREAM_URL": "http://127.0.0.1:1/",
            "GATEWAY_TOKENS": f"ann:a-token-of-some-length, bob:b-token-of-some-length:{IS}|{IS2},",
            "GATEWAY_CORS_ORIGINS": "https://app.example.com, http://localhost:5173",
            "GATEWAY_JWKS_URL": "https://issuer.example.com/keys",
            "GATEWAY_JWT_ISSUER": "https://issuer.example.com",
            "GATEWAY_JWT_AUDIENCE": "receipts",
            "GATEWAY_JWT_ALGORITHMS": "ES256",
            "GATEWAY_JWT_SERVICES_CLAIM": "services",
            "GATEWAY_WEBHOOK_URL": "https://hooks.example.com/webhooks/twilio",
            "GATEWAY_RECONCILE_SECONDS": "0",
            "GATEWAY_RECONCILE_MESSAGES": "20",
            "GATEWAY_COST_MAX": "100",
            "GATEWAY_COST_LIMIT": "50",
            "GATEWAY_DEADLINE": "2.5",
            "GATEWAY_DRAIN_SECONDS": "7.5",
            "GATEWAY_MAX_OPERATIONS": "7",
            "GATEWAY_CALLER_BUDGET": "60",
            "GATEWAY_UPSTREAM_TIMEOUT": "1",
            "GATEWAY_UPSTREAM_CONCURRENCY": "5",
            "GATEWAY_TRANSPORT": "aiohttp",
            "GATEWAY_CACHE_BYTES": "0",
            "GATEWAY_TTL_MESSAGES": "0.5",
            "GATEWAY_TRUSTED_DOCUMENTS": " web/persisted-documents.json, ios/,",
            "GATEWAY_TRUSTED_ONLY": "1",
            "GATEWAY_INTROSPECTION": "0",
            "GATEWAY_GRAPHIQL": "0",
            "GATEWAY_LOG_LEVEL": "debug",
        }
    )
    assert settings == Settings(
        credentials=settings.credentials,
        upstream_url="http://127.0.0.1:1",
        tokens={
            "ann": Token("a-token-of-some-length"),
            "bob": Token("b-token-of-some-length", frozenset({IS, IS2})),
        },
        webhook=WebhookSettings(
            url="https://hooks.example.com/webhooks/twilio",
            auth_token=ACCOUNT["TWILIO_AUTH_TOKEN"],
            account_sid=ACCOUNT["TWILIO_ACCOUNT_SID"],
        ),
        reconcile_seconds=0.0,
        reconcile_messages=20,
        cors_origins=frozenset({"https://app.example.com", "http://localhost:5173"}),
        jwt=JwtSettings(
            jwks_url="https://issuer.example.com/keys",
            issuer="https://issuer.example.com",
            audience="receipts",
            algorithms=("ES256",),
            services_claim="services",
        ),
        cost_max=100,
        cost_limit=50,
        deadline=2.5,
        drain_seconds=7.5,
        max_operations=7,
        caller_budget=60,
        upstream_timeout=1.0,
        upstream_concurrency=5,
        transport="aiohttp",
        cache_bytes=0,
        lifetimes=Lifetimes(messages=0.5),
        trusted_documents=(Path("web/persisted-documents.json"), Path("ios")),
        trusted_only=True,
        introspection=False,
        graphiql=False,
        log_level="debug",
    )
    assert "a-secret" not in repr(settings)
    assert "some-length" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or"),
        ({"TWILIO_ACCOUNT_SID": ACCOUNT["TWILIO_ACCOUNT_SID"]}, "TWILIO_AUTH_TOKEN"),
        ({"TWILIO_API_KEY": KEY["TWILIO_API_KEY"]}, "TWILIO_API_SECRET"),
        ({"TWILIO_API_SECRET": "x"}, "TWILIO_API_KEY"),
        (ACCOUNT | {"TWILIO_ACCOUNT_SID": "AC1"}, "TWILIO_ACCOUNT_SID: must be AC"),
        (ACCOUNT | {"TWILIO_AUTH_TOKEN": "a b"}, "TWILIO_AUTH_TOKEN: must have no spaces"),
        (ACCOUNT | {"TWILIO_AUTH_TOKEN_FILE": "/x"}, "TWILIO_AUTH_TOKEN_FILE: is set in addition to"),
        ({"TWILIO_ACCOUNT_SID": ACCOUNT["TWILIO_ACCOUNT_SID"], "TWILIO_AUTH_TOKEN_FILE": "/no/such"}, "cannot read"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_URL": "twilio.com"}, "GATEWAY_UPSTREAM_URL: must be an https address"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_URL": "HTTP://twilio.test"}, "plain http"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_URL": " http://twilio.test"}, "plain http"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_URL": "https://127.0.0.1:99999"}, "must be an https address"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_URL": "https://127.0.0.1:abc"}, "must be an https address"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_URL": "https://.invalid..x"}, "must be an https address"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_URL": "https://twilio.test/v1"}, "/v1 is added"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_URL": "https://twilio.test?x=1"}, "no path"),
        (ACCOUNT | {"GATEWAY_TOKENS": "ann:0123456789abcdéf"}, "16 characters"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_URL": "http://twilio.test"}, "plain http"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_URL": "https://a:b@twilio.test"}, "must be an https address"),
        (ACCOUNT | {"GATEWAY_DEADLINE": "soon"}, "GATEWAY_DEADLINE: must be a number"),
        (ACCOUNT | {"GATEWAY_DEADLINE": "nan"}, "GATEWAY_DEADLINE: must be a number"),
        (ACCOUNT | {"GATEWAY_DRAIN_SECONDS": "-1"}, "GATEWAY_DRAIN_SECONDS: must be a number of seconds from 0"),
        (ACCOUNT | {"GATEWAY_DRAIN_SECONDS": "nan"}, "GATEWAY_DRAIN_SECONDS: must be a number"),
        (ACCOUNT | {"GATEWAY_UPSTREAM_CONCURRENCY": "0"}, "must be a whole number"),
        (ACCOUNT | {"GATEWAY_GRAPHIQL": "yes"}, "must be 0 or 1"),
        (ACCOUNT | {"GATEWAY_LOG_LEVEL": "loud"}, "must be debug"),
        (ACCOUNT | {"GATEWAY_TOKENS": "ann"}, "GATEWAY_TOKENS: must be name:token"),
        (ACCOUNT | {"GATEWAY_TOKENS": "ann:short"}, "16 characters"),
        (ACCOUNT | {"GATEWAY_TOKENS": "ann:0123456789abcdef:"}, "limits ann to something"),
        (ACCOUNT | {"GATEWAY_TOKENS": f"ann:0123456789abcdef:{IS}|CH1"}, "limits ann to something"),
        (ACCOUNT | {"GATEWAY_CORS_ORIGINS": "*"}, "GATEWAY_CORS_ORIGINS: must be origins"),
        (ACCOUNT | {"GATEWAY_CORS_ORIGINS": "https://a.test/x"}, "must be origins"),
        (ACCOUNT | {"GATEWAY_JWKS_URL": "http://keys.test"}, "GATEWAY_JWKS_URL: must be an https address"),
        (ACCOUNT | {"GATEWAY_JWKS_URL": "https://keys.test"}, "GATEWAY_JWT_ISSUER and GATEWAY_JWT_AUDIENCE"),
        (ACCOUNT | JWT | {"GATEWAY_JWT_KEY": "x"}, "set in addition to"),
        (ACCOUNT | JWT | {"GATEWAY_JWT_ALGORITHMS": "none"}, "must be some of"),
        (ACCOUNT | JWT | {"GATEWAY_JWT_ALGORITHMS": "HS256"}, "HS algorithms need a GATEWAY_JWT_KEY"),
        (
            ACCOUNT
            | JWT
            | {"GATEWAY_JWKS_URL": "", "GATEWAY_JWT_KEY": "k" * 32, "GATEWAY_JWT_ALGORITHMS": "HS256,RS256"},
            "cannot be combined",
        ),
        (
            ACCOUNT | JWT | {"GATEWAY_JWKS_URL": "", "GATEWAY_JWT_KEY": "short", "GATEWAY_JWT_ALGORITHMS": "HS256"},
            "32 characters",
        ),
        (ACCOUNT | {"GATEWAY_TOKENS": "a:0123456789abcdef,a:1123456789abcdef"}, "twice"),
        (ACCOUNT | {"GATEWAY_TRANSPORT": "fast"}, "GATEWAY_TRANSPORT: must be httptools or aiohttp"),
        (
            ACCOUNT | {"GATEWAY_CALLER_BUDGET": "0000000002000000"},
            "GATEWAY_CALLER_BUDGET: must be a whole number up to",
        ),
        (ACCOUNT | {"GATEWAY_COST_LIMIT": "9" * 5000}, "GATEWAY_COST_LIMIT: must be a whole number from 1"),
        (
            ACCOUNT | {"GATEWAY_MAX_OPERATIONS": "1", "GATEWAY_QUEUE": "2"},
            "GATEWAY_MAX_OPERATIONS: differs from its alias GATEWAY_QUEUE",
        ),
        (ACCOUNT | {"GATEWAY_QUEUE": "0"}, "GATEWAY_QUEUE: must be a whole number"),
        (ACCOUNT | {"GATEWAY_TRUSTED_ONLY": "1"}, "GATEWAY_TRUSTED_ONLY: needs GATEWAY_TRUSTED_DOCUMENTS"),
        (
            ACCOUNT | {"GATEWAY_TRUSTED_ONLY": "1", "GATEWAY_TRUSTED_DOCUMENTS": " , "},
            "needs GATEWAY_TRUSTED_DOCUMENTS",
        ),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ)
    (problem,) = caught.value.problems
    assert words in problem
    assert "a-secret-token" not in problem
    assert "\n" not in problem


def test_every_problem_has_its_line() -> None:
    environ = {"GATEWAY_DEADLINE": "x", "GATEWAY_GRAPHIQL": "x", "GATEWAY_TRUSTED_DOCUMENTS": "/no/a, /no/b"}
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert [problem.partition(" ")[0] for problem in caught.value.problems] == [
        "GATEWAY_DEADLINE:",
        "GATEWAY_GRAPHIQL:",
        "Missing:",
        "GATEWAY_TRUSTED_DOCUMENTS:",
        "GATEWAY_TRUSTED_DOCUMENTS:",
    ]
    assert caught.value.problems[3] == ("GATEWAY_TRUSTED_DOCUMENTS: /no/a: cannot be read (No such file or directory).")


def test_documents_come_with_the_settings_that_name_them(tmp_path: Path) -> None:
    manifest = tmp_path / "persisted-documents.json"
    manifest.write_text('{"an-id": "{ __typename }"}')
    settings, documents = load_settings(ACCOUNT | {"GATEWAY_TRUSTED_DOCUMENTS": str(manifest)})
    assert settings.trusted_documents == (manifest,)
    assert documents == {"an-id": "{ __typename }"}
    manifest.write_text('{"an-id": "{ nope }"}')
    with pytest.raises(SettingsError, match=r"GATEWAY_TRUSTED_DOCUMENTS: .*Cannot query field 'nope'"):
        create_app(settings)


@pytest.mark.parametrize(
    ("environ", "settings"),
    [
        ({"GATEWAY_QUEUE": "7"}, {"max_operations": 7}),
        ({"GATEWAY_QUEUE": "7", "GATEWAY_MAX_OPERATIONS": "7"}, {"max_operations": 7}),
        ({"GATEWAY_QUEUE": "", "GATEWAY_MAX_OPERATIONS": "7"}, {"max_operations": 7}),
        ({"GATEWAY_TRANSPORT": "lean"}, {"transport": "httptools"}),
    ],
)
def test_an_alias_means_what_the_name_means(environ: dict[str, str], settings: dict[str, Any]) -> None:
    assert Settings.load(ACCOUNT | environ) == Settings(credentials=CREDENTIALS, **settings)


def test_aliases_are_described() -> None:
    described = {setting.env: setting.description for setting in SETTINGS}
    assert described["GATEWAY_MAX_OPERATIONS"].endswith(" Alias: `GATEWAY_QUEUE`.")
    assert described["GATEWAY_TRANSPORT"].endswith(" `lean` is an alias of `httptools`.")
    assert described["TWILIO_AUTH_TOKEN"].endswith(" Also `_FILE`.")
    assert misspelt({"GATEWAY_QUEUE": "7", "GATEWAY_QUEU": "7"}) == [("GATEWAY_QUEU", "GATEWAY_QUEUE")]


def test_settings_can_be_made_in_python() -> None:
    settings = Settings(credentials=CREDENTIALS, upstream_url="http://127.0.0.1:1/")
    assert settings.upstream_url == "http://127.0.0.1:1"
    assert not settings.requires_token
    assert Settings(credentials=CREDENTIALS, tokens={"ann": Token("a-token-of-some-length")}).requires_token
    with pytest.raises(
        SettingsError, match="upstream_url: must be an https address, since secrets must not be sent over plain"
    ):
        Settings(credentials=CREDENTIALS, upstream_url="http://twilio.test")


def test_how_jwts_are_verified_is_checked_in_python_too() -> None:
    with pytest.raises(SettingsError, match="HS algorithms need a GATEWAY_JWT_KEY"):
        JwtSettings(jwks_url="https://keys.test", issuer="a", audience="b", algorithms=("RS256", "HS256"))
    with pytest.raises(SettingsError, match="must be some of"):
        JwtSettings(jwks_url="https://keys.test", issuer="a", audience="b", algorithms=("none",))
    with pytest.raises(SettingsError, match="GATEWAY_JWKS_URL: must be an https address"):
        JwtSettings(jwks_url="http://keys.test", issuer="a", audience="b")
    with pytest.raises(SettingsError, match="GATEWAY_JWKS_URL or GATEWAY_JWT_KEY is required"):
        JwtSettings(issuer="a", audience="b")


def test_each_setting_has_words() -> None:
    assert len({setting.env for setting in SETTINGS}) == len(SETTINGS)
    assert all(setting.help.endswith(".") for setting in SETTINGS)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_what_is_open_to_others(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
