"""The exercises of chapter 8: what right means, the cases, common mistakes, hints. One module per notebook."""

from ch08.exercises import (
    attention,
    attention_seq2seq,
    attention_weight,
    bahdanau,
    beam_search,
    bidirectional,
    bottleneck,
    date_conversion,
    deep_and_residual,
    luong,
    query_key_value,
    seeing_attention,
    teaching_where_to_look,
    weight_sum,
    where_the_context_goes,
    words,
)

EXERCISES = (
    *bottleneck.EXERCISES,
    *weight_sum.EXERCISES,
    *attention_weight.EXERCISES,
    *attention.EXERCISES,
    *attention_seq2seq.EXERCISES,
    *date_conversion.EXERCISES,
    *seeing_attention.EXERCISES,
    *teaching_where_to_look.EXERCISES,
    *bidirectional.EXERCISES,
    *where_the_context_goes.EXERCISES,
    *deep_and_residual.EXERCISES,
    *query_key_value.EXERCISES,
    *words.EXERCISES,
    *bahdanau.EXERCISES,
    *luong.EXERCISES,
    *beam_search.EXERCISES,
)
