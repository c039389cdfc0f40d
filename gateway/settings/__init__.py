"""The settings: `table` names the environment variables, `parsing` reads their texts, and `values` holds the results.

A value is checked here as far as its text goes. The trusted documents, which need the schema, are read by `gateway.app`.
"""

from gateway.settings.table import SETTINGS, Setting, misspelt
from gateway.settings.values import JwtSettings, Settings, SettingsError, WebhookSettings

__all__ = ["SETTINGS", "JwtSettings", "Setting", "Settings", "SettingsError", "WebhookSettings", "misspelt"]
