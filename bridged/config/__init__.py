"""bridge.yaml and the environment become typed settings; every error names the key and the line."""

from bridged.config.reading import ConfigError
from bridged.config.settings import (
    Answer,
    Bot,
    Consent,
    Egress,
    Listen,
    Log,
    Secret,
    Settings,
    adapter_config,
    check_networks,
    load,
)

__all__ = [
    "Answer",
    "Bot",
    "ConfigError",
    "Consent",
    "Egress",
    "Listen",
    "Log",
    "Secret",
    "Settings",
    "adapter_config",
    "check_networks",
    "load",
]
