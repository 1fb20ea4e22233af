package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/raygo/raygo/sdk/lint"
)

// newVet is 'raygo vet': the static checks of package lint.
func newVet() *cobra.Command {
	return &cobra.Command{
		Use:   "vet [PACKAGE]...",
		Short: "Look for habits that cost a program its parallelism",
		Long: `vet reads the source of programs that use raygo, as 'go vet' does, and reports
what compiles, gives right results and still is not what one wants: Get of a call
in the loop that makes the calls, Get of refs one by one in the order of their
submission, goroutines that outlive their task.`,
		Example: "  raygo vet ./...",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			pkgs, err := packages.Load(&packages.Config{Mode: packages.LoadSyntax, Tests: true}, args...)
			if err != nil {
				return fmt.Errorf("load %v: %w", args, err)
			}
			if packages.PrintErrors(pkgs) > 0 {
				return fmt.Errorf("load %v: the packages do not compile", args)
			}
			graph, err := checker.Analyze([]*analysis.Analyzer{lint.Analyzer}, pkgs, nil)
			if err != nil {
				return fmt.Errorf("check %v: %w", args, err)
			}
			found := map[string]bool{} // a package and its test variant say the same
			for act := range graph.All() {
				if act.Err != nil {
					return fmt.Errorf("check %s: %w", act.Package.PkgPath, act.Err)
				}
				for _, d := range act.Diagnostics {
					if line := fmt.Sprintf("%s: %s", act.Package.Fset.Position(d.Pos), d.Message); !found[line] {
						found[line] = true
						fmt.Fprintln(cmd.OutOrStdout(), line)
					}
				}
			}
			if len(found) > 0 {
				return fmt.Errorf("%d finding(s)", len(found))
			}
			return nil
		},
	}
}
