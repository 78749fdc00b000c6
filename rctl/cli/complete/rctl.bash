# bash completion for rctl; made by: rctl completion bash
_rctl() {
    local word more help
    COMPREPLY=()
    compopt -o nospace
    while IFS=$'\t' read -r word more help; do
        case $word in
            :files)
                compopt +o nospace -o default
                return
                ;;
            :commands)
                compopt +o nospace
                mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
                return
                ;;
        esac
        [[ $more == + ]] || word+=' '
        COMPREPLY+=("$word")
    done < <("${1:-rctl}" complete bash -- "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -F _rctl rctl
