package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help shows how to install it.
func (completionCmd) Help() string {
	return `Examples:
  source <(otactl completion bash)
  otactl completion zsh > "${fpath[1]}/_otactl"
  otactl completion fish > ~/.config/fish/completions/otactl.fish`
}

// Run prints the script.
func (c *completionCmd) Run(t *terminal) error { //nolint:unparam // as kong calls it
	root := t.parser.Model.Node
	common := flagsOf(root)
	var commands, cases []string
	for _, command := range root.Children {
		commands = append(commands, command.Name)
		flags := append(flagsOf(command), common...)
		if c.Shell == "fish" {
			fmt.Fprintf(t.out, "complete -c otactl -f -n __fish_use_subcommand -a %s -d '%s'\n", command.Name, strings.ReplaceAll(command.Help, "'", ""))
			for _, flag := range flags {
				fmt.Fprintf(t.out, "complete -c otactl -n '__fish_seen_subcommand_from %s' -l %s\n", command.Name, strings.TrimPrefix(flag, "--"))
			}
			continue
		}
		cases = append(cases, fmt.Sprintf("    %s) words=%q ;;", command.Name, strings.Join(flags, " ")))
	}
	if c.Shell == "fish" {
		return nil
	}
	if c.Shell == "zsh" {
		fmt.Fprint(t.out, "#compdef otactl\nautoload -U +X bashcompinit && bashcompinit\n")
	}
	fmt.Fprintf(t.out, `_otactl() {
  local words
  case "${COMP_WORDS[1]}" in
%s
    *) words=%q ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _otactl otactl
`, strings.Join(cases, "\n"), strings.Join(append(commands, common...), " "))
	return nil
}

// flagsOf returns the flags of a command itself, sorted.
func flagsOf(n *kong.Node) []string {
	var names []string
	for _, flag := range n.Flags {
		names = append(names, "--"+flag.Name)
	}
	slices.Sort(names)
	return names
}
