"""The pages of docs/reference, made from code: recipe keys, rules, quirks, jobs, glossary."""
