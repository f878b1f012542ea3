"""Every channel that somebody untrusted can write, fed with damaged and hostile input.

    python -m tests.fuzz [--rounds 20000] [--seed 1] [CHANNEL ...]

The oracle is survival: a channel's reader returns, or raises the one error that
its caller catches. Anything else would end a process of the guard. What a sound
input does is checked first, so that a reader which refuses all cannot pass.
"""
