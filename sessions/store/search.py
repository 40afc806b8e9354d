"""Search sessions by words in names, tags, notes, prompts, models and tasks."""

from sessions.errors import BadName
from sessions.rows import SearchHit, SearchMatch, SessionRow
from sessions.store.database import Store
from sessions.store.queries import session_rows

MAX_TEXT = 200
MAX_WORDS = 8
_AROUND = 28
"""Characters of context on either side of a match."""
_WEIGHTS = {"name": 8.0, "tag": 6.0, "run": 5.0, "task": 3.0, "model": 3.0, "note": 2.0, "prompt": 1.0}

# One row for each session and kind of place: the first text that matches, and the number of matches.
_SQL = """
WITH living AS (SELECT session_id, name, model, task, examples_version FROM session WHERE trashed_us IS NULL),
     word AS (SELECT lower(strip_accents($word)) AS it),
     prompt AS (SELECT content_hash, min_by(prompt, position) AS text, count(*) AS n
                FROM example, word WHERE contains(lower(strip_accents(prompt)), it) GROUP BY content_hash)
SELECT session_id, 'name', name, 1 FROM living, word WHERE contains(lower(strip_accents(name)), it)
UNION ALL
SELECT session_id, 'model', model, 1 FROM living, word WHERE contains(lower(strip_accents(model)), it)
UNION ALL
SELECT session_id, 'task', task, 1 FROM living, word WHERE contains(lower(strip_accents(task)), it)
UNION ALL
SELECT session_id, 'tag', min(tag), count(*) FROM tag JOIN living USING (session_id), word
WHERE contains(strip_accents(tag), it) GROUP BY session_id
UNION ALL
SELECT session_id, 'note', max_by(text, (written_us, note_id)), count(*) FROM note JOIN living USING (session_id), word
WHERE contains(lower(strip_accents(text)), it) GROUP BY session_id
UNION ALL
SELECT session_id, 'run', max_by(r.name, r.number), count(*) FROM run AS r JOIN living USING (session_id), word
WHERE contains(lower(strip_accents(r.name)), it) OR contains(strip_accents(r.tags), it) GROUP BY session_id
UNION ALL
SELECT l.session_id, 'prompt', p.text, p.n FROM living AS l
JOIN example_set AS e ON e.session_id = l.session_id AND e.version = l.examples_version
JOIN prompt AS p ON p.content_hash = e.content_hash
"""


def search_sessions(store: Store, text: str, *, limit: int) -> list[SearchHit]:
    """Return the sessions that contain every word, the best match first.

    Raises BadName for no words, or too many.
    """
    words = text.split()
    if not words:
        raise BadName("The search is empty.", hint="Give a word or two: headcode sessions search ioi")
    if len(text) > MAX_TEXT or len(words) > MAX_WORDS:
        raise BadName(
            f"{len(words)} words of {len(text)} characters are too much to search for.",
            hint=f"At most {MAX_WORDS} words and {MAX_TEXT} characters.",
        )
    found: list[dict[str, dict[str, tuple[str, int]]]] = []
    common: set[str] | None = None
    for word in dict.fromkeys(words):
        places: dict[str, dict[str, tuple[str, int]]] = {}
        for session_id, where, piece, n in store.rows(_SQL, {"word": word}):
            places.setdefault(session_id, {})[where] = (piece, n)
        found.append(places)
        common = set(places) if common is None else common & set(places)
        if not common:
            return []
    assert common is not None
    rows = session_rows(store, sorted(common))
    order = sorted(
        common, key=lambda one: (-_score(rows[one], text, [p[one] for p in found]), -rows[one].updated_us, one)
    )
    best = order[: max(0, min(limit, 10_000))]
    return [SearchHit(session=rows[one], matches=_matches(words, [places[one] for places in found])) for one in best]


def _score(row: SessionRow, text: str, places: list[dict[str, tuple[str, int]]]) -> float:
    """Return how well a session matches: the best place of each word; names that equal or begin with the text first."""
    best = sum(max(_WEIGHTS[where] for where in of_word) for of_word in places)
    name, whole = row.name.casefold(), " ".join(text.split()).casefold()
    return best + (100 if name == whole or whole in row.tags else 50 if name.startswith(whole) else 0)


def _matches(words: list[str], places: list[dict[str, tuple[str, int]]]) -> tuple[SearchMatch, ...]:
    """Return where the words were found, each kind of place once."""
    seen: dict[str, SearchMatch] = {}
    for word, of_word in zip(dict.fromkeys(words), places, strict=True):
        for where in sorted(of_word, key=lambda each: -_WEIGHTS[each]):
            text, n = of_word[where]
            seen.setdefault(where, SearchMatch(where=where, text=excerpt(text, word), more=n - 1))
    return tuple(sorted(seen.values(), key=lambda match: -_WEIGHTS[match.where]))


def excerpt(text: str, word: str) -> str:
    """Return the text around the word on one line, with ... where something is left out."""
    line = " ".join(text.split())
    at = max(line.casefold().find(word.casefold()), 0)
    begin, end = max(0, at - _AROUND), min(len(line), at + len(word) + _AROUND)
    if begin <= 3:
        begin = 0
    elif line[begin - 1] != " " and (space := line.find(" ", begin, min(begin + 12, at))) >= 0:
        begin = space + 1
    return ("..." if begin else "") + line[begin:end] + ("..." if end < len(line) else "")
