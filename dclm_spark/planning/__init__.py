"""Plans before a run: a crawl's records and cost, dedup's shuffles, a training's memory."""
