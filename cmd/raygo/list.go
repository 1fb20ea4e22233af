package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

// listFlags are the flags of list.
type listFlags struct {
	filters []string
	limit   int
	detail  bool
}

func newList(s *shared) *cobra.Command {
	f := &listFlags{}
	cmd := &cobra.Command{
		Use:   "list tasks|objects|nodes|workers|jobs",
		Short: "List what a peer knows of, with filters",
		Example: `  raygo list tasks --filter state=RUNNING --filter 'func_name!=main.square'
  raygo list objects --detail --limit 1000
  raygo list jobs --format json`,
		RunE: subcommandNeeded,
	}
	fs := cmd.PersistentFlags()
	fs.StringArrayVar(&f.filters, "filter", nil, "keep rows with `KEY=VALUE`, or without it by KEY!=VALUE; repeated, all must hold. Keys are those of the JSON output")
	fs.IntVar(&f.limit, "limit", 100, "rows at most")
	fs.BoolVar(&f.detail, "detail", false, "show every column")
	cmd.AddCommand(
		listOf(s, f, "tasks", ipc.QueryTasks, taskColumns),
		listOf(s, f, "objects", ipc.QueryObjects, objectColumns),
		listOf(s, f, "nodes", ipc.QueryNodes, nodeColumns),
		listOf(s, f, "workers", ipc.QueryWorkers, workerColumns),
		listOf(s, f, "jobs", ipc.QueryJobs, jobColumns),
	)
	return cmd
}

func listOf[R any](s *shared, f *listFlags, what, op string, columns []show.Column[R]) *cobra.Command {
	return &cobra.Command{
		Use:   what,
		Short: "List " + what,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.limit < 1 {
				return usagef("--limit %d: at least 1 row is needed", f.limit)
			}
			if err := checkFilters[R](f.filters); err != nil {
				return err
			}
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			rows, err := ask.List[R](cmd.Context(), c, ipc.Query{Op: op, Filters: f.filters, Limit: f.limit, Detail: f.detail})
			if err != nil {
				return err
			}
			return show.List(s.printer(cmd), what, rows, columns, f.detail)
		},
	}
}

// checkFilters refuses a filter that is not of the form, or whose key no row
// has.
func checkFilters[R any](filters []string) error {
	keys := jsonKeys(reflect.TypeFor[R]())
	for _, filter := range filters {
		key, _, ok := strings.Cut(filter, "=")
		key = strings.TrimSpace(strings.TrimSuffix(key, "!"))
		switch {
		case !ok || key == "":
			return usagef("--filter %q: write KEY=VALUE or KEY!=VALUE", filter)
		case !slices.Contains(keys, key):
			return usagef("--filter %q: no column %q; there are %s", filter, key, strings.Join(keys, ", "))
		}
	}
	return nil
}

func jsonKeys(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		keys = append(keys, name)
	}
	return keys
}
