"""Small helpers for training and evaluating."""

from common.np import np, to_cpu, to_gpu

__all__ = ["clip_grads", "eval_seq2seq", "to_cpu", "to_gpu"]


def clip_grads(grads, max_norm):
    """Scale the gradients in place so that their joint Euclidean norm is at most ``max_norm``.

    Args: grads, a list of arrays; max_norm, a positive number. Returns: the norm before scaling, a float.
    Source: Pascanu et al. 2013, algorithm 1.
    """
    total = 0.0
    for grad in grads:
        flat = grad.reshape(-1)
        total += float(np.dot(flat, flat))
    norm = total**0.5
    rate = max_norm / (norm + 1e-6)
    if rate < 1:
        for grad in grads:
            grad *= rate
    return norm


def eval_seq2seq(model, question, correct, id_to_char, verbose=False, is_reverse=False):
    """Let the model answer one question and compare.

    Args: question (1, T) ids; correct (1, T_dec + 1) or (T_dec + 1,) ids with the start mark first; id_to_char, a dict;
    verbose, print question, truth and answer; is_reverse, the question was reversed, so turn it back for printing.
    Returns: 1 if every character is right, else 0.
    """
    correct = [int(i) for i in np.asarray(correct).reshape(-1)]
    start_id, correct = correct[0], correct[1:]
    guess = [int(i) for i in model.generate(question, start_id, len(correct))]
    if verbose:
        ids = [int(i) for i in np.asarray(question).reshape(-1)]
        if is_reverse:
            ids = ids[::-1]
        asked, truth, answer = ("".join(id_to_char[i] for i in row) for row in (ids, correct, guess))
        print("Q", asked)
        print("T", truth)
        print("☑" if guess == correct else "☒", answer)
        print("---")
    return 1 if guess == correct else 0
