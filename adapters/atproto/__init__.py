"""The AT Protocol adapter."""
