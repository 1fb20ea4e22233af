package dht

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// What a region covers is placed, for the better half, where a lookup of its
// own would have placed it.
func TestARegionServesItsNeighbours(t *testing.T) {
	const k = 8
	var peers []peer.ID
	for i := range 200 {
		peers = append(peers, peer.ID(fmt.Sprint("peer ", i)))
	}
	closest := func(at [32]byte) []peer.ID {
		distance := func(p peer.ID) string {
			d := sha256.Sum256([]byte(p))
			for i := range d {
				d[i] ^= at[i]
			}
			return string(d[:])
		}
		list := slices.Clone(peers)
		slices.SortFunc(list, func(a, b peer.ID) int { return cmp.Compare(distance(a), distance(b)) })
		return list[:k]
	}
	covered := 0
	for i := range 100 {
		e := &entry{at: sha256.Sum256([]byte(fmt.Sprint("key ", i)))}
		found := closest(e.at)
		r := around(e.at, found, found)
		for j := range 300 {
			at := sha256.Sum256([]byte(fmt.Sprint("other ", j)))
			if !r.covers(at, k) {
				continue
			}
			covered++
			for _, p := range closest(at)[:k/2] {
				if !slices.Contains(r.peers, p) {
					t.Fatalf("key %d is one of its closest peers short", j)
				}
			}
		}
	}
	if covered == 0 {
		t.Error("no region covers anything")
	}
	t.Logf("%d of 30000 pairs are neighbours", covered)
	if (region{prefix: 256}).covers([32]byte{}, k) {
		t.Error("a lookup that failed covers something")
	}
}

func TestCommonBits(t *testing.T) {
	var a, b [32]byte
	if n := common(a, b); n != 256 {
		t.Errorf("equal places share %d bits", n)
	}
	b[2] = 0x10
	if n := common(a, b); n != 19 {
		t.Errorf("%d bits, want 19", n)
	}
}

// BenchmarkAnnounce places one holding after another, a thousand under way.
func BenchmarkAnnounce(b *testing.B) {
	for _, n := range []int{3, 10, 30} {
		b.Run(fmt.Sprint(n, "peers"), func(b *testing.B) {
			c := newCluster(b, n, func(c *Config) { c.MaxProvided, c.MaxQueue = 1<<30, 1<<30 })
			i := 0
			for b.Loop() {
				if err := c.peers[1].Provide(key(i)); err != nil {
					b.Fatal(err)
				}
				if i++; i%1000 == 0 {
					drain(b, c.peers[1])
				}
			}
			drain(b, c.peers[1])
		})
	}
}

func drain(b *testing.B, d *DHT) {
	for d.Stats().Queued > 0 {
		time.Sleep(time.Millisecond) // between looks at what another goroutine does
	}
}

// BenchmarkProviders finds one of five hundred holdings, and one that nobody has.
func BenchmarkProviders(b *testing.B) {
	for _, n := range []int{3, 10, 30} {
		c := newCluster(b, n)
		for i := range 500 {
			if err := c.peers[1].Provide(key(i)); err != nil {
				b.Fatal(err)
			}
		}
		drain(b, c.peers[1])
		b.Run(fmt.Sprint(n, "peers/held"), func(b *testing.B) {
			i := 0
			for b.Loop() {
				found, err := c.peers[2].Providers(b.Context(), key(i%500), 1)
				if err != nil || len(found) != 1 {
					b.Fatalf("key %d: %v, %v", i, found, err)
				}
				i++
			}
		})
		b.Run(fmt.Sprint(n, "peers/missing"), func(b *testing.B) {
			i := 0
			for b.Loop() {
				if _, err := c.peers[2].Providers(b.Context(), key(1000+i), 1); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
