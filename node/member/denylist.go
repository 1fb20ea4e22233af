package member

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Limits of deny lists.
const (
	// MaxDenied bounds a deny list. Entries go when no certificate that they
	// are about can be used any more, so that only a cluster that expels more
	// than this in four months meets it.
	MaxDenied = 4096

	deniedFor     = MaxTTL + LapsedGrace + 24*time.Hour
	maxDenyList   = 512 << 10
	denyListWords = "raygo deny list 1\x00" // before what is signed
)

var (
	// ErrOldDenyList is a deny list older than the one in force.
	ErrOldDenyList = errors.New("the deny list is older than the one in force")
	// ErrDenyListFull is a deny list that would exceed MaxDenied.
	ErrDenyListFull = errors.New("the deny list is full")
)

// Denied is a peer that was expelled.
type Denied struct {
	Peer  peer.ID
	Since time.Time // whole seconds
}

// DenyList names the peers that are members no more, whatever certificates they
// have. A list replaces those with a lower epoch.
type DenyList struct {
	Cluster string
	Epoch   uint64 // 0 is the empty list that nobody signed
	Peers   []Denied
	Sig     []byte
}

// wireDenyList is the encoding, version 1.
type wireDenyList struct {
	Cluster string       `cbor:"1,keyasint"`
	Epoch   uint64       `cbor:"2,keyasint"`
	Peers   []wireDenied `cbor:"3,keyasint,omitempty"`
	Sig     []byte       `cbor:"4,keyasint,omitempty"`
}

type wireDenied struct {
	Peer  []byte `cbor:"1,keyasint"`
	Since int64  `cbor:"2,keyasint"` // seconds since 1970
}

func (d DenyList) wire() wireDenyList {
	w := wireDenyList{Cluster: d.Cluster, Epoch: d.Epoch, Sig: d.Sig}
	for _, e := range d.Peers {
		w.Peers = append(w.Peers, wireDenied{Peer: []byte(e.Peer), Since: e.Since.Unix()})
	}
	return w
}

// Bytes is the list's encoding.
func (d DenyList) Bytes() []byte { return encode(d.wire()) }

func (d DenyList) signed() []byte {
	w := d.wire()
	w.Sig = nil
	return append([]byte(denyListWords), encode(w)...)
}

// ParseDenyList reads an encoded list. It checks its form, not its signature:
// Verify does.
func ParseDenyList(b []byte) (DenyList, error) {
	var w wireDenyList
	if err := decode(b, maxDenyList, &w); err != nil {
		return DenyList{}, fmt.Errorf("read a deny list: %w", err)
	}
	d := DenyList{Cluster: w.Cluster, Epoch: w.Epoch, Sig: w.Sig}
	switch {
	case !validClusterID(w.Cluster):
		return DenyList{}, errors.New("read a deny list: the cluster's ID is malformed")
	case w.Epoch == 0:
		return DenyList{}, errors.New("read a deny list: epoch 0 is nobody's")
	case len(w.Sig) != ed25519.SignatureSize:
		return DenyList{}, fmt.Errorf("read a deny list: the signature has %d bytes, not %d", len(w.Sig), ed25519.SignatureSize)
	}
	for i, e := range w.Peers {
		id, err := peer.IDFromBytes(e.Peer)
		if err != nil {
			return DenyList{}, fmt.Errorf("read a deny list: peer %d: %w", i, err)
		}
		if i > 0 && bytes.Compare(w.Peers[i-1].Peer, e.Peer) >= 0 {
			return DenyList{}, errors.New("read a deny list: its peers are not in order")
		}
		if e.Since < 0 || e.Since > maxSeconds {
			return DenyList{}, fmt.Errorf("read a deny list: peer %d: time %d is not a valid one", i, e.Since)
		}
		d.Peers = append(d.Peers, Denied{Peer: id, Since: time.Unix(e.Since, 0)})
	}
	return d, nil
}

// maxSeconds is the last second of the year 9999.
const maxSeconds = 253402300799

// Verify reports whether the cluster with this public key signed the list.
func (d DenyList) Verify(clusterPub []byte) error {
	switch {
	case len(clusterPub) != ed25519.PublicKeySize:
		return fmt.Errorf("the cluster's public key has %d bytes, not %d", len(clusterPub), ed25519.PublicKeySize)
	case d.Cluster != ClusterID(clusterPub):
		return fmt.Errorf("the deny list is that of cluster %s", d.Cluster)
	case !ed25519.Verify(clusterPub, d.signed(), d.Sig):
		return fmt.Errorf("the deny list: %w", ErrSignature)
	}
	return nil
}

// Has reports whether the list names a peer.
func (d DenyList) Has(p peer.ID) bool {
	_, ok := slices.BinarySearchFunc(d.Peers, p, func(e Denied, p peer.ID) int { return compareIDs(e.Peer, p) })
	return ok
}

// covers reports whether d names every peer that other does.
func (d DenyList) covers(other DenyList) bool {
	return !slices.ContainsFunc(other.Peers, func(e Denied) bool { return !d.Has(e.Peer) })
}

// after orders lists: by epoch, and by their bytes where two holders of the key
// used one epoch, so that all members end with the same list.
func (d DenyList) after(other DenyList) bool {
	if d.Epoch != other.Epoch {
		return d.Epoch > other.Epoch
	}
	return bytes.Compare(d.Sig, other.Sig) > 0
}

// Deny signs the list that follows prev and names the peers too. The zero
// DenyList is the one before the first.
func (a *Authority) Deny(prev DenyList, now time.Time, peers ...peer.ID) (DenyList, error) {
	add := DenyList{}
	for _, p := range peers {
		if err := p.Validate(); err != nil {
			return DenyList{}, fmt.Errorf("expel a peer: %w", err)
		}
		add.Peers = append(add.Peers, Denied{Peer: p, Since: time.Unix(now.Unix(), 0)})
	}
	return a.merge(prev, add, now)
}

// merge signs a list that follows both and names the peers of both: what two
// holders of the key expelled at the same time stays expelled.
func (a *Authority) merge(x, y DenyList, now time.Time) (DenyList, error) {
	d := DenyList{Cluster: a.ClusterID(), Epoch: max(x.Epoch, y.Epoch) + 1}
	for _, e := range slices.Concat(x.Peers, y.Peers) {
		if now.Sub(e.Since) < deniedFor {
			d.Peers = append(d.Peers, e)
		}
	}
	slices.SortFunc(d.Peers, func(x, y Denied) int {
		if c := compareIDs(x.Peer, y.Peer); c != 0 {
			return c
		}
		return y.Since.Compare(x.Since) // the later one counts
	})
	d.Peers = slices.CompactFunc(d.Peers, func(x, y Denied) bool { return x.Peer == y.Peer })
	if len(d.Peers) > MaxDenied {
		return DenyList{}, fmt.Errorf("expel a peer: %w: it has %d entries, make a new cluster with 'raygo cluster create'", ErrDenyListFull, MaxDenied)
	}
	d.Sig = ed25519.Sign(a.key, d.signed())
	return d, nil
}

func compareIDs(a, b peer.ID) int { return bytes.Compare([]byte(a), []byte(b)) }
