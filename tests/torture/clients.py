"""A client that writes, and records the answers it got."""

import asyncio
import random
from collections import Counter
from contextlib import aclosing
from pathlib import Path

from engine.config import ProbeConfig, SAEConfig
from engine.errors import HeadcodeError
from engine.examples import Example
from sessions.client.connection import HostClient
from sessions.errors import HostError, Refusal
from sessions.protocol import (
    CancelRun,
    CreateSession,
    Done,
    GetStatus,
    QueueRun,
    RunAnswer,
    SessionAnswer,
    SetExamples,
    StatusAnswer,
)

from .commands import host_command, places_of
from .journal import Journal, read_journal, sum_of

MODELS = ("toy", "toy", "many:200", "large:12", "killed", "segfault", "wait")
PACE_S = 0.02


class Client:
    """A client that runs until it is killed; restarted, it continues from its journal."""

    def __init__(self, home: Path, number: int, seed: int, real_worker: bool) -> None:
        self.places, self.number = places_of(home), number
        self.chance = random.Random(seed)
        self.command = host_command(real_worker)
        self.models = ("toy",) if real_worker else MODELS
        path = home / f"journal-{number}"
        before = read_journal(path)
        self.life = sum(line[0] == "born" for line in before)
        self.runs: list[str] = []
        self.sessions = [line[2] for line in before if line[0] == "made"]
        self.output: Counter[str] = Counter()
        if self.chance.random() < 0.5:  # otherwise it reads everything again
            for line in before:
                if line[0] == "told":
                    self.output[line[1]] = max(self.output[line[1]], line[2])
        self.journal = Journal(path)
        self.journal.note("born", self.life)
        self.count = 0

    def token(self) -> str:
        self.count += 1
        return f"token {self.number}.{self.life}.{self.count}"

    async def live(self) -> None:
        while True:
            try:
                async with await HostClient.connect(self.places, timeout_s=30, command=self.command) as client:
                    await self._work(client)
            except Refusal as refusal:
                if refusal.failure.family == "store":
                    self.journal.note("store", refusal.message)
            except HostError:
                pass  # killed, or another client is starting a host: what this test is about
            except HeadcodeError as error:
                self.journal.note("store", f"{type(error).__name__}: {error.message}")
            await asyncio.sleep(PACE_S)

    async def _work(self, client: HostClient) -> None:
        if not self.sessions:
            token = self.token()
            made = await client.ask(CreateSession(name=token, model="toy", task="ioi", pairs=2), SessionAnswer)
            self.journal.note("made", token, made.session.session_id)
            self.sessions.append(made.session.session_id)
        # Its own session, and the first one's: several clients follow the same session.
        followed = {self.chance.choice(self.sessions), self.sessions[0]}
        listening = [asyncio.create_task(self._listen(client, session)) for session in followed]
        try:
            while True:
                await self._write(client)
                for task in listening:
                    if task.done():
                        await task
                await asyncio.sleep(self.chance.random() * PACE_S)
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def _write(self, client: HostClient) -> None:
        session, token = self.chance.choice(self.sessions), self.token()
        draw = self.chance.random()
        if draw < 0.03:
            made = await client.ask(CreateSession(name=token, model="toy", task="ioi", pairs=2), SessionAnswer)
            self.journal.note("made", token, made.session.session_id)
            self.sessions.append(made.session.session_id)
        elif draw < 0.08 and self.runs:
            run_id = self.chance.choice(self.runs)
            await client.ask(CancelRun(run=run_id, force=self.chance.random() < 0.3), Done)
        elif draw < 0.25:
            waiting = (await client.ask(GetStatus(), StatusAnswer)).status.queued
            if waiting < 8:
                config = ProbeConfig(seeds=(0,), sae=SAEConfig(steps=40), shuffles=0)
                asked = QueueRun(session=session, model=self.chance.choice(self.models), config=config)
                run = (await client.ask(asked, RunAnswer)).run
                self.journal.note("queued", run.session_id, run.run_id)
                self.runs = [*self.runs[-5:], run.run_id]
        else:
            sides = ("positive", "negative")
            examples = tuple(Example(prompt=f"{token} {side} end", polarity=side) for side in sides)
            await client.ask(SetExamples(session=session, examples=examples), SessionAnswer)
            self.journal.note("set", session, token)

    async def _listen(self, client: HostClient, session: str) -> None:
        async with aclosing(client.follow(session, after_seq=self.output[session])) as batches:
            async for batch in batches:
                for entry in batch:
                    if entry.seq != self.output[session] + 1:
                        self.journal.note("gap", session, self.output[session], entry.seq)
                    self.output[session] = entry.seq
                    self.journal.note("told", session, entry.seq, sum_of(entry))
