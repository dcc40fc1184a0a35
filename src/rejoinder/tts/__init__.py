"""Speech synthesis: the reply's words to audio, clause by clause."""
