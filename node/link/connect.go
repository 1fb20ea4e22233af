package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Connect dials multiaddrs that end in /p2p/ID, all at once, and returns when a
// link to one of them is up; the others go on by themselves for as long as
// Config.Dial and Config.Handshake let them. The error says what was tried. It does not keep
// the peers: see Keep.
func (m *Mesh) Connect(ctx context.Context, addrs ...string) error {
	if len(addrs) == 0 {
		return errors.New("link: connect to no address")
	}
	targets := map[peer.ID][]ma.Multiaddr{}
	var order []peer.ID
	for _, s := range addrs {
		info, err := peer.AddrInfoFromString(s)
		switch {
		case err != nil && !strings.Contains(s, "/p2p/"):
			return fmt.Errorf("link: connect to %q: the address has to end in /p2p/ and the ID of the peer", s)
		case err != nil:
			return fmt.Errorf("link: connect to %q: %w", s, err)
		case info.ID == m.self:
			return fmt.Errorf("link: connect to %q: that is this peer", s)
		}
		if !slices.Contains(order, info.ID) {
			order = append(order, info.ID)
		}
		targets[info.ID] = append(targets[info.ID], info.Addrs...)
	}
	results := make(chan error, len(order))
	for _, id := range order {
		if !m.track(func() { results <- m.connect(id, targets[id]) }) {
			return ErrClosed
		}
	}
	var errs []error
	for range order {
		select {
		case err := <-results:
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("link: connect to %s: %w", strings.Join(addrs, ", "), ctx.Err()))
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}

// connect brings up a link to one peer.
func (m *Mesh) connect(id peer.ID, addrs []ma.Multiaddr) error {
	up := make(chan error, 1)
	m.mu.Lock()
	e, err := m.entry(id)
	switch {
	case err != nil:
	case m.live[id.String()] != nil:
		m.mu.Unlock()
		return nil
	case time.Now().Before(e.banned):
		err = fmt.Errorf("%w: peer %s is banned until %s: %w", ErrRefused, id, e.banned.Format(time.TimeOnly), e.err)
	default:
		e.waiting = append(e.waiting, up)
		if m.lower(id) { // over a connection that is there already
			e.wanted, e.openAt = true, time.Time{}
		}
	}
	m.mu.Unlock()
	if err != nil {
		return fmt.Errorf("link: connect to %s: %w", id, err)
	}
	m.kick()
	if err := m.dial(m.life, id, addrs); err != nil {
		m.unwait(e, up)
		return fmt.Errorf("link: %w", err)
	}
	if err := m.await(e, up); err != nil {
		return fmt.Errorf("link: connect to %s: %w", id, err)
	}
	return nil
}

// await waits until it is settled whether there is a link, as long as one may
// take to come up.
func (m *Mesh) await(e *entry, up chan error) error {
	timer := time.NewTimer(2 * m.cfg.Handshake)
	defer timer.Stop()
	select {
	case err := <-up:
		return err
	case <-timer.C:
	case <-m.life.Done():
		return ErrClosed
	}
	m.unwait(e, up)
	m.mu.RLock()
	defer m.mu.RUnlock()
	if e.err != nil {
		return fmt.Errorf("connected, but no link came up in %s: %w", 2*m.cfg.Handshake, e.err)
	}
	return fmt.Errorf("connected, but no link came up in %s", 2*m.cfg.Handshake)
}

// unwait takes a waiter back.
func (m *Mesh) unwait(e *entry, up chan error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.waiting = slices.DeleteFunc(e.waiting, func(c chan error) bool { return c == up })
}
