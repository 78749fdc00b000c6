#compdef rctl
# zsh completion for rctl; made by: rctl completion zsh
_rctl() {
    local word more help
    local -a whole whole_shown begun begun_shown
    while IFS=$'\t' read -r word more help; do
        case $word in
            (:files) _files; return ;;
            (:commands) _command_names -e; return ;;
        esac
        if [[ $more == + ]]; then
            begun+=("$word") begun_shown+=("$word${help:+  -- $help}")
        else
            whole+=("$word") whole_shown+=("$word${help:+  -- $help}")
        fi
    done < <("${(Q)words[1]}" complete zsh -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)
    (( ${#whole} )) && compadd -l -V whole -d whole_shown -a whole
    (( ${#begun} )) && compadd -V begun -S '' -d begun_shown -a begun
    return 0
}
if [[ $funcstack[1] == _rctl ]]; then
    _rctl "$@"
else
    compdef _rctl rctl
fi
