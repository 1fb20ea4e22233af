package member

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	clusterIDBytes = 16 // of the public key's hash
	clusterIDLen   = 26 // characters
	keyBlock       = "PRIVATE KEY"
	maxKeyFile     = 4 << 10
)

var clusterIDText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ClusterID names the cluster that has this public key: 26 lower-case letters
// and digits of its hash.
func ClusterID(clusterPub []byte) string {
	h := sha256.Sum256(clusterPub)
	return clusterIDText.EncodeToString(h[:clusterIDBytes])
}

func validClusterID(s string) bool {
	if len(s) != clusterIDLen {
		return false
	}
	b, err := clusterIDText.DecodeString(s)
	return err == nil && clusterIDText.EncodeToString(b) == s
}

// Authority holds a cluster's private key: who has it decides who is a member.
type Authority struct {
	key ed25519.PrivateKey
}

// NewAuthority makes a cluster.
func NewAuthority() (*Authority, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a cluster key: %w", err)
	}
	return &Authority{key: key}, nil
}

// LoadAuthority reads a cluster key file. One that others than its owner may
// read is refused.
func LoadAuthority(file string) (*Authority, error) {
	b, err := readSecret(file, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read the cluster key: %w", err)
	}
	a, err := parseAuthority(b)
	if err != nil {
		return nil, fmt.Errorf("read the cluster key: %s is not a cluster key file, or damaged (%w); use a copy of the cluster's, or make a new cluster with 'raygo cluster create'", file, err)
	}
	return a, nil
}

// parseAuthority reads what a cluster key file has.
func parseAuthority(b []byte) (*Authority, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != keyBlock || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it is not one PEM block of a private key")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, a cluster's key is Ed25519", k)
	}
	return &Authority{key: key}, nil
}

// Save writes the key to a new file that only its owner may read. It does not
// replace a file: what is lost with a cluster's key is the cluster.
func (a *Authority) Save(file string) error {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return fmt.Errorf("save the cluster key: %w", err)
	}
	err = createSecret(file, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}))
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("save the cluster key: %s is there already and is not replaced: %w", file, fs.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("save the cluster key: %w", err)
	}
	return nil
}

// Public is the cluster's public key, 32 bytes.
func (a *Authority) Public() []byte {
	return bytes.Clone(a.key.Public().(ed25519.PublicKey))
}

// ClusterID names the cluster.
func (a *Authority) ClusterID() string { return ClusterID(a.Public()) }

// Issue signs a certificate for a peer; a ttl of 0 is DefaultTTL.
func (a *Authority) Issue(p peer.ID, r Role, ttl time.Duration, now time.Time) (Certificate, error) {
	if ttl == 0 {
		ttl = DefaultTTL
	}
	if ttl < time.Second || ttl > MaxTTL {
		return Certificate{}, fmt.Errorf("issue a certificate: a lifetime of %s is not between 1s and %s", ttl, MaxTTL)
	}
	if _, err := ParseRole(string(r)); err != nil {
		return Certificate{}, fmt.Errorf("issue a certificate: %w", err)
	}
	if err := p.Validate(); err != nil {
		return Certificate{}, fmt.Errorf("issue a certificate: %w", err)
	}
	var serial [8]byte
	if _, err := rand.Read(serial[:]); err != nil {
		return Certificate{}, fmt.Errorf("issue a certificate: %w", err)
	}
	c := Certificate{
		Cluster: a.ClusterID(), Peer: p, Role: r,
		NotBefore: time.Unix(now.Add(-skew).Unix(), 0), NotAfter: time.Unix(now.Add(ttl).Unix(), 0),
		Serial: binary.BigEndian.Uint64(serial[:]),
	}
	c.Sig = ed25519.Sign(a.key, c.signed())
	return c, nil
}

// DefaultKeyFile is where 'raygo cluster create' puts the key unless told
// otherwise: cluster.key in the user's data directory.
func DefaultKeyFile(dataDir string) string {
	return dataDir + string(os.PathSeparator) + "cluster.key"
}
