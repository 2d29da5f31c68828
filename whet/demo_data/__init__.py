"""Bundled demo data: customer messages with one of eight intents."""
