"""Keys from the tables of actions: a screen or a widget answers to those its person chose."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingsMap, BindingType

from tui.actions import Action, with_own_keys
from tui.widgets.error_boundary import MessageErrorBoundary

if TYPE_CHECKING:
    from textual.dom import DOMNode as Base
else:
    Base = object


class ActionKeys(MessageErrorBoundary, Base):
    """Mixed into screens and widgets that have a table of actions; BINDINGS holds the same under its first keys."""

    actions: ClassVar[Sequence[Action]] = ()

    @property
    def bound_actions(self) -> Sequence[Action]:
        """What can be done here, under the keys the person chose."""
        return with_own_keys(self.app, self.actions)

    def _on_mount(self, _event: events.Mount) -> None:
        # Textual calls this of every class; as on_mount it would forbid its heirs one of their own kind.
        self.apply_keys()

    def apply_keys(self) -> None:
        """Answers to the keys of `at_hand` from now on, and to what Textual binds without our ids."""
        merged = type(self)._merged_bindings
        found = BindingsMap() if merged is None else merged.copy()
        for key, bindings in list(found.key_to_bindings.items()):
            found.key_to_bindings[key] = [each for each in bindings if each.id is None]
        for key, binding in BindingsMap(make_bindings(self.bound_actions)):
            found.key_to_bindings[key] = [binding]
        self._bindings = found


def default_key(program: object, actions: Sequence[Action], key: str) -> str:
    """The first key the pressed one's action has in the table; itself where it is nobody's, "" where it was given away.

    For widgets that deal with keys themselves.
    """
    for usual, own in zip(actions, with_own_keys(program, actions), strict=True):
        if key in own.keys:
            return key if key in usual.keys else usual.keys[0]
    return "" if any(key in usual.keys for usual in actions) else key


def make_bindings(actions: Sequence[Action]) -> list[BindingType]:
    """A table of actions as Textual wants it."""
    return [
        Binding(",".join(action.keys), action.call, action.title, id=action.full_id, tooltip=action.tooltip, show=False)
        for action in actions
    ]
