from dclm_spark.train.loss_page import write_loss_page


def test_the_page_shows_losses_and_the_last_value_of_all_that_was_measured(tmp_path):
    lines = [
        {"kind": "train", "step": 1, "cross_entropy": 5.0, "tokens_per_second": 1000},
        {"kind": "train", "step": 2, "cross_entropy": 4.5, "tokens_per_second": 1250},
        {"kind": "heldout", "step": 2, "loss": 4.75},
    ]
    page = write_loss_page(tmp_path / "loss.html", lines, title="20m <of> a test").read_text()
    assert "<h1>20m &lt;of&gt; a test</h1>" in page
    assert (page.count("<polyline"), page.count("<circle")) == (1, 1)
    for name, value in (("train: tokens per second", "1,250"), ("heldout: loss", "4.75"),
                        ("train: cross entropy", "4.5")):  # fmt: skip
        assert f'<td>{name}</td><td class="number">{value}</td>' in page
    assert page.count("<script") == 1
