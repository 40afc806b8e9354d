"""config.toml: table, values, what is remembered.

May import: themes.
"""
