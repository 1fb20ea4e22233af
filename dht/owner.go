package dht

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/raygo/raygo"
)

// Bounds of a record of ownership.
const (
	maxOwnerBytes = 1 << 10
	maxGuardians  = 8
	maxEpoch      = 1 << 48 // no job changes hands that often: a claim above it only means to win
)

// ownerPrefix begins the DHT key of a record of ownership; the job follows.
const ownerPrefix = "/raygo/owner/"

// signContext is what a signature of a record begins with, so that it means
// nothing anywhere else.
const signContext = "raygo-owner-v1\x00"

// OwnerRecord says which peer owns a job. The owner signs it.
type OwnerRecord struct {
	Job       raygo.JobID
	Epoch     uint64 // grows when a guardian takes the job over
	Peer      peer.ID
	Guardians []peer.ID // who may take it over, in this order
	Seq       uint64    // counts the owner's changes of the record within an epoch; PutOwner sets it
	Sig       []byte
}

// ownerWire is the record as bytes: CBOR, core-deterministic, keys as integers.
type ownerWire struct {
	Job       []byte   `cbor:"1,keyasint"`
	Epoch     uint64   `cbor:"2,keyasint"`
	Peer      []byte   `cbor:"3,keyasint"`
	Guardians [][]byte `cbor:"4,keyasint,omitempty"`
	Sig       []byte   `cbor:"5,keyasint,omitempty"`
	Seq       uint64   `cbor:"6,keyasint,omitempty"`
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxArrayElements: 16, MaxMapPairs: 16, MaxNestedLevels: 4, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode())
)

// must is for tables that are built once from constants.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Marshal is the record's canonical encoding.
func (r OwnerRecord) Marshal() ([]byte, error) {
	w := ownerWire{Job: r.Job[:], Epoch: r.Epoch, Peer: []byte(r.Peer), Sig: r.Sig, Seq: r.Seq}
	for _, g := range r.Guardians {
		w.Guardians = append(w.Guardians, []byte(g))
	}
	return encMode.Marshal(w)
}

// ParseOwner reads what Marshal wrote and nothing else: one record has one
// encoding. It does not check the signature.
func ParseOwner(data []byte) (OwnerRecord, error) {
	var r OwnerRecord
	if len(data) > maxOwnerBytes {
		return r, fmt.Errorf("%w: %d bytes", ErrInvalid, len(data))
	}
	var w ownerWire
	if err := decMode.Unmarshal(data, &w); err != nil {
		return r, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(w.Job) != len(r.Job) || len(w.Guardians) > maxGuardians || w.Epoch >= maxEpoch {
		return r, fmt.Errorf("%w: a field is out of bounds", ErrInvalid)
	}
	r = OwnerRecord{Job: raygo.JobID(w.Job), Epoch: w.Epoch, Sig: w.Sig, Seq: w.Seq}
	var err error
	if r.Peer, err = peer.IDFromBytes(w.Peer); err != nil {
		return r, fmt.Errorf("%w: owner: %w", ErrInvalid, err)
	}
	for _, b := range w.Guardians {
		g, err := peer.IDFromBytes(b)
		if err != nil {
			return r, fmt.Errorf("%w: guardian: %w", ErrInvalid, err)
		}
		r.Guardians = append(r.Guardians, g)
	}
	if again, err := r.Marshal(); err != nil || !bytes.Equal(again, data) {
		return r, fmt.Errorf("%w: not in canonical form", ErrInvalid)
	}
	return r, nil
}

// signed is what the signature covers: the cluster too, so that a record does
// not count in another one.
func (r OwnerRecord) signed(cluster string) ([]byte, error) {
	r.Sig = nil
	body, err := r.Marshal()
	if err != nil {
		return nil, err
	}
	return append([]byte(signContext+cluster+"\x00"), body...), nil
}

// Sign makes key's peer the owner and signs the record.
func (r *OwnerRecord) Sign(cluster string, key crypto.PrivKey) error {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return fmt.Errorf("sign record of job %s: %w", r.Job, err)
	}
	r.Peer = id
	msg, err := r.signed(cluster)
	if err != nil {
		return fmt.Errorf("sign record of job %s: %w", r.Job, err)
	}
	if r.Sig, err = key.Sign(msg); err != nil {
		return fmt.Errorf("sign record of job %s: %w", r.Job, err)
	}
	return nil
}

// Verify checks that the owner signed the record for this cluster.
func (r OwnerRecord) Verify(cluster string) error {
	pub, err := r.Peer.ExtractPublicKey()
	if err != nil {
		return fmt.Errorf("%w: key of owner %s: %w", ErrInvalid, r.Peer, err)
	}
	msg, err := r.signed(cluster)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if ok, err := pub.Verify(msg, r.Sig); err != nil || !ok {
		return fmt.Errorf("%w: signature of %s is wrong", ErrInvalid, r.Peer)
	}
	return nil
}

// Beats reports whether r is to be believed rather than o: the higher epoch,
// then the smaller peer ID, then that peer's later word.
func (r OwnerRecord) Beats(o OwnerRecord) bool {
	if r.Epoch != o.Epoch {
		return r.Epoch > o.Epoch
	}
	if r.Peer != o.Peer {
		return r.Peer < o.Peer
	}
	return r.Seq > o.Seq
}

// ownerKey is where the record of a job is kept.
func ownerKey(job raygo.JobID) string { return ownerPrefix + job.String() }

// validator is what kad-dht asks before it keeps or returns a record.
type validator struct {
	cluster string
	member  func(peer.ID) bool
}

// Validate checks form, size, job, membership and signature.
func (v validator) Validate(key string, value []byte) error {
	job, ok := strings.CutPrefix(key, ownerPrefix)
	if !ok {
		return fmt.Errorf("%w: key %q is of no known kind", ErrInvalid, key)
	}
	r, err := ParseOwner(value)
	if err != nil {
		return err
	}
	if r.Job.String() != job {
		return fmt.Errorf("%w: record of job %s under the key of %s", ErrInvalid, r.Job, job)
	}
	if !v.member(r.Peer) {
		return fmt.Errorf("%w: owner %s is not a member", ErrInvalid, r.Peer)
	}
	return r.Verify(v.cluster)
}

// Select picks the record that all readers pick, whatever their order.
func (v validator) Select(_ string, values [][]byte) (int, error) {
	best, at := OwnerRecord{}, -1
	for i, value := range values {
		r, err := ParseOwner(value)
		if err != nil {
			continue
		}
		if at < 0 || r.Beats(best) || (!best.Beats(r) && bytes.Compare(value, values[at]) < 0) {
			best, at = r, i
		}
	}
	if at < 0 {
		return 0, errors.New("dht: none of the records can be read")
	}
	return at, nil
}
