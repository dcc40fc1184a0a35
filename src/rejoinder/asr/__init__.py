"""Speech recognition: frames of audio to words, biased towards the domain's terms."""
