"""What a host would say of the atlas of a model: none at first, then one that is made up, read in two parts."""

from typing import Any

from sessions.errors import NoSuchRecord
from sessions.protocol import AtlasAnswer, AtlasProgress, GetAtlas, GetOnPrompts, OnPrompts, ReadOn
from sessions.rows import AtlasRow, RunRow

from ..made_atlas import made_atlas, made_prompts
from .recorded import model_info

REQUESTS = (GetAtlas, ReadOn, GetOnPrompts)
TOTAL = 1000


class PretendedAtlas:
    def __init__(self) -> None:
        self.stored = False

    def answer(self, request: Any, run: RunRow) -> Any:
        info = model_info(6, 8)
        match request:
            case GetAtlas():
                if not self.stored:
                    raise NoSuchRecord("There is no atlas of it.", hint="Read one.")
                atlas = made_atlas(info)
                row = AtlasRow("a" * 64, info.name, info.name, info.identity, "english", "d" * 64, 13, 2, 1.5, 0, 99)
                return AtlasAnswer(row=row, atlas=atlas)
            case ReadOn():
                self.stored = self.stored or request.after > 0
                done = TOTAL if self.stored else 400
                return AtlasProgress(model=info, key="a" * 64, done=done, total=TOTAL, finished=self.stored)
            case GetOnPrompts():
                return OnPrompts(run=run, model=info, prompts=5, nodes=made_prompts(info))
        raise AssertionError(request)
