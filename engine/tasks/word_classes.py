"""Small classes of interchangeable words, beside those of words.py."""

# ruff: noqa: SIM905  (words read better as text than as a hundred quoted strings)

COUNTRIES = tuple(
    "France Spain Italy Germany Japan China India Canada Mexico Egypt Greece Norway Sweden Brazil".split()
)
CITIES = tuple("Paris London Rome Berlin Madrid Vienna Moscow Tokyo Boston Chicago Dublin Athens Oslo Cairo".split())
DAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
MONTHS = tuple(
    "January February March April May June July August September October November December".split(),
)
COLOURS = tuple("red blue green black white yellow brown grey pink orange".split())
ANIMALS = tuple("dog cat horse bird fish cow sheep pig mouse lion bear wolf fox duck".split())
COUNTING = tuple("one two three four five six seven eight nine ten eleven twelve".split())

SMALL = frozenset(
    """a an the and or but if then than to of in on at by for with from as is are was were be been it its he she they
    his her their this that these those had has have do did not no so when while after before because who
    whom""".split()
)
"""Function words."""

# ---- words that are recognised in users' prompts, beside those the tasks use

WOMEN = tuple("woman girl mother sister daughter wife queen aunt".split())
MEN = tuple("man boy father brother son husband king uncle".split())
MORE_FEMALE = tuple("Ann Anne Ella Kim Lily Mia Sara Sue Zoe".split())
MORE_MALE = tuple("Alex Ben Bill Bob Jim Max Sam Ted Tim Tom".split())
CAPITALS = {
    "France": "Paris",
    "Spain": "Madrid",
    "Italy": "Rome",
    "Germany": "Berlin",
    "Japan": "Tokyo",
    "China": "Beijing",
    "Canada": "Ottawa",
    "Egypt": "Cairo",
    "Greece": "Athens",
    "Norway": "Oslo",
    "Sweden": "Stockholm",
}
"""Countries with their capitals, which change together."""
