"""robots.txt of sites: which agents that gather texts for language models they keep out."""
