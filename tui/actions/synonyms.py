"""Other words for actions: what people type into the palette who do not know an action's title."""

from collections.abc import Mapping

_TABLE = """
write: prompts, edit prompts, examples, edit examples, dataset, data, inputs, my own data, accuracy, grades, grading,
    change examples, type prompts, text, sentences, labels, my own prompts, show prompts, answers, tokens
run: start, go, train, train sae, execute, launch, fit, probe, compute, discover circuit, find circuit, begin,
    again, restart,
    retrain, train again, rerun
options: hyperparameters, parameters, learning rate, epochs, steps, batch size, sparsity, lambda, seeds, random seed,
    number of features, dictionary size, gpu, cuda, device, cpu, precision, dtype, model, change model, switch model,
    load model, select model, preset, out of memory, memory, how long will it take, layers,
    only heads, only mlps, train longer, more steps, pytorch, batch, sae, autoencoder, epoch,
    choose model, which model, position, random heads, settings of the run
progress: loss, losses, loss curve, queue, time left, eta, how long will it take, training curve, status, jobs
stop: cancel, abort, interrupt, kill, halt, pause,
    stop everything, stop training, exit run
cause: patch, patching, activation patching, causal effect, causal tracing, ablate, ablation, attribution patching,
    importance, intervene, intervention, faithfulness, completeness, logit difference, interchange,
    which heads matter, important heads, importance of heads, attribution, gradients, gradient, saliency, logits
backups: backup heads, self-repair, redundancy, redundant heads, hydra effect
card: why, verdict, summary, results, statistics, p value, significance, believe, trust, quality, faithfulness, report,
    accuracy, conclusion, explain,
    random baseline, baselines, mean difference, linear probe, how sure, believable,
    confidence, permutation test, false discovery rate, generalise, generalisation, robust, stability, bootstrap
measure.next: metric, score, change metric, heatmap, colour by, statistic, switch measure
measure.previous: metric, score, heatmap
pick_measure: metric, score, select metric, unique codes, overlap, mutual information, total variation,
    mean difference, linear probe, norm
cut.fewer: threshold, cutoff, smaller circuit, decrease threshold, raise threshold
cut.more: threshold, cutoff, larger circuit, bigger circuit, increase threshold, lower threshold
seed: features, codes, next seed, change seed, seeds, random seed, latents
close_up: attention, attention pattern, attention map, attention weights, attention head, neuron, neurons, mlp, mlps,
    explain head, explain, why, what does this head do, head details, logit lens, logits, unembedding, features, codes,
    latents, interpret, embedding, zoom, open head, details, look closer,
    token attention, attention to tokens, look at head, inspect head, show head, activations,
    query key, qk circuit, ov circuit, which token, what it writes, what it attends to, promoted words, head info
stream_grid: residual stream, causal tracing, token positions, position, positions, tokens, logit lens, last token,
    patch residual stream, layer by position, rome
side_by_side: attention, attention pattern, attention map, compare heads, two heads side by side, several heads
switch_off: ablate, ablation, knock out, knockout, zero ablation, mean ablation, turn off, turn off head, disable head,
    remove head, intervene, logits, next token, prediction, generate, steer,
    probability, probabilities, effect on output, without this head, causal intervention
edges: graph, connections, path patching, composition, links, circuit graph, diagram, network, k-composition,
    circuit drawing, wiring,
    attention edges, upstream, downstream, head to head, information flow
atlas: ordinary text, corpus, contexts, top contexts, max activating examples, kinds of heads, induction heads,
    previous token heads, what does this head do, headvis, which heads write, which heads attend to, copying heads,
    search heads by token, attention sink
scatter: scatter plot, plot, correlation, two measures, metric against metric, points, xy
sweeps: sweep, grid search, hyperparameter sweep, hyperparameter search, many runs, batch runs, checkpoints,
    training steps, births, when does a head form, phase change, grokking, ray, slurm, cluster, workers,
    learning curve
runs: list runs, history, previous run, all runs, experiments, results, compare runs, change run, select run, open run,
    older run
table: results, list heads, list, spreadsheet, top heads, best heads, sort, sort heads, ranking, filter, filter heads,
    statistics, all heads, export table, csv,
    important heads, which heads matter, head list,
    numbers, values, measures, scores
jump: go to, goto, go to head, find head, search, search head, find node, go to layer, go
jump_labels: hints, easymotion, vimium, quick jump, go to pane, labels, go to
difference: diff, compare, compare runs, subtract, minus, contrast, compare models, compare seeds
end_difference: clear difference, stop comparing, escape
overlay: known circuit, ground truth, reference circuit, published circuit, name mover, show circuit, lay over
keep: save, save circuit, store circuit, bookmark, name circuit, circuit
circuits: union, intersection, set operations, load circuit, combine circuits, circuit, open circuit
verify: reproduce, repeat, replicate, check, rerun, determinism, reproducibility, validate,
    is it correct, same result, reproducible
mark: select, pick, multiple heads, choose head, highlight, group heads, tick
mark_layer: select layer, select all, mark all,
    layer
mark_circuit: select circuit, select all, mark all
unmark: deselect, remove mark, remove marks, clear selection, clear, reset, select none, unselect,
    unmark all, unmark everything
mark_box.right: select several, select box
signs: p value, significance, stars, significant, q value, symbols, fdr,
    permutation test, false discovery rate
ranking.next: next head, next best, weaker head, ranking, next node
ranking.previous: previous head, stronger head, ranking, previous node
ranking_first: best head, top head, strongest head, top heads, ranking
move.left: cursor left, previous head
move.right: cursor right, next head
move.up: cursor up, previous layer
move.down: cursor down, next layer
next_pane: next tab, switch window, focus, switch pane, next window, tab
next_pane.back: previous tab, switch window, previous window
show_pane.examples: prompts, list of prompts, full screen,
    show prompts
show_pane.grid: heatmap, grid, full screen, matrix, map of heads,
    make bigger, zoom
show_pane.head: explain, details, codes, features, full screen, head details
sessions: projects, workspace, open, open session, load session, switch session, list sessions, files, recent, history,
    last session, earlier session, all sessions,
    where are my files, my runs, saved work, saved runs
copy: export, clipboard, screenshot, svg, markdown, png, picture, image, share, save image, figure, plot, latex, yank,
    print, save png, save image
note.head: notes, comment, annotate, annotation, label, write note, add note, describe
note.run: notes, comment, annotate, annotation, add note, name run
replay: playback, rewind, timeline, history, record, recording, time travel, play, animate, pause,
    step through, record video, movie, film, undo history
log: logs, error, errors, crash, debug, traceback, bug, exception, warnings, output
tour: tutorial, intro, introduction, getting started, guide, walkthrough, how to, learn, demo, beginner, onboarding
theme: colours, color scheme, dark mode, light mode, night mode, appearance, color blind, high contrast, skin,
    wrong colours, background
settings: preferences, config, configuration, bigger font, font size, font, customise, setup, mouse, options,
    colours, environment
keys: help, shortcuts, keybindings, hotkeys, key bindings, cheat sheet, commands, manual, docs, keyboard, what can i do
reopen: refresh, repaint, reload screen, clear screen, garbled, broken screen, glitch
suspend: shell, terminal, background, bash
leave: quit, exit, close, close the program, bye, end, finish, log out, disconnect, detach,
    quit without saving, save and quit

write:add: add example, new example, add prompt, new prompt, insert, paste
write:negatives: counterfactual, counterfactuals, corrupted prompts, corrupt, contrast pairs, minimal pairs, clean and
    corrupted, generate negatives, negative examples,
    add negatives, new negatives
write:more: generate more examples, augment, more examples, augmentation, more data, contrast pairs
write:step.undo: undo, revert, ctrl+z, undo deletion, go back,
    mistake, last change
write:step.redo: redo, repeat
write:remove: delete, delete example, remove example, delete prompt
write:include: disable example, exclude example, skip example
write:pair: contrast pairs, minimal pairs, match, link examples
write:copy: duplicate example, clone
write:flip: change label, swap label, polarity, positive negative
write:unfold: template, templates, slots, placeholders
write:trim: whitespace, trailing space
write:take: tasks, task, ready-made task, built-in task, ioi, indirect object, greater than, induction,
    docstring, benchmark, sample data, example task, dataset,
    induction heads
write:read: import, import file, load file, open file, load examples, jsonl, csv, my own data, upload, read file,
    dataset
write:store: export, export examples, save examples, jsonl, csv, save file, save, share
write:outside: editor, text editor, vim, nano, emacs, edit in editor, external editor, edit as text
write:position: last token, token position, position, which token, pooling, mean over tokens, token positions
write:mend: fix, weak examples, broken examples, invalid
sessions:new: new session, new, create session, new project, new experiment, model
sessions:find: search, search sessions, search notes
sessions:rename: rename, rename session, change name
sessions:tags: tag, label, add tag
sessions:note: notes, comment
sessions:delete: delete, delete session, remove session, erase
sessions:restore: restore session, undelete, recover, undo, undo deletion
sessions:trash: trash, deleted sessions, bin, recycle bin
options:check: check model, supported model, test model, model
options:preset: preset, defaults, quick, thorough, published settings, paper settings
options:put_all_back: reset options, restore defaults, default settings
edges:patch: path patching, patch, edge patching, exact patching
edges:weigh: edge weight, edge attribution
edges:group: group heads, cluster, supernode, group nodes
edges:fold: collapse group, supernode, merge nodes, expand group, unfold
edges:alike: group heads, cluster, similar heads
edges:pin: pin, pin node
edges:save: svg, graphml, save drawing, export graph, save
edges:prune.on: prune, threshold edges
copy-the-grid:copy.svg: svg, picture, vector graphic, figure
copy-the-grid:copy.md: markdown
copy-the-grid:copy.command: command line, shell command, cli, script, reproduce
copy-the-grid:copy.python: python, python script, notebook, snippet, code, transformerlens
copy-the-grid:copy.report: report, html, html report, share with a colleague, share, pdf, print, summary
table-of-heads:keep: csv, export table, save table, spreadsheet, export csv
table-of-heads:filter: filter heads, filter, query
table-of-heads:sort.right: sort, sort by, order by
mlp-page:neuron.next: neuron, neurons, activations
mlp-page:order: top neurons, sort neurons
mlp-page:through: path patching, downstream
close-look:explain: what does this code mean, explain code, code explanation, minimal prompt, neuron2graph,
    auto interpretation, interpret, explanation
explanation:families: families, feature families, codes together, co-occurrence, clusters of codes
close-look:through: path patching, downstream, composition, direct effect, indirect effect
close-look:steer: steer, steering, activation addition, steering vector, generate, intervene, add direction,
    dose response, contrastive activation addition, activation steering, ablate, clamp feature
close-look:colour: colour tokens, saliency
close-look:order: cluster prompts, group prompts
replay:play: play, pause, animate
replay:edge.start: rewind, beginning
replay:speed.up: faster, speed
runs:name: name run, rename run, name a run, label run
runs:tags: tag run, tag a run, label
runs:newest: newest run, latest run, last run
circuits:combine.union: union, merge circuits
circuits:combine.intersection: intersection, common heads
circuits:drop: delete circuit, remove circuit
log:errors: only errors
settings:usual: reset setting, default value
settings:again: reload config, reload keys
"""


def _read(table: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in table.replace("\n    ", " ").splitlines():
        name, between, phrases = line.partition(": ")
        if between:
            found[name] = tuple(phrase.strip() for phrase in phrases.split(","))
    return found


SYNONYMS: Mapping[str, tuple[str, ...]] = _read(_TABLE)
"""By full id of the action: run, write:add."""
