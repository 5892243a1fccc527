"""What chapter 8 trains: each module holds a table SYSTEMS, name -> System; here they are all together."""

from ch08.recipes import dates, deep, gnmt, memory, placements, scores, sentences, transformer, translation

SYSTEMS = {
    **dates.SYSTEMS,
    **placements.SYSTEMS,
    **deep.SYSTEMS,
    **scores.SYSTEMS,
    **sentences.SYSTEMS,
    **translation.SYSTEMS,
    **transformer.SYSTEMS,
    **gnmt.SYSTEMS,
    **memory.SYSTEMS,
}
