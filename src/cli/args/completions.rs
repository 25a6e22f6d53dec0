//! Completions for shells, from the definition of the command line, and the names of resources beside them. Returns a script and
//! never prints.
//!
//! Each script finds conf.d as the program does: by the flags on the line, the environment, then the folders below /etc. It reads
//! no settings file.

use clap::ValueHint;
use clap_complete::Shell;

use super::definition::for_completions;
use crate::config::settings::table::{self, SettingKind};

/// Completes the names of resources after `render`, `keys` and `diff`, what the running agent can explain after `explain`, and programs
/// after `--`, and leaves the rest to clap's
/// function.
const BASH_RESOURCES: &str = r#"
_upstreamd_confdirs() {
    local -a folders=()
    local i word
    for ((i = 1; i < ${#COMP_WORDS[@]}; i++)); do
        case "${COMP_WORDS[i]}" in
            --confdir=* | -confdir=*) word="${COMP_WORDS[i]#*=}" ;;
            --confdir | -confdir)
                # For readline, `=` is a word.
                [[ "${COMP_WORDS[i + 1]}" == "=" ]] && ((i++))
                word="${COMP_WORDS[++i]}"
                ;;
            *) continue ;;
        esac
        word="${word/#\~\//$HOME/}"
        folders+=("${word//[\"\'\\]/}")
    done
    if [[ ${#folders[@]} -eq 0 ]]; then
        IFS=, read -ra folders <<<"${UPSTREAMD_CONFDIR:-$CONFD_CONFDIR}"
    fi
    if [[ ${#folders[@]} -eq 0 ]]; then
        folders=(/etc/upstreamd)
        [[ ! -d /etc/upstreamd && -d /etc/confd ]] && folders=(/etc/confd)
    fi
    printf '%s\n' "${folders[@]}"
}
_upstreamd_with_resources() {
    local folder
    if [[ "$3" == "--" ]]; then
        mapfile -t COMPREPLY < <(compgen -c -- "$2" | sort -u)
        return
    fi
    case " ${COMP_WORDS[*]:1:COMP_CWORD-1} " in
        *" -- "*)
            # The arguments of that program: files, as bash completes them by itself.
            COMPREPLY=()
            return
            ;;
        *" render "* | *" keys "* | *" diff "*)
            if [[ "$2" != -* && "$3" != -* && "$2" != "=" && "$3" != "=" ]]; then
                mapfile -t COMPREPLY < <(
                    _upstreamd_confdirs | while IFS= read -r folder; do
                        (cd -- "$folder/conf.d" 2>/dev/null && compgen -f -X '!*.toml' -- "$2")
                    done
                )
                return
            fi
            ;;
        *" explain "*)
            if [[ "$2" != -* && "$2" != "=" && "$3" != "=" ]]; then
                COMPREPLY=()
                while IFS= read -r folder; do
                    [[ "$folder" == "$2"* ]] && COMPREPLY+=("$folder")
                done < <(upstreamd explain '' 2>/dev/null)
                return
            fi
            ;;
    esac
    _upstreamd "$@"
}
complete -F _upstreamd_with_resources -o nosort -o bashdefault -o default upstreamd
"#;

/// The function that completes names of resources; clap's functions call it where they would complete any file.
const ZSH_RESOURCES: &str = r#"
_upstreamd_resources() {
    local -a folders names
    local word folder is_next=
    for word in "${(@Q)upstreamd_line}"; do
        if [[ -n $is_next ]]; then
            folders+=("$word")
            is_next=
            continue
        fi
        case $word in
            (--confdir|-confdir) is_next=yes ;;
            (--confdir=*|-confdir=*) folders+=("${word#*=}") ;;
        esac
    done
    (( $#folders )) || folders=(${(s:,:)${UPSTREAMD_CONFDIR:-$CONFD_CONFDIR}})
    if (( ! $#folders )); then
        folders=(/etc/upstreamd)
        [[ ! -d /etc/upstreamd && -d /etc/confd ]] && folders=(/etc/confd)
    fi
    for folder in "${(@)folders/#\~\//$HOME/}"; do
        names+=("$folder"/conf.d/*.toml(N:t))
    done
    _describe -t resources 'resource' names
}
_upstreamd_explained() {
    local -a names
    names=(${(f)"$(upstreamd explain '' 2>/dev/null)"})
    compadd -a names || _files
}
"#;

/// The words of the whole line: inside, those before the subcommand are gone. What follows `--` is a command line of its own.
const ZSH_LINE: &str = r#"
_upstreamd() {
    local -a upstreamd_line
    local -i dashes=${words[(i)--]}
    if (( dashes < CURRENT )); then
        shift $dashes words
        (( CURRENT -= dashes ))
        _normal
        return
    fi
    upstreamd_line=("${words[@]}")
"#;

const FISH_RESOURCES: &str = r#"
function __upstreamd_resources
    set -l folders
    set -l is_next no
    for word in (commandline -opc)
        if test $is_next = yes
            set -a folders $word
            set is_next no
            continue
        end
        switch $word
            case --confdir -confdir
                set is_next yes
            case '--confdir=*' '-confdir=*'
                set -a folders (string replace -r '^--?confdir=' '' -- $word)
        end
    end
    for variable in UPSTREAMD_CONFDIR CONFD_CONFDIR
        if not set -q folders[1]; and test -n "$$variable"
            set folders (string split , -- $$variable)
        end
    end
    if not set -q folders[1]
        set folders /etc/upstreamd
        if not test -d /etc/upstreamd; and test -d /etc/confd
            set folders /etc/confd
        end
    end
    for folder in (string replace -r '^~/' "$HOME/" -- $folders)
        for file in $folder/conf.d/*.toml
            string replace -r '.*/' '' -- $file
        end
    end
end
complete -c upstreamd -n "__fish_seen_subcommand_from render keys diff" -f -a "(__upstreamd_resources)"
complete -c upstreamd -n "__fish_seen_subcommand_from explain" -a "(upstreamd explain '' 2>/dev/null)"
complete -c upstreamd -n "contains -- -- (commandline -opc)" -a "(__fish_complete_command)"
"#;

/// The place where clap's function for fish parses the words before the cursor; it fails while the last of them is a flag whose value is
/// still to come.
const FISH_PARSE: &str = "    argparse -s (__fish_upstreamd_global_optspecs) -- $cmd 2>/dev/null\n";

/// Returns the completions for a shell.
pub(super) fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    // zsh would take a subcommand for the program, and complete nothing after it.
    clap_complete::generate(shell, &mut for_completions(), "upstreamd", &mut text);
    let text = String::from_utf8_lossy(&text);
    match shell {
        Shell::Bash => format!("{text}{BASH_RESOURCES}"),
        Shell::Zsh => zsh(&text),
        Shell::Fish => fish(&text),
        _ => text.into_owned(),
    }
}

fn zsh(text: &str) -> String {
    let (title, functions) = text.split_once('\n').unwrap_or_default();
    let functions = functions.replace("conf.d:_default'", "conf.d:_upstreamd_resources'");
    let functions = functions.replace("app.toml:_default'", "app.toml:_upstreamd_resources'");
    let functions = functions.replace("or web.toml:_default'", "or web.toml:_upstreamd_explained'");
    // The value of a switch is never the next word.
    let line = |line: &str| match line.contains("::BOOL:") {
        true => line.replacen("=[", "=-[", 1),
        false => line.to_owned(),
    };
    let functions: String = functions.split_inclusive('\n').map(line).collect();
    let functions = functions.replacen("\n_upstreamd() {\n", ZSH_LINE, 1);
    // Defined before the functions that call it: the file itself runs as the completion the first time.
    format!("{title}\n{ZSH_RESOURCES}{functions}")
}

fn fish(text: &str) -> String {
    let without_last = FISH_PARSE.replacen("    argparse", "    or argparse", 1).replace("$cmd", "$cmd[1..-2]");
    let mut text = text.replacen(FISH_PARSE, &format!("{FISH_PARSE}{without_last}"), 1);
    // The value of a switch is never the next word.
    for switch in table::ALL.iter().filter(|setting| setting.kind == SettingKind::Switch) {
        text = text.replacen(&format!(" {}= ", switch.name), &format!(" '{}=?' ", switch.name), 1);
    }
    text = text.replace("-r -f -a \"true\\t''\nfalse\\t''\"", "-f -a \"true\\t''\nfalse\\t''\"");
    for subcommand in for_completions().get_subcommands() {
        for argument in subcommand.get_positionals() {
            let words: Vec<String> =
                argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            let offered = match argument.get_value_hint() {
                ValueHint::DirPath => "(__fish_complete_directories)".to_owned(),
                _ => words.join(" "),
            };
            if !offered.is_empty() {
                let name = subcommand.get_name();
                text.push_str(&format!(
                    "complete -c upstreamd -n \"__fish_upstreamd_using_subcommand {name}\" -f -a \"{offered}\"\n"
                ));
            }
        }
    }
    text.push_str(FISH_RESOURCES);
    text
}
