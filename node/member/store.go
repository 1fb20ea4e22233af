package member

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Files of a Store, each mode 0600.
const (
	joinedFile  = "certificate"
	deniedFile  = "denied"
	invitesFile = "invites"

	maxJoinedFile  = 16 << 10
	maxInvitesFile = 256 << 10
)

// Store keeps a peer's membership in a directory that only its user may enter.
type Store struct {
	dir string
}

// Joined is what a peer keeps of a cluster that it is a member of.
type Joined struct {
	ClusterPub []byte
	Cert       Certificate
	Addrs      []string // of the members that admitted it
}

// wireJoined is the form of the file, version 1.
type wireJoined struct {
	ClusterPub []byte   `cbor:"1,keyasint"`
	Cert       []byte   `cbor:"2,keyasint"`
	Addrs      []string `cbor:"3,keyasint"`
}

// OpenStore uses a directory, which is made if need be.
func OpenStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a place for the membership: %w", err)
	}
	return &Store{dir: dir}, nil
}

// HasJoined reports whether a directory keeps the membership of an earlier run.
func HasJoined(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, joinedFile))
	return err == nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// Joined is what was saved last; the error is fs.ErrNotExist if nothing was. Its
// form is checked; whether the certificate is good now is not.
func (s *Store) Joined() (Joined, error) {
	b, err := readSecret(s.path(joinedFile), maxJoinedFile)
	if err != nil {
		return Joined{}, fmt.Errorf("read the kept membership: %w", err)
	}
	var w wireJoined
	var cert Certificate
	if err = decode(b, maxJoinedFile, &w); err == nil {
		cert, err = ParseCertificate(w.Cert)
	}
	if err == nil {
		err = cert.verifySignature(w.ClusterPub)
	}
	if err != nil {
		return Joined{}, damaged("the kept membership", s.path(joinedFile), "join the cluster with a new invite: raygo-peer --join INVITE", err)
	}
	return Joined{ClusterPub: w.ClusterPub, Cert: cert, Addrs: w.Addrs}, nil
}

// SaveJoined replaces what was saved.
func (s *Store) SaveJoined(j Joined) error {
	addrs := append([]string{}, j.Addrs[:min(len(j.Addrs), maxInviteAddrs)]...)
	b := encode(wireJoined{ClusterPub: j.ClusterPub, Cert: j.Cert.Bytes(), Addrs: addrs})
	if err := replaceSecret(s.path(joinedFile), b); err != nil {
		return fmt.Errorf("keep the membership: %w", err)
	}
	return nil
}

// saveCertificate replaces the certificate of what was saved.
func (s *Store) saveCertificate(clusterPub []byte, cert Certificate) error {
	j, err := s.Joined()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.SaveJoined(Joined{ClusterPub: clusterPub, Cert: cert, Addrs: j.Addrs})
}

// DenyList is the cluster's list that was saved last; there may be none.
func (s *Store) DenyList(clusterPub []byte) (DenyList, error) {
	none := DenyList{Cluster: ClusterID(clusterPub)}
	b, err := readSecret(s.path(deniedFile), maxDenyList)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return none, nil
	case err != nil:
		return none, fmt.Errorf("read the kept deny list: %w", err)
	}
	d, err := ParseDenyList(b)
	if err == nil && d.Cluster != none.Cluster {
		return none, nil // of a cluster that the peer was in before
	}
	if err == nil {
		err = d.Verify(clusterPub)
	}
	if err != nil {
		return none, damaged("the kept deny list", s.path(deniedFile), "start again: members that this peer connects to send theirs, and whom none of them has, expel again with 'raygo cluster revoke'", err)
	}
	return d, nil
}

// SaveDenyList replaces the list that was saved.
func (s *Store) SaveDenyList(d DenyList) error {
	if err := replaceSecret(s.path(deniedFile), d.Bytes()); err != nil {
		return fmt.Errorf("keep the deny list: %w", err)
	}
	return nil
}

// invited is an invite that was made here: not its secret, only what the secret
// is checked with, so that the file admits nobody.
type invited struct {
	pub     string // the secret's public key, 32 bytes
	role    Role
	expires time.Time
	usedBy  peer.ID // or ""
}

// wireInvites is the form of the file, version 1.
type wireInvites struct {
	Cluster string        `cbor:"1,keyasint"`
	Invites []wireInvited `cbor:"2,keyasint"`
}

type wireInvited struct {
	Pub     []byte `cbor:"1,keyasint"`
	Role    string `cbor:"2,keyasint"`
	Expires int64  `cbor:"3,keyasint"`
	UsedBy  []byte `cbor:"4,keyasint,omitempty"`
}

// invites are those of a cluster that were saved last.
func (s *Store) invites(cluster string) (map[string]invited, error) {
	all := map[string]invited{}
	b, err := readSecret(s.path(invitesFile), maxInvitesFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return all, nil
	case err != nil:
		return nil, fmt.Errorf("read the kept invites: %w", err)
	}
	var w wireInvites
	const remedy = "make anew the invites that nobody has used yet: raygo cluster invite"
	if err := decode(b, maxInvitesFile, &w); err != nil {
		return nil, damaged("the kept invites", s.path(invitesFile), remedy, err)
	}
	if w.Cluster != cluster {
		return all, nil
	}
	for _, i := range w.Invites {
		role, err := ParseRole(i.Role)
		if err != nil {
			return nil, damaged("the kept invites", s.path(invitesFile), remedy, err)
		}
		all[string(i.Pub)] = invited{pub: string(i.Pub), role: role, expires: time.Unix(i.Expires, 0), usedBy: peer.ID(i.UsedBy)}
	}
	return all, nil
}

// saveInvites replaces those that were saved.
func (s *Store) saveInvites(cluster string, all []invited) error {
	w := wireInvites{Cluster: cluster, Invites: []wireInvited{}}
	for _, i := range all {
		w.Invites = append(w.Invites, wireInvited{Pub: []byte(i.pub), Role: string(i.role), Expires: i.expires.Unix(), UsedBy: []byte(i.usedBy)})
	}
	if err := replaceSecret(s.path(invitesFile), encode(w)); err != nil {
		return fmt.Errorf("keep the invites: %w", err)
	}
	return nil
}
