package host

import (
	"fmt"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Report is how this peer can be reached.
type Report struct {
	Reachability string   // Public, Private or "unknown"
	Forced       bool     // by configuration, not found out
	Addrs        []string // what others are told
	Relays       []string // of them, those through relays
	Direct       int      // connections
	Relayed      int      // connections through relays
	Ways         []string // what is on against a router: "relay", "hole-punch", "port-map"
	Advice       []string // what to change when others cannot connect
}

// reach follows what libp2p finds out.
type reach struct {
	sub  event.Subscription
	done chan struct{}

	mu    sync.Mutex
	state network.Reachability
}

// watch begins to follow. Its goroutine does nothing else, since a subscriber
// that is slow holds up libp2p.
func watch(h *Host) (*reach, error) {
	sub, err := h.EventBus().Subscribe(new(event.EvtLocalReachabilityChanged))
	if err != nil {
		return nil, fmt.Errorf("host: subscribe to reachability: %w", err)
	}
	r := &reach{sub: sub, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for e := range sub.Out() {
			state := e.(event.EvtLocalReachabilityChanged).Reachability
			r.mu.Lock()
			r.state = state
			r.mu.Unlock()
			h.cfg.Logger.Info("reachability", "is", state.String())
		}
	}()
	return r, nil
}

func (r *reach) close() {
	_ = r.sub.Close()
	<-r.done
}

// Reachability reports how this peer can be reached.
func (h *Host) Reachability() Report {
	r := Report{Reachability: unknown, Forced: h.cfg.Reach != "" || !h.cfg.crossesNAT()}
	h.reach.mu.Lock()
	switch state := h.reach.state; {
	case h.cfg.Reach == Private, state == network.ReachabilityPrivate:
		r.Reachability = Private
	case r.Forced, state == network.ReachabilityPublic:
		r.Reachability = Public
	}
	h.reach.mu.Unlock()
	local := true
	for _, a := range h.Addrs() {
		r.Addrs = append(r.Addrs, a.String())
		if has(a, ma.P_CIRCUIT) {
			r.Relays = append(r.Relays, a.String())
		}
		local = local && manet.IsIPLoopback(a)
	}
	slices.Sort(r.Addrs)
	slices.Sort(r.Relays)
	for _, c := range h.Network().Conns() {
		if has(c.RemoteMultiaddr(), ma.P_CIRCUIT) {
			r.Relayed++
		} else {
			r.Direct++
		}
	}
	for _, w := range []struct {
		name string
		on   bool
	}{{"relay", h.cfg.Relay || len(h.cfg.Relays) > 0}, {"hole-punch", h.cfg.HolePunch}, {"port-map", h.cfg.PortMap}} {
		if w.on {
			r.Ways = append(r.Ways, w.name)
		}
	}
	r.Advice = h.advice(r, local)
	return r
}

// advice is what to change.
func (h *Host) advice(r Report, local bool) []string {
	var list []string
	switch {
	case len(r.Addrs) == 0:
		list = append(list, "it listens at no address: others can work with it only while it is connected to them")
	case local:
		list = append(list, "it listens on this machine only: peers of others need an address of a network")
	case r.Reachability == Private && len(r.Relays) == 0:
		list = append(list, "it cannot be dialled from outside and has no relay: have other members relay (--relay there and here), forward its port and say so (--announce), or have the router do it (--port-map)")
	case r.Reachability == unknown:
		list = append(list, "nobody outside has tried to dial it yet, which takes a peer with an address of the internet: on a private network, say that it is public (--reach public)")
	}
	if r.Relayed > 0 && !h.cfg.HolePunch {
		list = append(list, fmt.Sprintf("%d connections go through relays: hole punching could make them direct (--hole-punch)", r.Relayed))
	}
	return list
}
