"""config.toml: the table of settings, their values, and what the screen remembers.

May import: themes.
"""
