"""Pages in other languages for the sample, from short patterns written for it."""

from random import Random

from dclm_spark.sample.prose import Article, Vocabulary, split_lists

# Per language: lists of alternatives, and patterns (one a line) over their names.
_WORDS: dict[str, dict[str, str]] = {
    "de": {
        "wer": "die Nachbarin|der Bäcker|unsere Lehrerin|ein alter Fischer|der Gärtner",
        "was": "das Brot|die Brücke|den Käse|die Bücher|das Boot|den großen Schlüssel|die Äpfel",
        "wo": "am Fluss|hinter der Kirche|im Gewölbe|auf dem Markt|in der Küche|über dem Tal",
        "wann": "im Frühling|gestern Abend|vor vielen Jahren|jeden Morgen|während des Regens",
        "wie": "sorgfältig|ohne große Eile|mit viel Mühe|zum ersten Mal|fröhlich|schweigend",
    },
    "fr": {
        "wer": "la voisine|le boulanger|un vieux pêcheur|notre maîtresse|le jardinier|la meunière",
        "was": "le pain|les clés|le fromage|la barque|les pommes|un très vieux livre|la fenêtre",
        "wo": "près de la rivière|derrière l'église|au marché|dans la forêt|à l'entrée du village",
        "wann": "au printemps|hier soir|chaque matin|pendant l'été|après la fête|en février",
        "wie": "avec beaucoup de soin|sans se presser|à la main|en silence|pour la première fois",
    },
    "es": {
        "wer": "la vecina|el panadero|un viejo pescador|nuestra maestra|el jardinero|la niña",
        "was": "el pan|las llaves|el queso|la barca|las manzanas|un libro muy antiguo|el camión",
        "wo": "cerca del río|detrás de la iglesia|en el mercado|en la montaña|junto al jardín",
        "wann": "en primavera|ayer por la tarde|cada mañana|durante el otoño|después de la cena",
        "wie": "con mucho cuidado|sin prisa|a mano|en silencio|por primera vez|rápidamente",
    },
    "it": {
        "wer": "la vicina|il fornaio|un vecchio pescatore|la nostra maestra|il giardiniere",
        "was": "il pane|le chiavi|il formaggio|la barca|le mele|un libro molto antico",
        "wo": "vicino al fiume|dietro la chiesa|al mercato|nella città vecchia|sopra la collina",
        "wann": "in primavera|ieri sera|ogni mattina|durante l'estate|perché era venerdì",
        "wie": "con molta cura|senza fretta|a mano|in silenzio|per la prima volta",
    },
    "pl": {
        "wer": "sąsiadka|piekarz|stary rybak|nasza nauczycielka|ogrodnik|młynarz",
        "was": "chleb|klucze|żółty ser|łódkę|jabłka|bardzo starą książkę",
        "wo": "nad rzeką|za kościołem|na rynku|w lesie|obok młyna|w ciemnej kuchni",
        "wann": "na wiosnę|wczoraj wieczorem|każdego ranka|podczas deszczu|po święcie",
        "wie": "bardzo ostrożnie|bez pośpiechu|ręcznie|w milczeniu|po raz pierwszy",
    },
    "ru": {
        "wer": "соседка|пекарь|старый рыбак|наша учительница|садовник|мельник",
        "was": "хлеб|ключи|сыр|лодку|яблоки|очень старую книгу|большое зеркало",
        "wo": "у реки|за церковью|на рынке|в тёмном лесу|рядом с мельницей|на кухне",
        "wann": "весной|вчера вечером|каждое утро|во время дождя|после праздника",
        "wie": "очень осторожно|не спеша|вручную|молча|в первый раз|с большим трудом",
    },
    "el": {
        "wer": "η γειτόνισσα|ο φούρναρης|ένας γέρος ψαράς|η δασκάλα μας|ο κηπουρός",
        "was": "το ψωμί|τα κλειδιά|το τυρί|τη βάρκα|τα μήλα|ένα πολύ παλιό βιβλίο",
        "wo": "κοντά στο ποτάμι|πίσω από την εκκλησία|στην αγορά|στο δάσος|στην κουζίνα",
        "wann": "την άνοιξη|χθες το βράδυ|κάθε πρωί|στη διάρκεια της βροχής|μετά τη γιορτή",
        "wie": "με μεγάλη προσοχή|χωρίς βιασύνη|με το χέρι|σιωπηλά|για πρώτη φορά",
    },
    "ja": {
        "wer": "隣のおばさん|パン屋の主人|年老いた漁師|私たちの先生|庭師|町の大工",
        "was": "古い本|大きな鍵|りんご|小さな舟|焼きたてのパン|青い皿",
        "wo": "川のそばで|市場で|森の中で|台所で|橋の下で|静かな寺の前で",
        "wann": "春になると|昨日の夜|毎朝|雨の日に|祭りのあとで|冬の間",
        "wie": "とても丁寧に|ゆっくりと|手で|黙って|初めて|楽しそうに",
    },
    "zh": {
        "wer": "邻居阿姨|面包师|一位老渔夫|我们的老师|园丁|村里的木匠",
        "was": "一本旧书|一把大钥匙|新鲜的苹果|一条小船|刚烤好的面包|蓝色的盘子",
        "wo": "在河边|在市场上|在森林里|在厨房里|在桥下|在安静的寺庙前",
        "wann": "春天的时候|昨天晚上|每天早晨|下雨的日子|节日以后|整个冬天",
        "wie": "非常仔细地|慢慢地|用手|默默地|第一次|高兴地",
    },
    "ko": {
        "wer": "이웃 아주머니는|빵집 주인은|늙은 어부는|우리 선생님은|정원사는",
        "was": "오래된 책을|큰 열쇠를|사과를|작은 배를|갓 구운 빵을|파란 접시를",
        "wo": "강가에서|시장에서|숲속에서|부엌에서|다리 밑에서|조용한 절 앞에서",
        "wann": "봄이 되면|어제 저녁에|매일 아침|비 오는 날에|축제가 끝난 뒤에",
        "wie": "아주 조심스럽게|천천히|손으로|말없이|처음으로|즐겁게",
    },
}
_PATTERNS: dict[str, str] = {
    "de": """{wann_cap} trägt {wer} {was} {wie} nach Hause.
{wer_cap} sucht {was} {wo}, weil das Wetter schön ist.
{wo_cap} findet {wer} {was}, und alle freuen sich darüber.
{wer_cap} hat {wann} {was} {wie} verkauft, obwohl es niemand wollte.
Man erzählt, dass {wer} {was} {wo} vergessen hat.""",
    "fr": """{wann_cap}, {wer} cherche {was} {wo}.
{wer_cap} a trouvé {was} {wo}, et tout le monde était content.
{wo_cap}, {wer} prépare {was} {wie}.
On raconte que {wer} a oublié {was} {wo} {wann}.
{wer_cap} voulait vendre {was}, mais personne n'était là {wann}.""",
    "es": """{wann_cap}, {wer} busca {was} {wo}.
{wer_cap} encontró {was} {wo}, y todos se alegraron mucho.
{wo_cap}, {wer} prepara {was} {wie}.
Dicen que {wer} olvidó {was} {wo} {wann}.
{wer_cap} quería vender {was}, pero nadie lo compró {wann}.""",
    "it": """{wann_cap}, {wer} cerca {was} {wo}.
{wer_cap} ha trovato {was} {wo}, e tutti erano contenti.
{wo_cap}, {wer} prepara {was} {wie}.
Si racconta che {wer} abbia dimenticato {was} {wo}.
{wer_cap} voleva vendere {was}, ma nessuno lo comprò {wann}.""",
    "pl": """{wann_cap} {wer} znalazł się {wo} i zobaczył {was}.
{wer_cap} przygotowuje {was} {wo}, bo dzisiaj przyjdą goście.
{wo_cap} {wer} często sprzedaje {was} {wie}.
Mówią, że {wer} zgubił {was} {wo} {wann}.
{wer_cap} chce pokazać dzieciom {was}, ale nikt nie ma czasu {wann}.""",
    "ru": """{wann_cap} {wer} ищет {was} {wo}.
{wer_cap} готовит {was} {wie}, потому что скоро придут гости.
{wo_cap} {wer} часто продаёт {was} {wie}.
Говорят, что {wer} теряет {was} {wo} {wann}.
{wer_cap} хочет показать детям {was}, но ни у кого нет времени.""",
    "el": """{wann_cap} {wer} ψάχνει {was} {wo}.
{wer_cap} ετοιμάζει {was} {wie}, γιατί θα έρθουν καλεσμένοι.
{wo_cap} {wer} πουλάει συχνά {was} {wie}.
Λένε ότι {wer} ξέχασε {was} {wo} {wann}.
{wer_cap} θέλει να δείξει στα παιδιά {was}, αλλά κανείς δεν έχει χρόνο.""",
    "ja": """{wann}{wer}は{wo}{was}を探します。
{wer}は{was}を{wie}運んで、みんなに見せました。
{wo}{wer}が{was}を{wie}売っていることがあります。
{wann}{wer}は{was}を忘れてしまったそうです。
{wer}は{was}を買いたいと言いましたが、誰も聞いていませんでした。""",
    "zh": """{wann}，{wer}{wo}寻找{was}。
{wer}{wie}拿着{was}，因为客人很快就要来了。
{wer}常常{wo}卖{was}，大家都很喜欢。
听说{wer}{wann}把{was}忘了。
{wer}想给孩子们看{was}，可是谁都没有时间。""",
    "ko": """{wann} {wer} {wo} {was} 찾습니다.
{wer} {was} {wie} 옮겨서 모두에게 보여 주었습니다.
{wo} {wer} {was} {wie} 팔고 있습니다.
{wann} {wer} {was} 잃어버렸다고 합니다.
{wer} {was} 사고 싶다고 말했지만 아무도 듣지 않았습니다.""",
}
LANGUAGES = tuple(sorted(_PATTERNS))
# The charset, besides UTF-8, in which pages of the language are still found.
LEGACY_CHARSETS = {
    "de": "iso-8859-1",
    "fr": "windows-1252",
    "es": "iso-8859-15",
    "it": "iso-8859-1",
    "pl": "iso-8859-2",
    "ru": "windows-1251",
    "el": "iso-8859-7",
    "ja": "shift_jis",
    "zh": "gbk",
    "ko": "euc-kr",
}


def foreign_article(rng: Random, language: str) -> Article:
    """Write a page in `language`, a member of LANGUAGES."""
    words = Vocabulary(rng, split_lists(_WORDS[language]))
    patterns = _PATTERNS[language].split("\n")
    joint = "" if language in ("ja", "zh") else " "
    title = joint.join((words["wer_cap"], words["wo"]))
    paragraphs = tuple(
        tuple(rng.choice(patterns).format_map(words) for _ in range(rng.randint(3, 7)))
        for _ in range(rng.randint(3, 8))
    )
    if joint == "":
        paragraphs = tuple(("".join(paragraph),) for paragraph in paragraphs)
    return Article(title=title, paragraphs=paragraphs)
