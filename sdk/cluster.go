package raygo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

// NodeInfo is one peer of the cluster.
type NodeInfo struct {
	ID       string
	Alive    bool
	Addrs    []string
	Total    map[string]float64
	Free     map[string]float64
	Labels   map[string]string
	Hostname string
	Platform string // os/arch
	Version  string
	Tier     string // how workers are isolated there
	Started  time.Time
}

// Nodes lists the peers of the cluster.
func Nodes(ctx context.Context) ([]NodeInfo, error) {
	var rows ipc.Rows[ipc.NodeRow]
	if err := query(ctx, &ipc.Query{Op: ipc.QueryNodes, Limit: 10_000}, &rows); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	nodes := make([]NodeInfo, len(rows.Rows))
	for i, r := range rows.Rows {
		nodes[i] = NodeInfo{
			ID: r.PeerID, Alive: r.Alive, Addrs: r.Addrs, Total: r.Total, Free: r.Free, Labels: r.Labels,
			Hostname: r.Hostname, Platform: r.Platform, Version: r.Version, Tier: r.Tier, Started: r.Started,
		}
	}
	return nodes, nil
}

// ClusterResources is what all living peers offer together.
func ClusterResources(ctx context.Context) (map[string]float64, error) {
	return sumNodes(ctx, func(n *NodeInfo) map[string]float64 { return n.Total })
}

// AvailableResources is what of ClusterResources is free now.
func AvailableResources(ctx context.Context) (map[string]float64, error) {
	return sumNodes(ctx, func(n *NodeInfo) map[string]float64 { return n.Free })
}

func sumNodes(ctx context.Context, of func(*NodeInfo) map[string]float64) (map[string]float64, error) {
	nodes, err := Nodes(ctx)
	if err != nil {
		return nil, err
	}
	sum := map[string]float64{}
	for i := range nodes {
		if nodes[i].Alive {
			for k, v := range of(&nodes[i]) {
				sum[k] += v
			}
		}
	}
	return sum, nil
}

// ask is a question to the peer that waits for its answer.
type ask struct {
	w       waiter
	answer  ipc.Answer
	outcome ipc.CancelOutcome
}

// ask sends a numbered request and waits for its answer.
func (s *Session) ask(ctx context.Context, frame func(number uint32) []byte) (*ask, error) {
	k := &ask{w: waiter{left: 1, bad: -1}}
	n := s.requests.Add(1)
	s.mu.Lock()
	s.asks[n] = k
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.asks, n)
		s.mu.Unlock()
	}()
	if err := s.out.now(frame(n)); err != nil {
		return nil, s.sendError(err)
	}
	if err := s.await(ctx, &k.w); err != nil {
		return nil, waitError(ctx, "ask the peer", err)
	}
	return k, nil
}

func (s *Session) answered(n uint32, fill func(*ask)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.asks[n]; k != nil {
		fill(k)
		k.w.fired(0, false)
	}
}

func query(ctx context.Context, q *ipc.Query, into any) error {
	sc, err := scopeOf(ctx)
	if err != nil {
		return err
	}
	k, err := sc.s.ask(ctx, func(n uint32) []byte { return ipc.AppendNumbered(nil, ipc.TypeQuery, n, q) })
	switch {
	case err != nil:
		return err
	case k.answer.Failure != nil:
		return errorOf(k.answer.Failure)
	case len(k.answer.Body) == 0:
		return errors.New("the peer's answer is empty")
	}
	return ipc.Unmarshal(k.answer.Body, into)
}
