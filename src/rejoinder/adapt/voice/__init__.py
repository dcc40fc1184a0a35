"""Teaches a pretrained voice to sound like a speaker of whom ten minutes of recordings exist, with their consent."""
