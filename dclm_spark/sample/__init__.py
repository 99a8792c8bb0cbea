"""The embedded sample: a small made-up crawl in the Common Crawl layout, with its ground truth."""
