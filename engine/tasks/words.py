"""Words the tasks draw from; each task uses those that are one token for the model."""

# ruff: noqa: SIM905  (words read better as text than as a hundred quoted strings)

FEMALE = tuple(
    """Mary Sarah Anna Emma Alice Laura Julia Susan Karen Linda Nancy Helen Maria Rachel Emily Jennifer Jessica Lisa
    Michelle Kate Jane Rebecca Amanda Nicole Amy Elizabeth Katie Diana Grace Margaret Barbara Patricia Melissa
    Stephanie Angela Christine Heather Kelly Julie Lucy Sophie Claire Victoria Catherine Charlotte Ruth Olivia
    Hannah Samantha Megan Rose Martha Carol Sandra Donna Sharon Betty Dorothy Ellen Joan Judith Eva Clara Sally
    Jenny Wendy Eleanor Caroline Natalie Vanessa Kathleen Deborah""".split()
)
"""Names that most English text refers to as `she`; the common ones first."""

MALE = tuple(
    """John James Robert Michael William David Richard Thomas Charles Daniel Matthew Anthony Mark Paul Steven Andrew
    George Kevin Brian Edward Peter Henry Jack Adam Frank Scott Eric Stephen Joseph Simon Jonathan Larry Justin
    Brandon Benjamin Samuel Gregory Patrick Alexander Dennis Jerry Aaron Nathan Douglas Kyle Walter Arthur Albert
    Joe Roger Keith Jeremy Harold Carl Gerald Lawrence Ralph Roy Louis Philip Johnny Bobby Howard Fred Martin Harry
    Jason Oliver Luke Josh Jacob Dave""".split()
)
"""Names that most English text refers to as `he`; the common ones first."""

NEUTRAL = tuple("someone everyone somebody everybody anyone nobody".split())
"""Words in place of a name that do not reveal gender."""

OBJECTS = tuple(
    """book ring ball drink letter basket bottle camera cup flower gift key lamp map necklace pen phone picture plate
    radio sandwich shirt snack watch toy box bag coin card hat knife mirror paper pillow ticket toolbox bone computer
    kiss message""".split()
)
"""Things to give; each takes the article `a`."""

PLACES = tuple(
    """store garden school park station house office market library hospital restaurant museum church beach farm hotel
    kitchen bridge theater airport bank castle harbor village gym zoo stadium factory""".split()
)

ROLES = tuple(
    """friend teacher doctor cook singer neighbor leader dancer writer student driver painter player boss lawyer
    manager parent runner scientist speaker""".split()
)
"""Gender-neutral roles; each takes the article `a`."""

EVENTS = tuple(
    """war siege trial project journey reign contract plan program conflict strike study voyage expedition campaign
    famine drought treaty festival marriage debate mission career fight""".split()
)
"""Things that last for years."""

ARGUMENTS = tuple(
    """path name value size files data index mode text line group order key state file message result count level type
    start end color width height target source model option user password host port query table field limit
    offset format label item node parent output input buffer token event filter image frame page date time task
    method number list code version address channel style title status object""".split()
)
"""Common argument names."""

FUNCTIONS = tuple("load save update create find check build send read write open parse move copy merge".split())

NOUNS = tuple(
    """river stone lamp cloud apple chair window horse table garden music paper forest winter silver engine doctor
    market bottle bridge mountain island village summer flower kitchen water door bread road tree bird fish ship gold
    fire snow wind moon star rain sand glass wood iron salt milk hand heart shoe coat king queen soldier farmer child
    mother father sister brother morning evening night dream song dance story letter picture clock train wheel boat
    wall floor roof tower church school hospital station field lake ocean beach desert valley hill grass leaf seed
    fruit sugar coffee butter cheese meat rice egg cup plate knife spoon pen pencil book page map flag coin ring
    crown sword shield rope wire tool box bag basket""".split()
)
"""Plain nouns for random lists."""
