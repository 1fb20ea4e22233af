package node

import (
	"context"
	"sync"

	"github.com/ipfs/go-cid"

	raygo "github.com/raygo/raygo"
)

// maxProvided bounds the objects that this peer tells others of by content.
const maxProvided = 32_768

// provided are the objects that others were told are here. It may be used by many
// goroutines.
type provided struct {
	mu    sync.Mutex
	names map[raygo.ObjectID]cid.Cid
}

func (p *provided) add(id raygo.ObjectID, c cid.Cid) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.names[id]; known || len(p.names) >= maxProvided {
		return false
	}
	p.names[id] = c
	return true
}

// drop forgets an object. It returns its CID if others were told of it.
func (p *provided) drop(id raygo.ObjectID) (cid.Cid, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.names[id]
	delete(p.names, id)
	return c, ok
}

// dropJob forgets the objects of a job.
func (p *provided) dropJob(job raygo.JobID) []cid.Cid {
	p.mu.Lock()
	defer p.mu.Unlock()
	var gone []cid.Cid
	for id, c := range p.names {
		if id.Job() == job {
			delete(p.names, id)
			gone = append(gone, c)
		}
	}
	return gone
}

// provide tells others that an object is here, behind everything else.
func (m *mesh) provide(id raygo.ObjectID, c cid.Cid) {
	if m == nil || !c.Defined() || !m.provided.add(id, c) {
		return
	}
	if err := m.dht.Provide(c); err != nil {
		m.provided.drop(id)
		m.n.log.Debug("announce an object", "object", id, "err", err)
	}
}

// withdraw says that an object is here no more.
func (m *mesh) withdraw(id raygo.ObjectID) {
	if m == nil {
		return
	}
	if c, ok := m.provided.drop(id); ok {
		m.dht.Withdraw(c)
	}
}

// withdrawJob says so of all objects of a job.
func (m *mesh) withdrawJob(job raygo.JobID) {
	if m == nil {
		return
	}
	for _, c := range m.provided.dropJob(job) {
		m.dht.Withdraw(c)
	}
}

// maxProviders is how many holders of one object are looked for.
const maxProviders = 8

// providers looks for holders of content that no hint names.
func (m *mesh) providers(ctx context.Context, c cid.Cid) []string {
	ids, err := m.dht.Providers(ctx, c, maxProviders)
	if err != nil {
		m.n.log.Debug("look for holders", "cid", c, "err", err)
	}
	var out []string
	for _, id := range ids {
		if s := id.String(); s != m.n.id {
			out = append(out, s)
		}
	}
	return m.alive(out)
}
