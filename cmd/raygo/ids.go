package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

// idKind is a kind of thing that has IDs: how long they are, and how to list
// them.
type idKind struct {
	what  string
	key   string
	whole int // characters of a whole ID; 0: they vary
	list  func(ctx context.Context, c *ask.Client) ([]string, error)
}

// prefixRows bounds the rows among which a shortened ID is looked for.
const prefixRows = 10_000

var (
	taskIDs   = idKind{"task", "task_id", 40, idsOf(ipc.QueryTasks, func(r ipc.TaskRow) string { return r.TaskID })}
	objectIDs = idKind{"object", "object_id", 48, idsOf(ipc.QueryObjects, func(r ipc.ObjectRow) string { return r.ObjectID })}
	nodeIDs   = idKind{"node", "peer_id", 0, idsOf(ipc.QueryNodes, func(r ipc.NodeRow) string { return r.PeerID })}
	jobIDs    = idKind{"job", "job_id", 16, idsOf(ipc.QueryJobs, func(r ipc.JobRow) string { return r.JobID })}
)

func idsOf[R any](op string, id func(R) string) func(context.Context, *ask.Client) ([]string, error) {
	return func(ctx context.Context, c *ask.Client) ([]string, error) {
		rows, err := ask.List[R](ctx, c, ipc.Query{Op: op, Limit: prefixRows})
		if err != nil {
			return nil, err
		}
		ids := make([]string, 0, len(rows.Rows))
		for _, r := range rows.Rows {
			ids = append(ids, id(r))
		}
		slices.Sort(ids)
		return slices.Compact(ids), nil
	}
}

// resolve makes a whole ID of the beginning of one. The kinds are tried in
// order; an ID that is whole already is taken as it is.
func resolve(ctx context.Context, c *ask.Client, id string, kinds ...idKind) (string, error) {
	for _, k := range kinds {
		if k.whole > 0 && len(id) == k.whole {
			return strings.ToLower(id), nil
		}
	}
	var names []string
	for _, k := range kinds {
		ids, err := k.list(ctx, c)
		if err != nil {
			return "", err
		}
		switch found := fits(ids, id); {
		case len(found) == 1, slices.Contains(found, id):
			return found[0], nil
		case len(found) > 1:
			return "", ambiguous(k.what, id, found)
		}
		names = append(names, k.what)
	}
	return "", fmt.Errorf("no %s whose ID begins with %q is known here", strings.Join(names, " or "), id)
}

// fits lists the IDs that begin with prefix.
func fits(ids []string, prefix string) []string {
	var found []string
	for _, id := range ids {
		if strings.HasPrefix(id, prefix) {
			found = append(found, id)
		}
	}
	return found
}

// ambiguous is the error about a beginning that fits several IDs.
func ambiguous(what, prefix string, found []string) error {
	shown := found[:min(len(found), 5)]
	return fmt.Errorf("%s %q could be any of %d: %s", what, prefix, len(found), strings.Join(shown, ", "))
}
