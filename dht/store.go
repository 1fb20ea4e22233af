package dht

import (
	"context"
	"encoding/base32"
	"errors"
	"strings"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
)

// errFull is what a peer's record is refused with; kad-dht drops the record.
var errFull = errors.New("table of records is full")

// recordStore keeps the records of other peers, and our own, for kad-dht. It is
// a two-level map, since kad-dht asks for all providers of one key and a plain
// map would be searched from end to end, and it is bounded: in all, and for
// each peer whose records they are.
type recordStore struct {
	max, quota int                                    // records in all, and of one peer
	whose      func(base string, value []byte) string // names the peer that a record counts for
	refused    prometheus.Counter

	mu     sync.Mutex
	keys   map[string]map[string]stored // all but the last part of a key; the last part
	count  int
	byPeer map[string]int
}

// stored is one record.
type stored struct {
	value []byte
	whose string
}

func newRecordStore(limit int, whose func(base string, value []byte) string, refused prometheus.Counter) *recordStore {
	return &recordStore{max: limit, quota: (limit + 7) / 8, whose: whose, refused: refused, keys: map[string]map[string]stored{}, byPeer: map[string]int{}}
}

// provider is whose a provider record is: its key ends in it.
func provider(base string, _ []byte) string { return base }

// signer is whose a record of ownership is. kad-dht has validated it.
func signer(_ string, value []byte) string {
	var rec recpb.Record
	if proto.Unmarshal(value, &rec) != nil {
		return ""
	}
	r, err := ParseOwner(rec.GetValue())
	if err != nil {
		return ""
	}
	return string(r.Peer)
}

func split(k ds.Key) (string, string) {
	s := k.String()
	i := strings.LastIndexByte(s, '/')
	return s[:i], s[i+1:]
}

// Put implements ds.Write.
func (s *recordStore) Put(_ context.Context, k ds.Key, value []byte) error {
	dir, base := split(k)
	whose := s.whose(base, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.keys[dir]
	old, replaces := m[base]
	if !replaces && s.count >= s.max || old.whose != whose && s.byPeer[whose] >= s.quota {
		s.refused.Inc()
		return errFull
	}
	if replaces {
		s.remove(dir, base)
		m = s.keys[dir]
	}
	if m == nil {
		m = map[string]stored{}
		s.keys[dir] = m
	}
	m[base] = stored{value, whose}
	s.count++
	s.byPeer[whose]++
	return nil
}

// Delete implements ds.Write.
func (s *recordStore) Delete(_ context.Context, k ds.Key) error {
	dir, base := split(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.keys[dir][base]; ok {
		s.remove(dir, base)
	}
	return nil
}

// remove takes out a record that is there; s.mu is held.
func (s *recordStore) remove(dir, base string) {
	m := s.keys[dir]
	whose := m[base].whose
	delete(m, base)
	if len(m) == 0 {
		delete(s.keys, dir)
	}
	s.count--
	if s.byPeer[whose]--; s.byPeer[whose] == 0 {
		delete(s.byPeer, whose)
	}
}

// Get implements ds.Read.
func (s *recordStore) Get(_ context.Context, k ds.Key) ([]byte, error) {
	dir, base := split(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.keys[dir][base]
	if !ok {
		return nil, ds.ErrNotFound
	}
	return v.value, nil
}

// Has implements ds.Read.
func (s *recordStore) Has(ctx context.Context, k ds.Key) (bool, error) {
	_, err := s.Get(ctx, k)
	return err == nil, nil
}

// GetSize implements ds.Read.
func (s *recordStore) GetSize(ctx context.Context, k ds.Key) (int, error) {
	v, err := s.Get(ctx, k)
	if err != nil {
		return -1, err
	}
	return len(v), nil
}

// Query implements ds.Read for what kad-dht asks: everything below a prefix,
// which is one key's providers, or all records when expired ones are dropped.
func (s *recordStore) Query(_ context.Context, q query.Query) (query.Results, error) {
	prefix := strings.TrimSuffix(q.Prefix, "/")
	var found []query.Entry
	s.mu.Lock()
	if m, ok := s.keys[prefix]; ok {
		found = appendEntries(found, prefix, m)
	} else if strings.Count(prefix, "/") < 2 { // no single key: a sweep
		for dir, m := range s.keys {
			if strings.HasPrefix(dir+"/", prefix+"/") {
				found = appendEntries(found, dir, m)
			}
		}
	}
	s.mu.Unlock()
	return query.NaiveQueryApply(query.Query{Filters: q.Filters, Orders: q.Orders, Offset: q.Offset, Limit: q.Limit}, query.ResultsWithEntries(q, found)), nil
}

func appendEntries(list []query.Entry, dir string, m map[string]stored) []query.Entry {
	for base, v := range m {
		list = append(list, query.Entry{Key: dir + "/" + base, Value: v.value, Size: len(v.value)})
	}
	return list
}

// Sync implements ds.Datastore; memory needs none.
func (s *recordStore) Sync(context.Context, ds.Key) error { return nil }

// Close implements ds.Datastore.
func (s *recordStore) Close() error { return nil }

// Batch implements ds.Batching.
func (s *recordStore) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(s), nil }

// len is the number of records.
func (s *recordStore) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// forget drops what p said it provides under a key.
func (s *recordStore) forget(key []byte, p peer.ID) {
	enc := base32.StdEncoding.WithPadding(base32.NoPadding)
	_ = s.Delete(context.Background(), ds.RawKey("/providers/"+enc.EncodeToString(key)+"/"+enc.EncodeToString([]byte(p)))) // never fails
}

// noCache keeps kad-dht from caching what recordStore finds at once, and what a
// withdrawal could otherwise not reach.
type noCache struct{}

func (noCache) Add(_, _ any) bool                 { return false }
func (noCache) Get(any) (any, bool)               { return nil, false }
func (noCache) Contains(any) bool                 { return false }
func (noCache) Peek(any) (any, bool)              { return nil, false }
func (noCache) Remove(any) bool                   { return false }
func (noCache) RemoveOldest() (a, b any, ok bool) { return nil, nil, false }
func (noCache) GetOldest() (a, b any, ok bool)    { return nil, nil, false }
func (noCache) Keys() []any                       { return nil }
func (noCache) Len() int                          { return 0 }
func (noCache) Purge()                            {}
func (noCache) Resize(int) int                    { return 0 }
