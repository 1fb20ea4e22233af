package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

func newClusterRevoke(s *shared) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke PEER",
		Short: "Expel a peer from the cluster",
		Long: `Expel a peer from the cluster, on a peer that was started with --cluster-key. PEER
is its ID, or as much of its beginning as only it has. All members disconnect it and
never let it in again; what ran there runs elsewhere. A machine that holds the
cluster's key can admit itself under another ID: against that, make a new cluster.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(args[0]) == "" {
				return usagef("raygo cluster revoke takes the ID of a peer; 'raygo cluster members' lists them")
			}
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := ask.One[ipc.Revoked](cmd.Context(), c, ipc.Query{Op: ipc.QueryRevoke, ID: args[0]})
			if err != nil {
				return err
			}
			return s.printer(cmd).Value(r, func(w io.Writer) {
				fmt.Fprintf(w, "expelled %s; the deny list (epoch %d) names %s\n", r.PeerID, r.Epoch, show.Count(r.Denied))
			})
		},
	}
}

func newClusterMembers(s *shared) *cobra.Command {
	return &cobra.Command{
		Use:   "members",
		Short: "List the members that a peer is connected to, and those that were expelled",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			rows, err := ask.One[ipc.Rows[ipc.MemberRow]](cmd.Context(), c, ipc.Query{Op: ipc.QueryMembers})
			if err != nil {
				return err
			}
			return s.printer(cmd).Value(rows, func(w io.Writer) { show.Rows(w, rows.Rows, memberColumns, false) })
		},
	}
}

// memberColumns are those of cluster members.
var memberColumns = []show.Column[ipc.MemberRow]{
	{Head: "peer_id", Cell: func(r ipc.MemberRow) string { return r.PeerID }},
	{Head: "role", Cell: func(r ipc.MemberRow) string { return r.Role }},
	{Head: "state", Cell: func(r ipc.MemberRow) string { return r.State }},
	{Head: "valid_until", Cell: func(r ipc.MemberRow) string { return date(r.Until) }},
	{Head: "expelled", Cell: func(r ipc.MemberRow) string { return date(r.Since) }},
}

// date is a time as a person reads it, or nothing.
func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}
