package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/raygo/raygo/node/machine"
	"github.com/raygo/raygo/sdk/ipc"
)

// askLimit bounds how long the running peer may take to answer the doctor.
const askLimit = 10 * time.Second

// reachability is what the doctor finds of how peers of other machines reach the
// one that serves socket; of none, what this machine's addresses are.
func reachability(ctx context.Context, socket string) []machine.Finding {
	row, err := ownRow(ctx, socket)
	if err != nil {
		return []machine.Finding{
			{Name: "peer", OK: true, Value: fmt.Sprintf("none answers at %s: how it is reached is not known", socket)},
			interfaces(),
		}
	}
	return append([]machine.Finding{{Name: "peer", OK: true, Value: row.PeerID + " at " + socket}, listens(row), reached(row)}, crossings(row)...)
}

// ownRow asks the running peer for its own row of the list of nodes.
func ownRow(ctx context.Context, socket string) (*ipc.NodeRow, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	conn := ipc.NewConn(c.(*net.UnixConn), 0)
	defer conn.Close()
	if _, _, err := conn.Handshake(ctx, &ipc.Hello{Role: ipc.RoleCommand, PID: os.Getpid(), Program: "raygo-peer doctor"}); err != nil {
		return nil, err
	}
	if err := conn.Send(func(b []byte) []byte {
		return ipc.AppendNumbered(b, ipc.TypeQuery, 1, &ipc.Query{Op: ipc.QueryResources})
	}); err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(askLimit))
	for {
		t, b, err := conn.Read()
		if err != nil {
			return nil, err
		}
		if t != ipc.TypeAnswer {
			continue
		}
		var a ipc.Answer
		if _, err := ipc.ParseNumbered(b, &a); err != nil {
			return nil, err
		}
		if a.Failure != nil {
			return nil, a.Failure
		}
		var row ipc.NodeRow
		return &row, ipc.Unmarshal(a.Body, &row)
	}
}

// interfaces are the addresses at which other machines may see this one.
func interfaces() machine.Finding {
	f := machine.Finding{Name: "addresses", OK: true, Value: "none but loopback"}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return machine.Finding{Name: f.Name, Value: err.Error(), Advice: "let this user see the network's interfaces"}
	}
	var have []string
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		kind := "not of a private network"
		if n.IP.IsPrivate() {
			kind = "of a private network"
		}
		have = append(have, n.IP.String()+" ("+kind+")")
	}
	if len(have) > 0 {
		f.Value = strings.Join(have, ", ")
	}
	return f
}

func listens(r *ipc.NodeRow) machine.Finding {
	f := machine.Finding{Name: "listens at", OK: len(r.Addrs) > 0, Value: "no address"}
	if f.OK {
		f.Value = strings.Join(r.Addrs, " ")
	} else {
		f.Advice = "others work with this peer only while it is connected to them: --listen, as /ip4/0.0.0.0/tcp/4001"
	}
	return f
}

// reached is how others come to the peer.
func reached(r *ipc.NodeRow) machine.Finding {
	f := machine.Finding{Name: "reachable", Value: "not known yet", Advice: strings.Join(r.Advice, "; ")}
	relay := slices.ContainsFunc(r.Addrs, func(a string) bool { return strings.Contains(a, "/p2p-circuit") })
	switch {
	case r.Reach == "public" && len(r.Ways) == 0:
		f.OK, f.Value = true, "taken for granted: on one network nobody finds out (--reach, --relay, --hole-punch or --port-map say otherwise)"
	case r.Reach == "public":
		f.OK, f.Value = true, "directly"
	case r.Reach == "local":
		f.OK, f.Value = true, "from this machine only, which is what a peer without --listen is for"
	case r.Reach == "private" && relay:
		f.OK, f.Value = true, "by relay only"
	case r.Reach == "private":
		f.Value = "from nowhere: it cannot be dialled, and has no relay"
	case r.Reach == "none":
		f.Value = "from nowhere"
	}
	if links := len(r.Links); links > 0 {
		relayed := 0
		for _, l := range r.Links {
			if l.Relayed {
				relayed++
			}
		}
		f.Value += fmt.Sprintf("; %d links to other peers, %d of them through a relay", links, relayed)
	}
	return f
}

// crossings are the means against a router in between, and which are on.
func crossings(r *ipc.NodeRow) (all []machine.Finding) {
	needed := r.Reach == "private" || r.Reach == "unknown"
	for _, w := range []struct{ name, way, advice string }{
		{"relay", "relay", "behind a router: --relay, here and at a peer that others can dial"},
		{"hole punching", "hole-punch", "behind a router: --hole-punch, at both peers, makes relayed links direct where routers let it"},
		{"port mapping", "port-map", "behind a router of one's own: --port-map has it forward the port, if it speaks UPnP or NAT-PMP"},
	} {
		on := slices.Contains(r.Ways, w.way)
		f := machine.Finding{Name: w.name, OK: on || !needed, Value: "off", Advice: w.advice}
		if on {
			f.Value, f.Advice = "on", ""
		}
		all = append(all, f)
	}
	return all
}
