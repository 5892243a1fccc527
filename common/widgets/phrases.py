"""What the explorer says, in one place: the widget in a notebook and the page on the web say it in the same words.

The page (``common.widgets.web``) gets these templates as JSON.
"""

from common import language

PHRASES = {
    # the picture, in sentences
    "answers_nothing": "{name} answers “{question}” with nothing.",
    "reads": "{name} reads “{question}” and writes {answer}",
    "step_writes": "Step {step} writes “{token}”, {sure} sure.",
    "unknown_to_it": "Unknown to it: {places}.",
    "unknown_place": "“{token}” ({kind} {place})",
    "looks_most": "It looks most at “{token}” ({kind} {place}, {weight})",
    "looks_then": ", then at “{token}” ({kind} {place}, {weight})",
    "gold_from": "Gold alignment: the right {kind} comes from “{text}”; {share} of the weight lies there.",
    "gold_from_nothing": "Gold alignment: {why}.",
    "column_most": "“{column}”, {kind} {place}, gets most in step {step}, which writes “{token}”: {weight}.",
    "no_attention": "This model has no attention: the whole question went through one vector of fixed size, "
    "so there are no weights to show. The bars say how sure it is of each {kind}.",
    # the picture, what stands in it
    "writes": "{name} writes",
    "least_sure": "least sure of {kind} {place}, “{token}”: {sure}",
    "question": "question",
    "question_and_weights": "question, and weights",
    "of_step": "of step {step} in percent",
    "place": "{kind} {place}, “{token}”",
    "place_weight": "{place}: weight {weight} in step {step}",
    "cell": "step {step} writes “{token}”: weight {weight} on “{source}”",
    "in_column": "in {place}",
    "weight": "weight",
    "legend_step": "the step that is lit",
    "legend_gold": "gold alignment: where the right answer comes from",
    "legend_unknown": "unknown to the model, which reads all such tokens alike",
    # why a step looks where it looks
    "why": "Why does step {step} give “{token}”, {kind} {place}, a weight of {weight}?",
    "why_score": "Its score is a sum of {count} products, {score}; the {top} largest add up to {sum}.",
    "why_softmax": "The softmax turns the scores into weights: “{token}” has the largest score, {score}, and the "
    "weight {weight}.",
    "why_context": "The context is the sum of the hidden states, each times its weight: {count} numbers.",
    "padding": "padding",
    "part_score": "1. the score of “{token}”",
    "part_score_how": "sum over j of {formula}",
    "part_softmax": "2. softmax of all scores",
    "part_softmax_how": "weight = exp(score) / sum of all exp(score)",
    "part_context": "3. context: the weighted sum",
    "part_context_how": "c = {weight} · state of “{token}” + the others",
    "the_others": "the {count} others together",
    "score": "score",
    "largest_numbers": "the largest of its {count} numbers",
    "others_change": "the others change none by more than {number}",
    # what cannot be read
    "too_long": "This is too long: {count} {kind}s. The model reads at most {most}.",
    "unknown_token": "{token}, {kind} {place}, is unknown to the model.{known}",
    "token": "“{token}”",
    "token_name": "“{token}” ({name})",
    "control_character": "A control character ({name})",
    "known": " It knows {space}“{characters}”.",
    "known_space": "the space and ",
    "please_check": "Please check:",
    "still_shows": " The picture below still shows {question}",
    # news of an answer
    "and": "; ",
    "the_model": "The model",
    "model": "Model “{name}”",
    "the_answer": "The answer is {answer}",
    "no_truth": "“{question}” {no_truth}, so {answer} is neither right nor wrong",
    "right": "{answer} is right",
    "wrong": "{answer} is wrong: it should be {right}",
    "beside_writes": "beside it, “{name}” writes {answer}",
    "gold_does_not_fit": "the gold alignment is {shape}, which does not fit an answer of {count} {kind}s",
    "no_gold_without_attention": "without attention the gold alignment cannot be shown",
    "no_gold": "there is no gold alignment to show",
    "no_why_without_attention": "without attention there is nothing to explain",
    # news of sentences, whose models read different languages
    "unknown_to_model": " Unknown to “{name}”: {tokens}.",
    "knows_none": " It knows none of these {kind}s; it reads {language}.",
    "not_beside": " “{name}” reads {language}, so it is not shown beside.",
    "language_changed": "“{name}” reads {language}, so an example in {language} stands in the box now.",
    # the answers of a beam
    "alternative": "{rank}. “{answer}”{right}: score {score}, probability {share}",
    "alternative_right": " (right)",
    "alternatives": "Answers of {name}, the best first: {answers}.",
    "alternatives_caption": "Answers of {name}, the best first; pressing one shows its weights",
    "rank": "rank",
    "probability": "probability",
    # controls
    "label_model": "model",
    "label_beside": "beside it",
    "label_none": "none",
    "label_step": "step",
    "label_play": "play the steps",
    "label_answer": "answer",
    "label_question": "question",
    "label_gold": "show the gold alignment",
    "label_why": "show why",
    "label_beam": "beam size",
    "label_alternative": "answer of rank",
    "tip_step": "the step that writes {kind} {place}",
    "tip_column": "the column of {kind} {place}",
    "tip_no_column": "light no column",
    "another_example": "another example",
    "save": "Save what is shown as",
    "or": " or ",
    "run_cell": "{widget}: {about}. Run this cell to use it.",
    # the page on the web only
    "examples": "examples",
    "choose_example": "choose an example",
    "pages": "what to read",
    "heatmap": "heatmap",
    "heatmap_beside": "heatmap of the model beside it",
    "loading": "Loading the weights of {names} …",
    "no_file": "{file} could not be loaded. It belongs beside this page; is the network there?",
    "how": "How does this work?",
    "no_script": "This page computes in your browser, and JavaScript is off. Please turn it on.",
    "languages": "language",
}


def say(phrase, **words):
    """Return a phrase in the chosen language, with its gaps filled in; a ``kind`` of tokens is translated, too.

    Raises: KeyError for another phrase, or a gap without a word.
    """
    if "kind" in words:
        words["kind"] = language.say(words["kind"])
    return language.say(PHRASES[phrase], **words)
