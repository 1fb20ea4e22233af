package sched

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	raygo "github.com/raygo/raygo"
)

// unbuilt is why peers that could run tasks of the class otherwise do not, if it
// is for want of a build of the program.
func (c *Core) unbuilt(cl *class) string {
	for _, p := range c.peerOrder {
		if s := &cl.opts.Strategy; s.Kind == raygo.StrategyAffinity && s.Peer != p.id && !s.Soft {
			continue
		}
		if !p.draining && !cl.job.built(p) && c.hasFor(cl, p) {
			return fmt.Sprintf("there is no build of the program for %s, which peer %s is; add one with: raygo run --platform %s", p.platform, p.id, p.platform)
		}
	}
	return ""
}

// cannot is why nobody can run tasks of the class.
func (c *Core) cannot(cl *class) string {
	if why := c.unbuilt(cl); why != "" {
		return why
	}
	if why := c.short(cl); why != "" {
		return why
	}
	return cl.refused
}

// short names the resources that tasks of the class ask for and of which no peer
// that they may run on has so much; "" if resources are not what is missing, or
// there is no other peer to compare with.
func (c *Core) short(cl *class) string {
	s := &cl.opts.Strategy
	if c.led.impossible(&cl.demand) == "" || s.Kind == raygo.StrategyAffinity && !s.Soft {
		return ""
	}
	var among []*peer
	for _, p := range c.peerOrder {
		if !p.draining && !p.useless && p.totals != nil && meets(cl, p.labels) {
			among = append(among, p)
		}
	}
	if len(among) == 0 {
		return ""
	}
	o, home := &cl.opts, meets(cl, c.cfg.Labels)
	var why []string
	look := func(name string, want, here raygo.Quantity, text func(raygo.Quantity) string) {
		var most raygo.Quantity
		if home {
			most = here
		}
		for _, p := range among {
			most = max(most, p.totals[name])
		}
		if want > most {
			why = append(why, fmt.Sprintf("%s %s, of which no peer has more than %s", name, text(want), text(most)))
		}
	}
	look(raygo.CPU, o.CPU, c.led.total.cpu, raygo.Quantity.String)
	look(raygo.GPU, o.GPU, raygo.Unit*raygo.Quantity(len(c.led.gpuIDs)), raygo.Quantity.String)
	look(raygo.Memory, raygo.Quantity(o.Memory), raygo.Quantity(c.led.total.memory), func(q raygo.Quantity) string { return fmt.Sprintf("%d bytes", int64(q)) })
	for _, name := range slices.Sorted(maps.Keys(o.Custom)) {
		var here raygo.Quantity
		if i, ok := slices.BinarySearch(c.led.names, name); ok {
			here = c.led.customTotal[i]
		}
		look(name, o.Custom[name], here, raygo.Quantity.String)
	}
	return "it asks for " + cmp.Or(strings.Join(why, ", "), "resources that no single peer has together")
}

// meets reports whether a peer with those labels may run tasks of the class.
func meets(cl *class, labels map[string]string) bool {
	if cl.opts.Strategy.Kind != raygo.StrategyLabels {
		return true
	}
	ok, err := Match(cl.selector, labels)
	return ok && err == nil
}
