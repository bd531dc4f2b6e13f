"""Completion in the shell: program names, the launcher's options, and Hydra's groups and settings.

Hydra's own completion would start the program, and with it torch, at each press of the key. Here Hydra reads
the configuration only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from align.cli.launching import LAUNCH_OPTIONS
from align.cli.programs import Program, ProgramError, all_programs, find_program, home

_BASH = r"""_mohoalign() {
    local line="${COMP_LINE:0:COMP_POINT}" word="${COMP_WORDS[COMP_CWORD]}" whole kept
    local -a words
    read -ra words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    whole="${words[${#words[@]}-1]}"
    [[ "$word" == "=" || "$word" == ":" ]] && word=""
    kept="${whole%"$word"}"   # bash splits words at = and :, and wants what follows them
    COMPREPLY=()
    local candidate
    while IFS= read -r candidate; do
        [[ -n "$candidate" ]] && COMPREPLY+=("${candidate#"$kept"}")
    done < <(mohoalign --complete "${words[@]:1}" 2> /dev/null)
    if (( ${#COMPREPLY[@]} == 0 )) && [[ "$whole" == *=* ]]; then
        compopt -o filenames
        while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -f -- "$word")
    fi
}
complete -o nospace -F _mohoalign mohoalign"""

_ZSH = r"""_mohoalign() {
    local -a candidates ends
    candidates=("${(@f)$(mohoalign --complete "${(@)words[2,CURRENT]}" 2> /dev/null)}")
    candidates=(${candidates:#})
    if (( ${#candidates} )); then
        compadd -S '' -- $candidates
    elif [[ "$PREFIX" == *=* ]]; then
        compset -P '*='
        _files
    fi
}
(( ${+functions[compdef]} )) || { autoload -Uz compinit && compinit -i }
compdef _mohoalign mohoalign"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH}


def script_for(shell: str) -> str:
    """What `eval "$(mohoalign completion SHELL)"` sets up. Raises `ProgramError` for another shell."""
    if shell not in _SCRIPTS:
        raise ProgramError(f"completion {shell or 'SHELL'}: choose {' or '.join(_SCRIPTS)}")
    return _SCRIPTS[shell]


def candidates(words: Sequence[str]) -> list[str]:
    """What the last of `words` (the words after `mohoalign`, the last one unfinished) may become."""
    words = list(words) or [""]
    if words[0] == "--show":
        words = words[1:] or [""]
    done, word = words[:-1], words[-1]
    if not done:
        names = [program.name for program in all_programs()] + ["doctor", "completion", "help"]
        return sorted(f"{name} " for name in names if name.startswith(word.replace("-", "_")))
    if done[0] == "help":
        return sorted(program.name for program in all_programs() if program.name.startswith(word))
    if done[0] == "completion":
        return [shell for shell in _SCRIPTS if shell.startswith(word)]
    if done[0] == "doctor":
        return [option for option in ("--json",) if option.startswith(word)]
    try:
        program = find_program(done[0])
    except ProgramError:
        return []
    if done[-1] == "--accelerate":
        configs = (home() / "configs" / "accelerate").glob("*.yaml")
        return sorted(f"{file.stem} " for file in configs if file.stem.startswith(word))
    if word.startswith("-"):
        options = [
            *(LAUNCH_OPTIONS if program.launched or program.may_be_launched else ()),
            "--help",
            "--multirun",
            "--cfg",
        ]
        return [f"{option} " for option in options if option.startswith(word)]
    return _overrides(program, done[1:], word)


def _overrides(program: Program, done: Sequence[str], word: str) -> list[str]:
    """Hydra's groups, choices and settings for `word`, given the overrides before it."""
    name = program.config_name()
    if name is None:
        return []
    from hydra import version
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_automatic_config_search_path
    from hydra.plugins.completion_plugin import DefaultCompletionPlugin

    version.setbase("1.3")
    search = create_automatic_config_search_path(None, None, str(home() / "configs"))
    hydra = Hydra.create_main_hydra2(task_name=program.name, config_search_path=search)
    earlier = [each for each in done if "=" in each and not each.startswith("-")]
    line = " ".join([*earlier, word])
    found = DefaultCompletionPlugin(hydra.config_loader)._query(config_name=name, line=line)
    # A group's choice is finished; a setting that may go on is not.
    return [each if each.endswith(("=", ".", "/", os.sep)) else f"{each} " for each in found]
