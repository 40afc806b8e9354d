"""`headcode keys`: print the keys of every screen as a keys.toml."""

from tui.output.cli_options import JsonOption


def keys(as_json: JsonOption = False) -> None:
    """List the current keys of every screen as a valid keys.toml, to edit and save.

    Errors in your keys.toml are printed with their lines, and the exit code is 2; the screens start anyway. --json also
    gives the path of that file.
    """
    from engine.machine.folders import find_folders
    from tui.actions.keymap import keys_text, load_keys, with_keys
    from tui.actions.registry import all_tables
    from tui.output.console import narrate, print_json, print_line

    path = find_folders().keys
    own = load_keys(path)
    tables = {name: with_keys(actions, own.keys) for name, actions in all_tables().items()}
    if as_json:
        listed = [
            {
                "screen": name,
                "id": each.id,
                "keys": each.keys,
                "title": each.title,
                "does": each.tooltip,
                "group": each.group,
            }
            for name, actions in tables.items()
            for each in actions
        ]
        problems = [{"message": problem.message, "hint": problem.hint} for problem in own.problems]
        print_json({"schema": "headcode.keys/1", "file": str(path), "keys": listed, "problems": problems})
    else:
        narrate(f"Your own keys are read from {path}" + ("." if path.exists() else " (does not exist yet)."))
        for line in keys_text(tables).splitlines():
            print_line(line)
    for problem in own.problems[1:]:
        narrate(f"{problem.message} {problem.hint}")
    if own.problems:
        raise own.problems[0]
