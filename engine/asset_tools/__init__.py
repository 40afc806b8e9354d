"""How the bundled model is made: its text, its tokenizer, its training, its measured circuits."""
