package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/member"
	"github.com/raygo/raygo/sdk/ipc"
)

// CreateCluster makes the key of a new cluster in a file that only its owner may
// read, by default in the user's data directory, and returns the file and the
// cluster's ID. It replaces no file.
func CreateCluster(file string) (path, id string, err error) {
	if file == "" {
		dir, err := defaultDataDir()
		if err != nil {
			return "", "", err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", "", fmt.Errorf("make the data directory: %w", err)
		}
		file = member.DefaultKeyFile(dir)
	}
	if file, err = filepath.Abs(file); err != nil {
		return "", "", err
	}
	a, err := member.NewAuthority()
	if err != nil {
		return "", "", err
	}
	return file, a.ClusterID(), a.Save(file)
}

// invite makes an invite to the cluster, at a peer that has its key.
func (n *Node) invite(q *ipc.Query) (*ipc.Invite, error) {
	role, err := member.ParseRole(q.ID)
	if err != nil {
		return nil, err
	}
	var ttl time.Duration
	for _, f := range q.Filters {
		text, ok := strings.CutPrefix(f, "ttl=")
		if !ok {
			return nil, fmt.Errorf("invite: %q is not ttl=DURATION", f)
		}
		if ttl, err = time.ParseDuration(text); err != nil {
			return nil, fmt.Errorf("invite: %w", err)
		}
	}
	switch {
	case n.mesh == nil || n.mesh.stand.Loopback:
		return nil, raygo.Fail(raygo.CodeRefused, "this peer is in no cluster: 'raygo cluster create' makes the key of one, and raygo-peer --cluster-key FILE uses it")
	case n.mesh.inviter == nil:
		return nil, raygo.Fail(raygo.CodeRefused, "this peer does not have the cluster's key: ask one that was started with --cluster-key")
	}
	inv, err := n.mesh.inviter.New(role, ttl)
	if err != nil {
		return nil, err
	}
	return &ipc.Invite{Text: inv.String(), Cluster: inv.ClusterID(), Role: string(inv.Role), Expires: inv.Expires}, nil
}
