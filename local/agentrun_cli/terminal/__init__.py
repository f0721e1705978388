"""What a person sees and is asked: safe text, styles, tables, questions."""
