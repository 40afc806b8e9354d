"""Key bindings made from action tables, with the user's keys."""

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingsMap, BindingType
from textual.widget import Widget

from tui.actions import Action, with_own_keys
from tui.terminal.textual_private import class_bindings, set_bindings
from tui.widgets.error_boundary import MessageErrorBoundary


class ActionKeys(MessageErrorBoundary, Widget):
    """Base of screens and widgets with a table of actions, `actions = ACTIONS`: its default keys become their BINDINGS.

    A class names it after its other base: Textual takes the CSS of the first one.
    """

    actions: ClassVar[Sequence[Action]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        # Keys that are typed before the node is mounted need bindings of the class.
        if "actions" in cls.__dict__:
            cls.BINDINGS = make_bindings(cls.actions)
        super().__init_subclass__(**options)

    @property
    def bound_actions(self) -> Sequence[Action]:
        """The actions of this node, with the user's keys."""
        return with_own_keys(self.app, self.actions)

    def _on_mount(self, _event: events.Mount) -> None:
        # Textual calls this handler of every class, so subclasses can still define on_mount.
        self.apply_keys()

    def apply_keys(self) -> None:
        """Bind the keys of `bound_actions`, and keep Textual's own bindings, which have no id."""
        merged = class_bindings(self)
        found = BindingsMap() if merged is None else merged.copy()
        for key, bindings in list(found.key_to_bindings.items()):
            found.key_to_bindings[key] = [each for each in bindings if each.id is None]
        for key, binding in BindingsMap(make_bindings(self.bound_actions)):
            found.key_to_bindings[key] = [binding]
        set_bindings(self, found)


def default_key(program: object, actions: Sequence[Action], key: str) -> str:
    """Translate a pressed key to the default key of its action; "" if the user gave the key to nothing.

    A key of no action is returned unchanged. For widgets that handle keys themselves.
    """
    for usual, own in zip(actions, with_own_keys(program, actions), strict=True):
        if key in own.keys:
            return key if key in usual.keys else usual.keys[0]
    return "" if any(key in usual.keys for usual in actions) else key


def make_bindings(actions: Sequence[Action]) -> list[BindingType]:
    """Return Textual bindings for a table of actions."""
    return [
        Binding(",".join(action.keys), action.call, action.title, id=action.full_id, tooltip=action.tooltip, show=False)
        for action in actions
    ]
