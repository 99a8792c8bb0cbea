"""Articles for the sample: a seeded sentence generator and prose of the Python installation."""

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

Subject = dict[str, str]


def alternatives(text: str) -> list[str]:
    """Split "a|b c|d" into its alternatives."""
    return text.split("|")


def words_of(text: str) -> list[str]:
    """Split text at white space."""
    return text.split()


# agents and things are plural nouns, act is a verb in the base form that takes things as object.
SUBJECTS: dict[str, Subject] = {
    "bridges": {
        "agents": "engineers|masons|carpenters|surveyors|riggers|ferry keepers|builders|smiths",
        "things": "arches|piers|girders|cables|trusses|planks|towers|railings|joints|foundations",
        "stuff": "granite|mortar|timber|wrought iron|gravel|tar|limestone|rope",
        "tools": "cranes|levels|chisels|winches|plumb lines|mallets|callipers|scaffolds",
        "act": "measure|brace|raise|anchor|repair|test|span|load|inspect|widen",
        "place": "gorge|estuary|riverbank|harbour mouth|valley floor|toll house|quarry|causeway",
        "traits": "narrow|suspended|rusted|vaulted|slender|load-bearing|weathered|curved",
    },
    "bees": {
        "agents": "beekeepers|swarm catchers|orchard owners|biologists|candle makers|villagers",
        "things": "hives|combs|queens|swarms|drones|frames|colonies|larvae|workers|entrances",
        "stuff": "honey|pollen|wax|nectar|propolis|sugar syrup|smoke|royal jelly",
        "tools": "smokers|veils|brushes|extractors|wooden boxes|scales|gloves|strainers",
        "act": "watch|divide|feed|shelter|count|move|mark|protect|weigh|open",
        "place": "meadow|orchard|heath|clover field|garden wall|forest edge|terrace|barn",
        "traits": "wild|healthy|crowded|gentle|winter|golden|restless|sheltered",
    },
    "glass": {
        "agents": "glassblowers|apprentices|lens grinders|furnace keepers|chemists|collectors",
        "things": "bottles|lenses|panes|beads|goblets|tubes|mirrors|prisms|vases|lamps",
        "stuff": "quartz sand|potash|molten glass|lead oxide|soda ash|cobalt|ash|lime",
        "tools": "blowpipes|tongs|moulds|furnaces|shears|crucibles|polishing wheels|kilns",
        "act": "shape|cool|polish|colour|cut|heat|reheat|engrave|turn|melt",
        "place": "workshop|glasshouse|island|foundry|showroom|cooling room|market hall|cellar",
        "traits": "transparent|fragile|cloudy|coloured|thick|flawless|faceted|hollow",
    },
    "rivers": {
        "agents": "geographers|boatmen|anglers|ecologists|millers|flood wardens|hydrologists",
        "things": "currents|meanders|tributaries|sandbanks|otters|reeds|dams|eddies|springs|fish",
        "stuff": "silt|fresh water|mud|oxygen|driftwood|peat|algae|rain",
        "tools": "nets|gauges|punts|sounding lines|sample jars|waders|buoys|charts",
        "act": "map|follow|study|slow|cross|monitor|restore|divert|observe|photograph",
        "place": "delta|flood plain|weir|lowland|marsh|headwaters|lagoon|mill pond",
        "traits": "shallow|seasonal|muddy|swift|tidal|frozen|clear|winding",
    },
    "clocks": {
        "agents": "clockmakers|watchmakers|collectors|astronomers|museum guides|toolmakers",
        "things": "pendulums|springs|gears|dials|escapements|hands|bells|weights|watches|pivots",
        "stuff": "brass|steel|oil|enamel|silver|ruby|dust|shellac",
        "tools": "tweezers|files|loupes|lathes|screwdrivers|gauges|small hammers|brushes",
        "act": "adjust|wind|clean|balance|regulate|dismantle|assemble|compare|silver|oil",
        "place": "tower|observatory|workbench|railway station|town hall|museum|attic|chapel",
        "traits": "accurate|antique|delicate|mechanical|heavy|gilded|reliable|noisy",
    },
    "bread": {
        "agents": "bakers|millers|farmers|cooks|food historians|housekeepers|grain merchants",
        "things": "loaves|ovens|doughs|crusts|rolls|grains|starters|crumbs|pastries|sieves",
        "stuff": "flour|yeast|salt|rye|butter|steam|bran|warm milk",
        "tools": "peels|kneading troughs|scales|baskets|rolling pins|stone mills|knives|bowls",
        "act": "knead|bake|ferment|score|rest|fold|weigh|shape|share|slice",
        "place": "kitchen|mill|bakery|granary|village oven|market|pantry|wheat field",
        "traits": "fresh|sour|dense|warm|crisp|unleavened|dark|fragrant",
    },
    "weather": {
        "agents": "meteorologists|shepherds|sailors|pilots|mountain guides|farmers|observers",
        "things": "clouds|storms|fronts|breezes|fogs|thunderheads|rainbows|droughts|gales|frosts",
        "stuff": "moisture|snow|hail|warm air|vapour|dew|ice|pressure",
        "tools": "barometers|balloons|thermometers|wind vanes|satellites|rain gauges|radars|logs",
        "act": "forecast|record|track|measure|fear|expect|describe|sketch|compare|report",
        "place": "summit|coast|plateau|weather station|pass|desert|polar sea|ridge",
        "traits": "sudden|humid|violent|distant|high-altitude|gusty|overcast|mild",
    },
    "maps": {
        "agents": "cartographers|explorers|printers|navigators|archivists|surveyors|travellers",
        "things": "contours|atlases|coastlines|scales|globes|legends|charts|borders|routes|grids",
        "stuff": "ink|parchment|copper|paper|gold leaf|pigment|linen|varnish",
        "tools": "compasses|theodolites|dividers|rulers|printing presses|pens|sextants|chains",
        "act": "draw|correct|copy|engrave|fold|trace|label|print|enlarge|archive",
        "place": "archive|ship|library|frontier|drawing office|port|academy|watchtower",
        "traits": "faded|precise|ornate|uncharted|portable|secret|coastal|topographic",
    },
    "stars": {
        "agents": "astronomers|stargazers|physicists|telescope makers|students|navigators",
        "things": "comets|galaxies|planets|eclipses|moons|nebulae|craters|orbits|meteors|spectra",
        "stuff": "starlight|hydrogen|cosmic dust|helium|ice|plasma|dark matter|radiation",
        "tools": "telescopes|mirrors|spectrographs|cameras|star charts|sensors|domes|antennas",
        "act": "observe|photograph|catalogue|predict|explain|discover|name|compare|chart|detect",
        "place": "observatory|southern sky|dark valley|planetarium|mountaintop|horizon|ecliptic",
        "traits": "faint|distant|luminous|double|icy|ancient|visible|rotating",
    },
    "pottery": {
        "agents": "potters|archaeologists|glaze makers|traders|restorers|sculptors|villagers",
        "things": "pots|jars|tiles|bowls|figurines|handles|shards|kilns|plates|jugs",
        "stuff": "clay|slip|glaze|charcoal|kaolin|sand|water|wood ash",
        "tools": "wheels|ribs|wire cutters|sponges|kilns|stamps|paddles|brushes",
        "act": "throw|fire|glaze|dry|decorate|dig up|reassemble|trade|press|burnish",
        "place": "kiln yard|excavation|studio|riverbank|trading post|temple|courtyard|village",
        "traits": "porous|glazed|broken|earthen|painted|round|ceremonial|cracked",
    },
    "forests": {
        "agents": "foresters|botanists|woodcutters|rangers|hikers|bird watchers|fungus hunters",
        "things": "oaks|saplings|mushrooms|owls|clearings|roots|seeds|beetles|ferns|canopies",
        "stuff": "bark|humus|resin|sap|moss|leaf litter|shade|firewood",
        "tools": "saws|axes|increment borers|ropes|notebooks|traps|field glasses|tapes",
        "act": "plant|thin|study|protect|harvest|measure|identify|prune|survey|replant",
        "place": "hillside|nature reserve|valley|clearing|plantation|stream bank|old estate|park",
        "traits": "ancient|damp|evergreen|fallen|protected|young|hollow|shady",
    },
    "printing": {
        "agents": "printers|bookbinders|typesetters|publishers|proofreaders|engravers|scribes",
        "things": "letters|pages|presses|volumes|woodcuts|margins|pamphlets|type cases|covers",
        "stuff": "ink|paper|leather|glue|thread|lead|vellum|linseed oil",
        "tools": "composing sticks|rollers|hand presses|needles|punches|bone folders|frames",
        "act": "print|bind|set|correct|illustrate|sew|publish|trim|ink|collect",
        "place": "print shop|monastery|university|bookshop|bindery|library|capital|fair",
        "traits": "illustrated|rare|bound|handmade|printed|legible|early|damaged",
    },
    "salt": {
        "agents": "salt workers|miners|merchants|fishermen|cooks|geologists|caravan leaders",
        "things": "pans|crystals|mines|shafts|caravans|barrels|springs|blocks|ponds|wells",
        "stuff": "brine|sea water|rock salt|clay|gypsum|fuel wood|magnesium|sunlight",
        "tools": "rakes|pumps|shovels|carts|picks|boiling kettles|sluices|baskets",
        "act": "evaporate|dig|drain|guard|transport|crush|flood|store|tax|sell",
        "place": "coastal flat|mine|salt road|desert|warehouse|evaporation pond|hill town",
        "traits": "coarse|white|bitter|underground|valuable|wet|crystalline|heavy",
    },
    "music": {
        "agents": "musicians|composers|instrument makers|singers|teachers|organists|listeners",
        "things": "violins|flutes|scales|chords|organs|drums|melodies|strings|pipes|reeds",
        "stuff": "spruce|ivory|horsehair|rosin|brass|sound|ebony|silence",
        "tools": "tuning forks|bows|metronomes|gouges|clamps|planes|notebooks|mutes",
        "act": "tune|compose|build|rehearse|restore|perform|teach|vary|record|imitate",
        "place": "concert hall|cathedral|workshop|conservatory|tavern|opera house|school|square",
        "traits": "resonant|solemn|wooden|bright|low-pitched|polyphonic|cheerful|ornamented",
    },
    "gardens": {
        "agents": "gardeners|botanists|seed collectors|landscape designers|growers|neighbours",
        "things": "roses|hedges|bulbs|vines|seedlings|terraces|orchards|fountains|shrubs|beds",
        "stuff": "compost|topsoil|mulch|rainwater|manure|leaf mould|lime|shade",
        "tools": "spades|secateurs|watering cans|greenhouses|rakes|trellises|hoes|labels",
        "act": "prune|water|graft|sow|transplant|train|weed|propagate|cover|admire",
        "place": "walled garden|greenhouse|allotment|palace|back yard|nursery|slope|courtyard",
        "traits": "fragrant|hardy|perennial|formal|overgrown|climbing|delicate|sunny",
    },
    "locks": {
        "agents": "lock keepers|bargemen|canal diggers|inspectors|pump operators|historians",
        "things": "canals|gates|barges|sluices|towpaths|aqueducts|chambers|culverts|basins|lifts",
        "stuff": "coal|puddled clay|cargo|timber|stone|water|cast iron|grain",
        "tools": "windlasses|dredgers|steam pumps|poles|ropes|paddles|wheelbarrows|boats",
        "act": "fill|empty|dredge|widen|operate|steer|unload|maintain|inspect|close",
        "place": "summit level|wharf|tunnel|industrial town|inland port|junction|cutting|basin",
        "traits": "navigable|leaking|disused|narrow|restored|busy|deep|wooden",
    },
}

GENERAL: dict[str, str] = {
    "season": "spring|early summer|late autumn|winter|the rainy months|harvest time|March|October",
    "period": "the bronze age|the last century|recent decades|medieval times|the first years|"
    "the steam era|the eighteenth century|several generations|the long war|a single lifetime",
    "quality": "remarkable|useful|simple|difficult|surprising|common|rare|careful|practical|slow|"
    "expensive|patient|modern|traditional|gradual|local|curious|reliable|subtle|thorough",
    "manner": "slowly|carefully|by hand|with great patience|in small groups|before sunrise|quietly|"
    "without much haste|after a long rest|twice a year|under supervision|from memory|together",
    "reason": "because mistakes are costly|since demand keeps growing|as older records show|"
    "because the climate changed|since nobody had written it down|as any apprentice learns|"
    "because small errors add up|since repairs take weeks|as the ground shifts|"
    "because heat spreads unevenly|since good examples are scarce|as pressure rises",
    "result": "which saves a good deal of work|which surprised the first visitors|"
    "which explains their unusual colour|which makes later repairs easier|"
    "which few books mention|which keeps the cost low|which demands a steady hand|"
    "which is still the custom today|which the next generation improved|"
    "which reduces waste considerably|which can take an entire season",
    "number": "two|three|four|five|six|seven|nine|a dozen|twenty|forty|about a hundred|several",
    "span": "minutes|hours|days|weeks|months|years|seasons|generations",
    "source": "old account books|a letter from that time|recent measurements|court records|"
    "field notes|an unfinished manuscript|oral history|museum inventories|careful experiments|"
    "travel diaries|school textbooks|a survey of the region",
    "think": "argue|believe|report|suggest|have shown|remember|explain|suspect|agree|estimate",
    "opener": "In practice|For this reason|At first|By contrast|Over time|Even so|In most regions|"
    "As a rule|On the other hand|Until recently|To begin with|For beginners|Strangely enough|"
    "In the end|Where space allows|Under good conditions|Compared with earlier methods",
    "place_name": "Harrowmere|Velden Bay|Ostrand|Kelmarsh|Tirano Vale|Quennell|Brisk Hollow|"
    "Marrowby|Sundervik|Palisay|Ellonport|Grisby|Norrath Hills|Caldermoor|Wexley|Ambrevale|"
    "Dunmarrow|Fallowick|Istrel|Corvane|Lindersea|Threlby|Oskarra|Minnowford",
    "person": "Ada Ferrin|Tomas Welk|Ilse Branagh|Peter Quorn|Mira Oduya|Henrik Sall|Nadia Pell|"
    "Joan Averill|Luca Marsh|Edith Corran|Samuel Orde|Yara Finch|Oscar Thell|Greta Hume|"
    "Ruth Calloway|Ivo Lantz|Clara Denholm|Amos Birk|Vera Stroud|Felix Garrow",
}

PATTERNS = """{opener}, {agents} {act} {things} {manner}, {reason}.
{Agents} in {place_name} {act} their {things} with {tools} made of {stuff}.
The {traits} {things} near the {place} need {stuff} every {number} {span}.
{person} spent {number} {span} at the {place} learning to {act} {traits} {things}.
{opener}, {traits} {things} and {things} share one {quality} property: they depend on {stuff}.
Some {agents} {think} that {stuff} matters more than {tools}, {reason}.
When {stuff} becomes scarce, {agents} {act} fewer {things} and store the rest in a {place}.
According to {source}, the {place} of {place_name} once held {number} {traits} {things}.
{Tools} were introduced during {period}, {result}.
It takes {number} {span} before {things} can be used, {reason}.
A {quality} method is to {act} the {things} first and to add {stuff} afterwards.
{Agents} who {act} {things} {manner} usually get {traits} results, {result}.
Visitors to the {place} see {number} {things}, each with its own {tools}.
Neither {stuff} nor {stuff} will help if the {things} have been stored badly.
{opener}, the {agents} of {place_name} preferred {stuff}, {result}.
What {agents} call a {quality} {place} is often only a place where {things} survive {season}.
During {season}, {traits} {things} lose some of their {stuff}, {reason}.
{person} and {person} compared {things} from {place_name} with those of {place_name}.
Their notes, kept among {source}, describe {number} ways to {act} {traits} {things}.
A pair of {tools} costs less than {stuff}, yet most {agents} {act} {things} without them.
Between {place_name} and the {place}, {agents} {act} about {number} {things} in {season}.
The idea is {quality}: {stuff} holds the {things} while {agents} {act} them {manner}.
If the {things} are too {traits}, add {stuff} and wait {number} {span}.
{Things} differ from {things} in weight, in price and in how {agents} {act} them.
{source_cap} mention {traits} {things} as early as {period}.
No one in {place_name} would {act} {things} during {season} unless {stuff} was at hand.
{opener}, {person} was able to {act} {number} {things} in {number} {span}.
The {quality} part of the work is to keep {stuff} away from the {tools}.
Good {tools} last for {number} {span} when {agents} clean them {manner}.
{Agents} {think} that {things} behave like {things} once {stuff} is removed.
One {quality} experiment used {number} {things}, a little {stuff} and ordinary {tools}.
Its outcome was {quality}: only the {traits} {things} changed, {result}.
From the {place} one can watch {agents} {act} {things} {manner}.
{Stuff} arrives in {place_name} by cart, and {agents} carry it to the {place}.
Older {agents} {act} {things} by feel, {reason}.
Younger {agents} rely on {tools}, {result}.
There are {number} kinds of {things}, and the {traits} ones are the most {quality}.
Not every {place} suits {things}; too much {stuff} makes them {traits}.
{opener}, a {traits} layer of {stuff} protects {things} from {season}.
Schools in {place_name} teach children to {act} {things} before they handle {tools}.
How {agents} {act} {things} depends on the {place}, on {stuff} and on the {season}.
{person} called this the {quality} rule of {place_name}, {result}.
Each {place} had {number} {agents}, and each of them owned {traits} {tools}.
With {stuff} in short supply, {traits} {things} were sold for {number} times their price.
{Agents} still debate whether {tools} or {stuff} came first to the {place}.
To {act} {things} well means to know {stuff}, {tools} and {season}.
The {things} of {place_name} are {traits}, while those at the {place} are {traits}.
{source_cap} suggest that {agents} began to {act} {things} in {period}.
Most {things} fail for a {quality} reason: somebody forgot the {stuff}.
After {number} {span}, {stuff} settles and the {agents} {act} the {things} again.
A visitor once asked why {agents} {act} {things} {manner}; {person} blamed {stuff}.
{Things} kept in a {place} stay {traits} for {number} {span}.
Many {agents} learned from {person}, whose {tools} are now in the {place} of {place_name}.
The distance between two {things} should be {number} times the width of the {tools}.
{opener}, people {act} {things} for pleasure rather than for {stuff}.
Wherever {stuff} is cheap, {agents} build a {place} and {act} {things} there.
{season_cap} is the {quality} time for {things}, {reason}.
Only {number} {agents} remain who can {act} {traits} {things} without {tools}.
A {traits} surface tells {agents} that the {stuff} has done its work.
By {season}, the {place} of {place_name} is full of {things} and {stuff}.
Their {tools} look {quality}, but {agents} have used them since {period}.
{person} wrote that {things} without {stuff} are like a {place} without {agents}.
Small changes in {stuff} decide whether {things} turn out {traits} or {traits}.
{opener}, it is wise to {act} one of the {things} and leave the others alone.
People around {place_name} trade {stuff} for {tools} every {season}.
The oldest {tools} in the {place} were made by {person} with {stuff} from {place_name}.
Far from the {place}, {agents} {act} {things} that {agents} elsewhere would discard.
This habit goes back to {period}, when {stuff} was {quality} and {things} were {traits}.
Learning to {act} {things} teaches patience, and it shows how {stuff} behaves in {season}.
Records from the {place} list {things}, {things} and {number} measures of {stuff}.
Because {tools} wear out, {agents} replace them after {number} {span}.
The same {stuff} that ruins {things} in {place_name} is welcome at the {place}."""


# Modules whose documentation has paragraphs of connected prose; all are plain Python files.
_DOCUMENTED_MODULES = words_of(
    "argparse asyncio bdb calendar cmd code codecs collections configparser contextlib copy csv "
    "dataclasses datetime decimal difflib dis doctest email enum fileinput fractions ftplib "
    "functools getopt gettext glob gzip heapq html http inspect io ipaddress json locale logging "
    "mailbox mimetypes multiprocessing netrc numbers optparse os pathlib pdb pickle pkgutil "
    "platform plistlib poplib pprint profile pstats random re runpy sched secrets selectors shelve "
    "shlex shutil smtplib socket sqlite3 statistics string subprocess symtable tarfile tempfile "
    "textwrap threading timeit tokenize trace traceback types typing unittest urllib uuid wave "
    "weakref webbrowser xml zipfile zipimport"
)
_TITLES = (
    "How {agents} {act} {things}",
    "{Things} and {stuff}: a short introduction",
    "Why {agents} in {place_name} still {act} {things}",
    "The {traits} {things} of {place_name}",
    "A guide to {stuff} for {agents}",
    "What {source} tell us about {things}",
    "{Things} in {season}",
)


class Vocabulary(dict[str, str]):
    """A mapping for `str.format_map` that draws a fresh word each time a slot is filled.

    A slot with a capital first letter or the ending `_cap` gives a capitalised word.
    """

    def __init__(self, rng: Random, lists: dict[str, list[str]]) -> None:
        super().__init__()
        self._rng = rng
        self._lists = lists

    def __missing__(self, slot: str) -> str:
        name = slot.removesuffix("_cap")
        if name == slot and name[0].islower():
            return self._rng.choice(self._lists[name])
        word = self._rng.choice(self._lists[name.lower()])
        return word[0].upper() + word[1:]


@dataclass(frozen=True, kw_only=True)
class Article:
    """A page's title and main text; a paragraph is a tuple of sentences."""

    title: str
    paragraphs: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        """Return title and paragraphs, separated by one empty line, as extraction should."""
        return "\n\n".join([self.title, *map(" ".join, self.paragraphs)])


def split_lists(lists: dict[str, str]) -> dict[str, list[str]]:
    """Turn 'a|b|c' values into lists of alternatives."""
    return {name: alternatives(words) for name, words in lists.items()}


_GENERAL = split_lists(GENERAL)
_SUBJECTS = {name: split_lists(subject) for name, subject in SUBJECTS.items()}
_PATTERNS = PATTERNS.split("\n")


def subject_vocabulary(rng: Random, more: dict[str, list[str]] | None = None) -> Vocabulary:
    """Return the vocabulary of one subject drawn by `rng`, with the general words and `more`."""
    return Vocabulary(rng, _GENERAL | _SUBJECTS[rng.choice(sorted(_SUBJECTS))] | (more or {}))


def sentences(rng: Random, count: int) -> list[str]:
    """Return `count` sentences on one subject; no pattern comes again before all were used."""
    words = subject_vocabulary(rng)
    written: list[str] = []
    while len(written) < count:
        patterns = rng.sample(_PATTERNS, min(count - len(written), len(_PATTERNS)))
        written += [pattern.format_map(words) for pattern in patterns]
    return [text[0].upper() + text[1:] for text in written]


def article(
    rng: Random,
    *,
    statements: list[str] | None = None,
    quotations: list[str] | None = None,
    mean_sentences: int = 44,
) -> Article:
    """Write an article of some paragraphs, with `statements` strewn among its sentences.

    Each of `quotations` (paragraphs written elsewhere) becomes a paragraph of its own.
    """
    body = sentences(rng, rng.randint(mean_sentences // 2, mean_sentences * 3 // 2))
    for statement in statements or []:
        body.insert(rng.randint(1, len(body)), statement)
    paragraphs: list[tuple[str, ...]] = []
    while body:
        size = rng.randint(3, 7)
        paragraphs.append(tuple(body[:size]))
        body = body[size:]
    for quotation in quotations or []:
        paragraphs.insert(rng.randint(1, len(paragraphs)), (quotation,))
    title = rng.choice(_TITLES).format_map(subject_vocabulary(rng))
    return Article(title=title[0].upper() + title[1:], paragraphs=tuple(paragraphs))


def library_paragraphs() -> list[str]:
    """Return the prose paragraphs of this Python's documentation topics and docstrings, sorted.

    Which they are depends on the Python version; every text appears once.
    """
    found: set[str] = set()
    for text in [*_topics(), *_docstrings()]:
        found.update(_prose_paragraphs(text))
    return sorted(found)


def _topics() -> list[str]:
    """Return the language reference that `help()` prints; nothing where it is not installed."""
    try:
        from pydoc_data.topics import topics  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return []
    return [topics[name] for name in sorted(topics)]


def _docstrings() -> Iterator[str]:
    for name in _DOCUMENTED_MODULES:
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec else None
        if origin is None or not origin.endswith(".py") or not Path(origin).is_file():
            continue
        yield from re.findall(r'"""(.*?)"""', Path(origin).read_text("utf-8"), re.DOTALL)


def _prose_paragraphs(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text):
        paragraph = " ".join(block.split())
        words = paragraph.split()
        plain = sum(word.strip(".,;:()*\"'").isalpha() for word in words)
        if len(words) < 22 or plain < 0.88 * len(words):
            continue
        # Shouted licence terms would be removed again, as uppercase lines.
        shouted = sum(map(str.isupper, paragraph)) > 0.2 * len(paragraph)
        if not paragraph[0].isupper() or not paragraph.endswith(".") or shouted:
            continue
        if not _MARKUP.search(paragraph):
            yield paragraph


# Also what URL removal would take out: a dot between two letters.
_MARKUP = re.compile(r">>>|::|==|https?:|[\\#{}|<>@]|\.\.\.|\w\.\w")
