"""The reader: SQuAD-format data, questions made from passages, training, export, measures."""
