"""One file per `headcode WORD`: parse options, call headless, print through output.

May import: app, headless, output, settings, actions, terminal.
"""
