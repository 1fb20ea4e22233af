// Package completion owns the completion command of raygo's commands.
package completion

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

var shells = []string{"bash", "fish", "powershell", "zsh"}

// Command prints the script that completes root's commands and flags in a
// shell.
func Command(root *cobra.Command) *cobra.Command {
	root.CompletionOptions.DisableDefaultCmd = true
	name := root.Name()
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Print the script that completes commands and flags: " + strings.Join(shells, ", "),
		Example:   fmt.Sprintf("  source <(%[1]s completion bash)\n  %[1]s completion zsh > \"${fpath[1]}/_%[1]s\"\n  %[1]s completion fish > ~/.config/fish/completions/%[1]s.fish", name),
		ValidArgs: shells,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			default:
				return root.GenZshCompletion(out)
			}
		},
	}
}
