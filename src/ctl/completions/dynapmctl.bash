# SPDX-License-Identifier: ISC
# shellcheck shell=bash
# bash-completion for dynapmctl(1)

_dynapmctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} verb='' word i
    local commands='list status top why start stop restart logs cat check reload new metrics'
    local options='--help --version --user --runtime-dir= --config-dir= --config= --json --openmetrics --no-legend --no-pager --follow --lines= --batch --once'
    local new='--exec= --unit= --docker= --compose= --pm2= --systemd-run= --commands= --stop= --check= --host= --port= --path=
        --base= --target= --health= --idle-timeout= --service-user= --cwd= --force --stdout'
    local -a ask=()

    # bash takes --option=value apart at the '='.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --user) ask+=("$word") ;;
        --runtime-dir=*) ask+=("$word") ;;
        --runtime-dir)
            if [[ ${COMP_WORDS[i + 1]-} == = && -n ${COMP_WORDS[i + 2]-} ]]; then
                ask+=("$word=${COMP_WORDS[i + 2]}")
                ((i += 2))
            fi
            ;;
        --*)
            if [[ ${COMP_WORDS[i + 1]-} == = ]]; then ((i += 2)); fi
            ;;
        -* | =) ;;
        *) verb=${verb:-$word} ;;
        esac
    done

    COMPREPLY=()
    if [[ $cur == -* ]]; then
        if [[ $verb == new ]]; then options+=" $new"; fi
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
        if [[ ${COMPREPLY[0]-} == *= ]]; then compopt -o nospace 2>/dev/null; fi
    elif [[ $cur == = || ${COMP_WORDS[COMP_CWORD - 1]} == = || $verb == check || $verb == new ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "${cur#=}")
        compopt -o filenames 2>/dev/null
    elif [[ $verb == reload ]]; then
        :
    elif [[ -z $verb ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
    else
        local services
        services=$(dynapmctl "${ask[@]}" list --no-legend 2>/dev/null | while read -r word _; do printf '%s\n' "$word"; done)
        mapfile -t COMPREPLY < <(compgen -W "$services" -- "$cur")
    fi
    return 0
}

complete -F _dynapmctl dynapmctl
