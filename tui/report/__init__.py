"""Reports of runs for people who have never seen Headcode: content (blocks), and its formats, HTML and Markdown.

sections.py lists what a run's report contains; a section of another kind is a function that returns a Section.
May import: headless, replay, editor, connection, state, settings, output, actions, themes, terminal.
"""
