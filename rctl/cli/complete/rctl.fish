# fish completion for rctl; made by: rctl completion fish
function __rctl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l plain
    for closing in '' '"' "'"
        set plain (string unescape -- "$current$closing"); and break
    end
    for line in ($words[1] complete fish -- $words[2..-1] "$plain" 2>/dev/null)
        set -l parts (string split \t -- $line)
        switch $parts[1]
            case :files
                __fish_complete_path "$current"
            case :commands
                __fish_complete_command
            case '*'
                printf '%s\t%s\n' $parts[1] "$parts[3]"
        end
    end
end
complete -c rctl -f -a '(__rctl_complete)'
