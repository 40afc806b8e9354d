"""`headcode keys`: the keys of the screen, as a keys.toml to begin with."""

from tui.options import JsonOption


def keys(as_json: JsonOption = False) -> None:
    """List the keys of the workbench as they are for you: a valid keys.toml, to be changed and saved.

    With --json also the path of that file.
    """
    from engine.places import find_places
    from tui.actions import ACTIONS
    from tui.keymap import keys_text, read_keys, with_keys
    from tui.output import narrate, print_json, print_line

    path = find_places().keys
    actions = with_keys(ACTIONS, read_keys(path))
    if as_json:
        listed = [
            {"id": each.id, "keys": each.keys, "title": each.title, "does": each.tooltip, "group": each.group}
            for each in actions
        ]
        print_json({"schema": "headcode.keys/1", "file": str(path), "keys": listed})
        return
    narrate(f"Yours are read from {path}" + ("." if path.exists() else " (not there yet)."))
    for line in keys_text(actions).splitlines():
        print_line(line)
