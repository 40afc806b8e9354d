"""The Textual application, its launchers, crash guard, film and replay apps.

May import: screens, plain and all below.
"""
