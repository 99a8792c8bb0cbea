"""What updates weights, or follows them, beside AdamW: Muon, and their moving average."""
