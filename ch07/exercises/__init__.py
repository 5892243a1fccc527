"""The exercises of chapter 7: what right means, the cases, common mistakes, hints. One module per notebook."""

from ch07.exercises import backward, reverse_and_peeky, seq2seq

EXERCISES = (*backward.EXERCISES, *seq2seq.EXERCISES, *reverse_and_peeky.EXERCISES)
