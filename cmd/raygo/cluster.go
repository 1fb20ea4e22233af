package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/node"
	"github.com/raygo/raygo/sdk/ipc"
)

func newCluster(s *shared) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Make a cluster of several machines, and invite others to it",
		Long: `Make a cluster of several machines, and invite others to it.

  raygo cluster create                              # on the first machine
  raygo-peer --cluster-key FILE --listen /ip4/0.0.0.0/tcp/4001
  raygo cluster invite                              # there, once for each further machine
  raygo-peer --join INVITE --listen /ip4/0.0.0.0/tcp/4001   # on that machine`,
		RunE: subcommandNeeded,
	}
	cmd.AddCommand(newClusterCreate(s), newClusterInvite(s), newClusterMembers(s), newClusterRevoke(s))
	return cmd
}

// created is what cluster create prints.
type created struct {
	File    string `json:"file"`
	Cluster string `json:"cluster_id"`
}

func newClusterCreate(s *shared) *cobra.Command {
	return &cobra.Command{
		Use:   "create [FILE]",
		Short: "Make the key of a new cluster",
		Long: `Make the key of a new cluster in FILE (default cluster.key in the data directory),
for raygo-peer --cluster-key. Whoever has it decides who is a member: keep it on
machines that may admit others. A file that is there is not replaced.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) > 0 {
				file = args[0]
			}
			file, id, err := node.CreateCluster(file)
			if err != nil {
				return err
			}
			return s.printer(cmd).Value(created{file, id}, func(w io.Writer) {
				fmt.Fprintf(w, "made cluster %s\nits key: %s\n\n", id, file)
				fmt.Fprintf(w, "On machines that may admit others:\n  raygo-peer --cluster-key %s --listen /ip4/0.0.0.0/tcp/4001\n", file)
				fmt.Fprintf(w, "For any other, make an invite there:\n  raygo cluster invite\n")
			})
		},
	}
}

func newClusterInvite(s *shared) *cobra.Command {
	role, ttl := "peer", time.Hour
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Make an invite, with which one machine joins the cluster",
		Long: `Make an invite, with which one machine joins the cluster, on a peer that was
started with --cluster-key. It is a string with addresses and a secret that works
once: pass it on as you would a password. That peer itself takes it, and has to
run until then.

With the role peer the machine runs tasks, with client it runs programs on the
cluster and offers nothing, with read it may look and change nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch role {
			case "peer", "client", "read":
			default:
				return usagef("--role %q is not one of peer, client, read", role)
			}
			if ttl < time.Second {
				return usagef("--ttl %s: an invite lasts a second at least", ttl)
			}
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			inv, err := ask.One[ipc.Invite](cmd.Context(), c, ipc.Query{Op: ipc.QueryInvite, ID: role, Filters: []string{"ttl=" + ttl.String()}})
			if err != nil {
				return err
			}
			return s.printer(cmd).Value(inv, func(w io.Writer) { fmt.Fprintln(w, inv.Text) })
		},
	}
	cmd.Flags().StringVar(&role, "role", role, "what the newcomer may do: peer, client or read")
	cmd.Flags().DurationVar(&ttl, "ttl", ttl, "how long the invite can be used")
	return cmd
}
