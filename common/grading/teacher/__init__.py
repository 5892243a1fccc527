"""Grading a folder of submissions: what only a teacher needs. ``python -m common.grading grade`` calls it.

| module        | what it does                                                                                 |
|---------------|----------------------------------------------------------------------------------------------|
| `handed_in`   | finds the files that students handed in, in folders and archives, and whose they are         |
| `submissions` | reads them: which notebook each is, and the answer cells in it                               |
| `steps`       | makes the list of cells that are run to grade a submission                                   |
| `grade`       | runs the steps of every submission, starting again without a cell that hung or crashed       |
| `rows`        | judges what came back, a row of ``scores.csv`` for each exercise                             |
| `report`      | writes ``scores.csv``, ``junit.xml`` and the pages, elsewhere if need be                      |
| `pages`       | the pages of a report: feedback for each student, and a summary                              |
| `sandbox`     | runs steps apart from the machine, and watches time, memory and processes                    |
| `memory`      | how much memory the machine, or the grader's container, has left                             |
| `bwrap`       | the command line of bubblewrap, and whether it works on this machine                         |
| `seccomp`     | the system calls that students' code is refused, as a filter for bubblewrap                  |
| `launch`      | how a worker is started: its command, environment and limits                                 |
| `worker`      | in the sandbox: the process that is started; it limits itself and drops its rights           |
| `runner`      | in the sandbox: runs the steps through nbval and reports                                     |
| `probe`       | in the student's kernel: calls an answer and publishes the values                            |
"""
