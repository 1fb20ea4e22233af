package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Bounds of the peers that are remembered from one start to the next.
const (
	maxKnown     = 1024
	forgetAfter  = 14 * 24 * time.Hour
	maxAddrs     = 16
	maxKnownFile = 4 << 20
)

// knownPeer is a peer that was met, as it is kept on disk.
type knownPeer struct {
	Peer  string    `json:"peer"`
	Addrs []string  `json:"addrs"`
	Seen  time.Time `json:"seen"` // alive
}

// knownPeers are the peers of the cluster that were met, so that a peer finds its
// cluster again after a restart, whatever became of its bootstrap addresses. It
// may be used by many goroutines.
type knownPeers struct {
	path string

	mu      sync.Mutex // guards all below
	byID    map[string]*knownPeer
	changed bool
}

// openKnown reads what an earlier run left. A file that cannot be read is as good
// as none: it is only a help.
func openKnown(path string, now time.Time) (*knownPeers, error) {
	k := &knownPeers{path: path, byID: map[string]*knownPeer{}}
	st, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return k, nil
	}
	if err == nil && st.Size() > maxKnownFile {
		err = fmt.Errorf("%d bytes", st.Size())
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	var all []knownPeer
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		return k, fmt.Errorf("read the known peers %s: %w", path, err)
	}
	for i := range all {
		if now.Sub(all[i].Seen) < forgetAfter && all[i].Peer != "" && len(all[i].Addrs) > 0 {
			k.byID[all[i].Peer] = &all[i]
		}
	}
	return k, nil
}

// has reports whether a peer is among them.
func (k *knownPeers) has(peer string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.byID[peer] != nil
}

// addrs are those of all of them.
func (k *knownPeers) addrs() (all []string) {
	for _, p := range k.all() {
		all = append(all, p.Addrs...)
	}
	return all
}

// saw notes that a peer is alive, and its addresses.
func (k *knownPeers) saw(peer string, addrs []string, now time.Time) {
	if len(addrs) == 0 {
		return
	}
	addrs = addrs[:min(len(addrs), maxAddrs)]
	k.mu.Lock()
	defer k.mu.Unlock()
	if have := k.byID[peer]; have != nil {
		k.changed = k.changed || !slices.Equal(have.Addrs, addrs) || now.Sub(have.Seen) > time.Hour
		have.Addrs, have.Seen = slices.Clone(addrs), now
		return
	}
	if len(k.byID) >= maxKnown {
		k.forgetOldest()
	}
	k.byID[peer] = &knownPeer{Peer: peer, Addrs: slices.Clone(addrs), Seen: now}
	k.changed = true
}

// forgetOldest makes room. The mutex is held.
func (k *knownPeers) forgetOldest() {
	var oldest *knownPeer
	for _, p := range k.byID {
		if oldest == nil || p.Seen.Before(oldest.Seen) {
			oldest = p
		}
	}
	delete(k.byID, oldest.Peer)
}

// all are the known peers, those seen last first.
func (k *knownPeers) all() []knownPeer {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []knownPeer
	for _, p := range k.byID {
		all = append(all, knownPeer{p.Peer, slices.Clone(p.Addrs), p.Seen})
	}
	slices.SortFunc(all, func(a, b knownPeer) int { return b.Seen.Compare(a.Seen) })
	return all
}

// save writes them if something changed since the last time.
func (k *knownPeers) save() error {
	k.mu.Lock()
	changed := k.changed
	k.changed = false
	k.mu.Unlock()
	if !changed {
		return nil
	}
	b, err := json.MarshalIndent(k.all(), "", " ")
	if err == nil {
		err = replaceFile(k.path, b)
	}
	if err != nil {
		return fmt.Errorf("keep the known peers: %w", err)
	}
	return nil
}

// replaceFile writes a file so that a reader sees the old or the new one whole.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
