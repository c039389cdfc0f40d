"""A GraphQL gateway over Twilio Conversations' service-scoped delivery receipts.

The Python API is what this module names:

- `create_app`: the gateway as an ASGI application, to serve or to mount
- `open_account`, `Account`, `Operation`: operations on a Twilio account, without HTTP
- `Settings`, `Credentials`, `Token`, `JwtSettings`, `WebhookSettings`, `Lifetimes`, `SettingsError`: the configuration of both
- `errors`: the errors in answers, and their codes
- `sandbox`: a simulated Twilio for tests
- `pytest_plugin`: fixtures over it

`receipts-gateway docs python` describes it. All else is internal, and may change with any version.

Importing this module imports nothing else of the package: a name is imported when it is first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gateway.version import __version__ as __version__

if TYPE_CHECKING:
    from typing import Any

    from gateway import errors, pytest_plugin, sandbox
    from gateway.accounts.account import Account
    from gateway.accounts.operation import Operation
    from gateway.app import create_app, open_account
    from gateway.callers.callers import Token
    from gateway.settings import JwtSettings, Settings, SettingsError, WebhookSettings
    from gateway.source.lifetimes import Lifetimes
    from gateway.twilio.transport import Credentials

__all__ = [
    "Account",
    "Credentials",
    "JwtSettings",
    "Lifetimes",
    "Operation",
    "Settings",
    "SettingsError",
    "Token",
    "WebhookSettings",
    "create_app",
    "errors",
    "open_account",
    "pytest_plugin",
    "sandbox",
]

_MODULES = {
    "Account": "gateway.accounts.account",
    "Credentials": "gateway.twilio.transport",
    "JwtSettings": "gateway.settings",
    "Lifetimes": "gateway.source.lifetimes",
    "Operation": "gateway.accounts.operation",
    "Settings": "gateway.settings",
    "SettingsError": "gateway.settings",
    "Token": "gateway.callers.callers",
    "WebhookSettings": "gateway.settings",
    "create_app": "gateway.app",
    "open_account": "gateway.app",
}
"""The modules of names that are not modules themselves."""


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # A type checker would accept every name.

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULES[name]), name) if name in _MODULES else import_module(f"gateway.{name}")
        globals()[name] = value
        return value
