"""Token ids: the tokenizer, packing into sequences, the keyed order of documents."""
