/** Shells that have a script. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const

export type Shell = (typeof SHELLS)[number]

/**
 * What a shell has to read so that it completes `plexus`. Each script asks the program itself by `__complete`
 * (see `formatCompletion`), so it need not be renewed with the program.
 */
export const COMPLETION_SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# Completion of plexus for bash: source <(plexus completion bash)
_plexus() {
    local i word line full= cur prefix directive=0
    local -a words=() found=()
    # Bash takes "=" and ":" for words of their own.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=\${COMP_WORDS[i]}
        if ((i > 1)) && [[ $word == [=:]* || \${COMP_WORDS[i-1]} == [=:] ]]; then
            words[\${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
    done
    full=\${words[\${#words[@]}-1]}
    cur=\${COMP_WORDS[COMP_CWORD]}
    [[ $cur == [=:] ]] && cur=
    prefix=\${full%"$cur"}
    while IFS= read -r line; do
        case $line in
            :*) directive=\${line#:} ;;
            *) found+=("\${line%%$'\\t'*}") ;;
        esac
    done < <("\${COMP_WORDS[0]}" __complete "\${words[@]}" 2>/dev/null)
    COMPREPLY=()
    for word in "\${found[@]}"; do
        printf -v word %q "\${word#"$prefix"}"
        COMPREPLY+=("$word")
    done
    ((\${#found[@]} == 0)) || return 0
    case $directive in
        0) word=-f ;;
        16) word=-d ;;
        *) return 0 ;;
    esac
    compopt -o filenames 2>/dev/null
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(compgen "$word" -- "$cur")
}
complete -F _plexus plexus
`,
  zsh: `#compdef plexus
# Completion of plexus for zsh: source <(plexus completion zsh)
_plexus() {
  local -a lines described
  local line word directive
  lines=("\${(@f)$("\${(Q)words[1]}" __complete "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  directive=\${lines[-1]#:}
  for line in "\${(@)lines[1,-2]}"; do
    word=\${line%%$'\\t'*}
    described+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( $#described )); then
    _describe plexus described
  elif [[ $directive == 16 ]]; then
    _files -/
  elif [[ $directive == 0 ]]; then
    _files
  fi
}
compdef _plexus plexus
`,
  fish: `# Completion of plexus for fish: plexus completion fish | source
function __plexus_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    test (count $lines) -gt 0; or return
    set -l directive $lines[-1]
    set -e lines[-1]
    if test (count $lines) -gt 0
        printf '%s\\n' $lines
    else if test $directive = :16
        __fish_complete_directories "$current" ''
    else if test $directive = :0
        __fish_complete_path "$current"
    end
end
complete -c plexus -f -a '(__plexus_complete)'
`,
}
