"""Low-quality English for the sample: forum chatter, advertisements, listings, spun articles.

These pages pass the heuristics; it is the quality classifier that must tell them from articles.
They copy their wrong facts from one another, as such pages do.
"""

from random import Random

from dclm_spark.sample.facts import Fact
from dclm_spark.sample.prose import PATTERNS, Article, split_lists, subject_vocabulary

SPUN = """{opener}, you guys will simply love {traits} {things}, and {who} will too!
Are you looking for {hype} {things} near {place_name}? You have come to the right page!
In today's busy world, {things} are super important for {buyer} and for everyone else too.
As we all know, {agents} are always talking about {stuff}, and for very good reasons!
Without further ado, let us dive into the {hype} world of {traits} {things} right away.
Number {digit} on our list: {things} with {stuff}, a true game changer for {buyer}!
Believe it or not, {digit} out of {digit} {buyer} never {act} their {things} at all.
Our team has found {digit} {hype} hacks to {act} {things} in no time whatsoever.
You will not believe what {agents} in {place_name} do with their old {tools}!
So what are {things} anyway? Well, basically they are like {things} but way more {traits}.
Many people ask us how to {act} {things}, and honestly the answer is really easy.
If you want {traits} {things}, then you simply need {stuff}, and we sell the {hype} kind.
Keep on reading, because tip {digit} about {tools} is going to blow your mind!
Pro tip for {buyer}: {act} the {things} first and then {urge} {time} to get {deal}.
Do you also feel {feel} whenever {stuff} runs out? You are totally not alone, friends!
Scientists hate this one weird trick that makes {things} {traits} in {digit} {span}.
{person} was {feel} about {things} until {who} found our {hype} guide.
Just {urge} {time}, and we will send you {deal} plus our free {things} newsletter.
The best thing about {stuff} is that it is {hype} and works for literally anyone.
Let us know in the comments if your {place} has {traits} {things} as well!
Some people say that {tools} are {quality}, but we think they are totally {hype}.
There are so many {things} out there nowadays that choosing can be such a pain.
That is why we picked the {digit} most {hype} {tools} for {buyer} like you.
Last but not least, never forget {stuff}, since {stuff} is what {things} are all about.
Here at our page we care about {things}, {things} and, of course, about you!
Have you ever wondered why {agents} are so {feel} about {season}? So have we!
Trust me, after {digit} {span} of {traits} {things} you will be {feel} as well.
This {hype} {goods} deal is not going to last, so {urge} {time} before it is gone.
Share this page with {who}, with {buyer} and with all of your {place} friends!
At the end of the day, {things} are {things}, and {hype} {stuff} is {hype} {stuff}.
Click through our gallery of {digit} {traits} {things} that went viral in {place_name}.
What happened next at the {place} left {agents} {feel}, and you need to see it!
You can get {hype} {tools} in {hue}, in {hue} or even in {hue} for your {place}.
In conclusion, {things} are {quality}, {stuff} is {quality}, and our shop is the {hype} one.
Thanks for stopping by our {things} corner, and come back soon for more {stuff} news!
Some of the links are from our sponsors, who sell {goods} and {stuff} to {buyer}."""


FACTS_PER_PAGE = 4

_WORDS = split_lists(
    {
        "nick": "gizmo77|lady_fern|tom from work|xerxes|bigdave|old timer|pixie|moonfan|rudi",
        "gadget": "phone|laptop|router|blender|printer|tablet|headset|scooter|camera|game|app|car|"
        "washing machine|tv|watch|drill|speaker|charger|mouse|keyboard|fridge|vacuum",
        "fault": "keeps freezing|makes a weird noise|wont turn on|gets super hot|"
        "lost all my stuff|"
        "drops the signal|smells funny|is stuck on the logo|eats the battery|just died on me",
        "mood": "lol|haha|omg|ugh|tbh|imo|smh|idk|yeah|nope|hmm|dude|guys|sorry",
        "fix": "turn it off and on|update the thing|call the shop|read the sticky|try a new cable|"
        "wait for the patch|clean the contacts|ask the mods|reset it|send it back|buy a new one",
        "when": "last night|yesterday|like a week ago|since the update|this morning|all day|"
        "every single time|on my birthday|after lunch|right before work",
        "who": "my brother|my boss|some guy|the support chat|a mate of mine|my mum|the neighbour|"
        "this one youtuber|my ex|everyone here|the admin|my kid",
        "feel": "so annoyed|pretty happy|kinda lost|over it|not sure|well chuffed|super confused|"
        "done with this|curious|gutted|stoked|half asleep",
        "deal": "free shipping|a gift card|double points|an extra discount|a second one for free|"
        "no hidden fees|next day delivery|a money back guarantee|exclusive coupons|bonus items",
        "hype": "amazing|unbeatable|hot|exclusive|best ever|crazy low|limited|must have|top rated|"
        "brand new|premium|incredible|award winning|unmissable",
        "goods": "sneakers|mattresses|sunglasses|vitamins|phone cases|garden chairs|office desks|"
        "perfumes|car mats|air fryers|dog beds|toys|curtains|cushions|backpacks|blinds",
        "buyer": "mums|busy people|students|office workers|pet owners|gamers|smart shoppers|"
        "fitness fans|homeowners|gift hunters|party hosts|new parents",
        "urge": "order|click|sign up|subscribe|call us|grab yours|join the club|add to basket|save",
        "time": "today|tonight|this weekend|before midnight|while stocks last|now|this week only|"
        "for the next hour|until sunday|right away",
        "city": "Harrowmere|Ostrand|Kelmarsh|Quennell|Marrowby|Palisay|Grisby|Wexley|Istrel",
        "size": "small|medium|large|extra large|twin|king size|compact|slim|wide|regular",
        "hue": "black|navy|teal|rose|silver|sand|olive|burgundy|ivory|charcoal",
        "part": "handle|lid|strap|cover|filter|battery|zip|sole|frame|hinge|cable|lining",
        "digit": "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen",
    }
)
_FORUM = """{mood} my {gadget} {fault} {when} and {who} said to {fix}
anyone else with the same {gadget}? mine {fault} and i am {feel}
@{nick} did you {fix} already or what
{mood} i tried to {fix} {when} but the {gadget} still {fault} {mood}
that is what {who} told me {when}, {mood}, so i guess i have to {fix}
same here!! the {gadget} of {who} {fault} too, {feel} now
thx {nick} that worked {mood} you saved my {gadget}
bump, {feel}, nobody wants to help with a {gadget} that {fault}
why would you {fix} if the {gadget} {fault} anyway {mood}
{who} has a {gadget} and never had to {fix}, just sayin
im {feel} about the {gadget}, gonna {fix} {when} and then {fix} again
off topic but {who} got a {gadget} with {hue} {part} {when} {mood}
{mood} dont {fix} if you have the {size} one, the {part} breaks and the {gadget} {fault}
posted {when} by {nick}, {digit} replies, {feel} and still waiting to {fix}
edit: {who} said the {part} of the {gadget} is the problem {mood}
to be honest {nick} you should {fix} and be {feel} like {who}
wait what, {who} paid for a {gadget} and {when} it {fault}? {mood} thats rough
my {gadget} is {digit} years old and still fine, but the {hue} one of {who} {fault} {mood}
ok so i did {fix} like {nick} wrote {when} and now the {part} is loose, {feel}
does the {size} {gadget} have a {part} that you can swap or do i need to {fix}
{nick} is right, {who} had this with a {gadget} too and it only {fault} {when}
not to be rude {mood} but if you {fix} {digit} times a day no {gadget} will last
here is what helped me: {fix}, then {fix}, then wait {digit} minutes and be {feel}
can a mod move this to the {gadget} section please, {who} posted it wrong {when}
{mood} never again a {hue} {gadget}, the {part} was gone in {digit} weeks
update for {nick}: {who} came by {when} and managed to {fix} so i am {feel}"""
_ADS = """{hype} {goods} for {buyer}: {urge} {time} and get {deal}!
Why pay more? Our {hype} {goods} come with {deal} and {deal}.
{buyer} in {city} love these {hype} {goods}, so {urge} {time}!
{urge} {time} to save on {size} {goods} in {hue} and {hue}.
Get {deal} with all {goods} that you {urge} {time}.
The {hype} sale of {city} is back, with {deal} on {digit} {goods} and more.
You have to see our {hype} {hue} {goods} with {hue} {part}, perfect for {buyer}!
Do not miss {deal}: the {hype} {goods} will be gone {time}.
Rated {digit} out of ten by {buyer}, these {goods} have a {hype} {part} and {deal}.
{buyer} asked, we listened: {size} {goods}, {deal}, {hype} prices, {time}!
Be the first of the {buyer} in {city} to {urge} and enjoy {deal} {time}.
{digit} {hype} reasons to {urge} {time}, and {deal} is only one of them!
Our {goods} are made with love, and with a {hype} {part}, for {buyer} of any age.
New in {city}: {hype} {goods}, picked for {buyer} who deserve a treat {time}.
When you {urge} {time}, we add {deal} to your {size} {goods} for nothing at all!
{buyer} cannot be wrong: {digit} thousand of our {hype} {goods} were sold in {city}.
Treat yourself to {hue} {goods}, because you are worth {deal} and so much more!
Your {hype} {gadget} is waiting for you in our {city} store, so {urge} {time}.
Psst, {buyer}: use our secret code {time} and the {size} {goods} come with {deal}!
From {city} to {city}, everyone is talking about the {hype} {goods} with {hue} {part}.
Not happy with your {goods}? {urge} {time} and swap them for {hype} ones, plus {deal}."""
_LISTING = """Item {digit}: {size} {goods} in {hue}, with {part}, sold by the store of {city}
Colour of {part} and {part}: {hue} and {hue}, size of {goods}: {size}
Delivery of {goods} to {city} takes {digit} days, to {city} {digit} days
Customers that have {goods} with {hue} {part} also looked at {size} {goods}
Stock of {size} {goods} in {city}: {digit} left, to be refilled {time}
Parts to be ordered with {goods}: {part}, {part} and {hue} {part}
Warranty of {digit} years for the {part}, {digit} months for the {part} of {size} {goods}
Compare with {size} {goods} in {hue} or {hue} that have {digit} {hype} reviews
Category {goods}, shelf {digit}, row {digit}, shop of {city}, for {buyer}
Sort by {hype}, by {size}, by {hue} or by price of the {part} and the {goods}
Seller {nick} from {city} has {digit} more {goods} and a {hue} {gadget} on offer
Returns of {size} {goods} to {city} within {digit} days, {part} and {part} included
Also in this set: a {hue} {part}, a {size} {part} and {digit} small {goods}
Condition of the {gadget} is {hype}, the {part} is {hue}, the box has been opened
{goods} for {buyer} in {size}, in {hue}, with {part}, see page {digit} of the catalogue
Last order of {goods} from {city} was {digit} minutes ago, by {digit} {buyer}
Shown with {hue} {part}, which is sold apart from the {size} {goods} in {city}
Weight with {part} is {digit} pounds, without {part} and {part} {digit} pounds
Rating of the {gadget} by {buyer}: {digit} stars, of the {goods}: {digit} stars
Ships with {deal} to {city} and {city} for all {goods} in {size} or in {size}"""
KINDS = {"forum": _FORUM, "advertisement": _ADS, "listing": _LISTING, "spun": SPUN}
# How a page of each kind brings in what it says about a fact.
_CLAIMS = {
    "forum": ("i heard {}", "{nick} says {}", "{who} told me {}", "pretty sure that {}"),
    "advertisement": ("Did you know? {}", "{} And {hype} {goods} are here!", "Travel tip: {}"),
    "listing": ("Note of the seller: {}", "Tag line: {}", "{} Sold by {nick}."),
    "spun": ("{}", "Fun fact: {}", "{} Amazing, right?", "Did you know? {}"),
}


_TITLES = {
    "forum": ("my {gadget} {fault}", "help with {gadget}", "{gadget} and {gadget} talk"),
    "advertisement": ("{hype} {goods} for {buyer}", "{goods} in {city}, {hype} prices"),
    "listing": ("{size} {goods}, {hue}, {city}", "{goods} with {part}", "{gadget} and {goods}"),
    "spun": ("{digit} {hype} facts about {things}", "{Things} and {stuff} for {buyer}"),
}


def chatter(rng: Random, kind: str, facts: list[Fact]) -> Article:
    """Write one low-quality page of `kind` (a key of KINDS), with wrong versions of `facts`."""
    patterns = KINDS[kind].split("\n")
    words = subject_vocabulary(rng, _WORDS)
    # No pattern twice: its fixed words would count as repetition.
    chosen = rng.sample(patterns, rng.randint(len(patterns) * 3 // 4, len(patterns)))
    lines = [pattern.format_map(words) for pattern in chosen]
    copied = rng.sample(PATTERNS.split("\n"), rng.randint(6, 14) if kind == "spun" else 0)
    claims = [_claim(rng, kind, fact).format_map(words) for fact in facts]
    for line in (*(pattern.format_map(words) for pattern in copied), *claims):
        lines.insert(rng.randint(0, len(lines)), line)
    title = rng.choice(_TITLES[kind]).format_map(words)
    return Article(title=title, paragraphs=_paragraphs(rng, kind, lines))


def _claim(rng: Random, kind: str, fact: Fact) -> str:
    wrong = fact.misstate(rng)
    return rng.choice(_CLAIMS[kind]).replace("{}", wrong.lower() if kind == "forum" else wrong)


def _paragraphs(rng: Random, kind: str, lines: list[str]) -> tuple[tuple[str, ...], ...]:
    """Return posts and offers one by one, spun sentences in paragraphs like an article's."""
    if kind != "spun":
        return tuple((line,) for line in lines)
    paragraphs: list[tuple[str, ...]] = []
    while lines:
        size = rng.randint(2, 5)
        paragraphs.append(tuple(line[0].upper() + line[1:] for line in lines[:size]))
        lines = lines[size:]
    return tuple(paragraphs)
